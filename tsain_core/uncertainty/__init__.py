"""How far a computed grey value may be off: maps of 90 % intervals, calibrated on real slices."""

from .calibration import COVERAGE, Calibration, ErrorSample, calibration_file, fit, load_calibration
from .features import Disagreement, features_of
from .left_out import calibrate_on, left_out_samples
from .maps import MapReady, uncertainty_maps
from .to_file import NAME, find_calibration, maps_in_zarr, write_uncertainty

__all__ = [
    "COVERAGE",
    "NAME",
    "Calibration",
    "Disagreement",
    "MapReady",
    "ErrorSample",
    "calibrate_on",
    "calibration_file",
    "features_of",
    "find_calibration",
    "fit",
    "left_out_samples",
    "load_calibration",
    "maps_in_zarr",
    "uncertainty_maps",
    "write_uncertainty",
]
