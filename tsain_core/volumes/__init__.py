"""Reading and writing EM stacks: `open_volume`, `create_volume`, `Volume`."""

from ._growing import growing_levels
from ._units import in_one_unit, normal_unit, unit_symbol
from .files import create_volume, list_datasets, open_pyramid, open_volume
from .volume import DTYPES, Volume
from .writer import VolumeWriter

__all__ = [
    "DTYPES",
    "Volume",
    "VolumeWriter",
    "create_volume",
    "growing_levels",
    "in_one_unit",
    "list_datasets",
    "normal_unit",
    "open_pyramid",
    "open_volume",
    "unit_symbol",
]
