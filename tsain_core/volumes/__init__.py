"""Reading and writing EM stacks: `open_volume`, `create_volume`, `Volume`."""

from ._marks import LOST, changed_slice, marks_fault, middle_of, slice_digest
from ._part import part_of
from ._partial import PartlyComputed, describe_mask, partial_from_json, partial_to_json
from ._units import (
    converted,
    is_length,
    normal_unit,
    offset_in,
    unit_symbol,
    voxel_size_of,
    with_size,
)
from .files import (
    create_volume,
    label_images,
    list_datasets,
    open_labels,
    open_pyramid,
    open_volume,
)
from .volume import DTYPES, Volume
from .writer import VolumeWriter

__all__ = [
    "DTYPES",
    "LOST",
    "PartlyComputed",
    "Volume",
    "VolumeWriter",
    "changed_slice",
    "create_volume",
    "describe_mask",
    "converted",
    "is_length",
    "label_images",
    "list_datasets",
    "marks_fault",
    "middle_of",
    "normal_unit",
    "offset_in",
    "open_labels",
    "open_pyramid",
    "open_volume",
    "part_of",
    "partial_from_json",
    "partial_to_json",
    "slice_digest",
    "unit_symbol",
    "voxel_size_of",
    "with_size",
]
