"""Are membranes where they are in the real slice? Scores by a small segmenter, for evaluation only.

The segmenter never saw a computed slice, and no interpolation model was trained with it.
"""

from .judge import MembraneJudge
from .network import MembraneNet, load_segmenter, membranes
from .scores import (
    MEMBRANE_LEGEND,
    MembraneScores,
    mean_of,
    membrane_scores,
    membrane_table,
    regions_of,
)

__all__ = [
    "MEMBRANE_LEGEND",
    "MembraneJudge",
    "MembraneNet",
    "MembraneScores",
    "load_segmenter",
    "mean_of",
    "membrane_scores",
    "membrane_table",
    "membranes",
    "regions_of",
]
