"""A report on a stack: how good models are on it, how sure that is, and what misleads."""

from .cautions import Caution
from .compute import Progress, report_on
from .report import ErrorStack, StackReport, WorstCase
from .write import check_folder, write_folder

__all__ = [
    "Caution",
    "ErrorStack",
    "Progress",
    "StackReport",
    "WorstCase",
    "check_folder",
    "report_on",
    "write_folder",
]
