"""Reading and writing EM stacks: `open_volume`, `create_volume`, `Volume`."""

from ._marks import LOST, changed_slice, marks_fault, middle_of, slice_digest
from ._part import part_of
from ._units import is_length, normal_unit, offset_in, unit_symbol, voxel_size_of, with_size
from .files import create_volume, list_datasets, open_pyramid, open_volume
from .volume import DTYPES, Volume
from .writer import VolumeWriter

__all__ = [
    "DTYPES",
    "LOST",
    "Volume",
    "VolumeWriter",
    "changed_slice",
    "create_volume",
    "is_length",
    "list_datasets",
    "marks_fault",
    "middle_of",
    "normal_unit",
    "offset_in",
    "open_pyramid",
    "open_volume",
    "part_of",
    "slice_digest",
    "unit_symbol",
    "voxel_size_of",
    "with_size",
]
