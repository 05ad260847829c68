"""Scores of earlier checks, a small JSON file for each set of triplets."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from .. import __version__
from ..evaluation.metrics import Scores
from ..system.atomic import write_text
from ..system.folders import checks_folder

logger = logging.getLogger(__name__)

_FORMAT = 1


def load_scores(digest: str) -> dict[str, tuple[Scores, ...]]:
    """Identity of a model -> its scores; empty where nothing, or nothing valid, is kept."""
    try:
        values = json.loads(_path(digest).read_text())
        if values["version"] != _version():
            return {}
        kept = values["scores"].items()
        return {name: tuple(Scores(*map(float, s)) for s in rows) for name, rows in kept}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def keep_scores(digest: str, scores: Mapping[str, Sequence[Scores]]) -> None:
    """Keep scores for the next check; a folder that cannot be written is no error."""
    path = _path(digest)
    rows = {name: [astuple(s) for s in triplets] for name, triplets in scores.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"version": _version(), "scores": rows}))
    except OSError as error:
        logger.debug("The check is not kept: %s", error)


def _path(digest: str) -> Path:
    return checks_folder() / f"{digest}.json"


def _version() -> str:
    return f"{_FORMAT} {__version__}"
