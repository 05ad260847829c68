"""What is said of pairs of slices before a run."""

from __future__ import annotations

import logging

from ..inference.models import InferenceSettings, run_to_end
from ..interpolation.schedule import Schedule
from ..stack_check import check_pairs
from ..volumes import Volume
from .wording import as_option

logger = logging.getLogger(__name__)


def tell_of_pairs(volume: Volume, schedule: Schedule, settings: InferenceSettings) -> None:
    """Warn of lost sections, wide gaps, and neighbours that do not go together."""
    work = check_pairs(volume, schedule, settings.align, settings.match_brightness)
    for advice in run_to_end(work):
        logger.warning("%s", advice.worded(as_option))
