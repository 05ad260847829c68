"""Reading and writing EM stacks: `open_volume`, `create_volume`, `Volume`."""

from ._growing import growing_levels
from ._units import is_length, normal_unit, offset_in, unit_symbol, voxel_size_of, with_size
from .files import create_volume, list_datasets, open_pyramid, open_volume
from .volume import DTYPES, Volume
from .writer import VolumeWriter

__all__ = [
    "DTYPES",
    "Volume",
    "VolumeWriter",
    "create_volume",
    "growing_levels",
    "is_length",
    "list_datasets",
    "normal_unit",
    "offset_in",
    "open_pyramid",
    "open_volume",
    "unit_symbol",
    "voxel_size_of",
    "with_size",
]
