"""Scores and shares of earlier checks, small JSON files for each set of triplets."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .. import __version__
from ..evaluation.metrics import Scores
from ..inference.mixing import MixShares
from ..system.atomic import write_text
from ..system.folders import checks_folder
from .fit_shares import Mixed

logger = logging.getLogger(__name__)

_FORMAT = 4


def load_scores(digest: str) -> dict[str, tuple[Scores, ...]]:
    """Identity of a model -> its scores; empty where nothing, or nothing valid, is kept."""
    try:
        return {name: _scores(rows) for name, rows in _load(digest, "scores").items()}
    except (ValueError, TypeError):
        return {}


def keep_scores(digest: str, scores: Mapping[str, Sequence[Scores]]) -> None:
    """Keep scores for the next check; a folder that cannot be written is no error."""
    _keep(digest, "scores", {name: _rows(triplets) for name, triplets in scores.items()})


def load_mixed(digest: str) -> dict[str, Mixed]:
    """Identity of a network -> its shares and scores; empty where nothing valid is kept."""
    try:
        return {
            name: Mixed(_shares(shares), int(count), _scores(rows))
            for name, (shares, count, rows) in _load(digest, "mixed").items()
        }
    except (ValueError, TypeError):
        return {}


def keep_mixed(digest: str, mixed: Mapping[str, Mixed]) -> None:
    """Keep shares for the next check; a folder that cannot be written is no error."""
    values = {
        name: (c.shares and astuple(c.shares), c.brightness_slices, _rows(c.scores))
        for name, c in mixed.items()
    }
    _keep(digest, "mixed", values)


def _shares(values: Sequence[Sequence[float]] | None) -> MixShares | None:
    return MixShares(*(tuple(map(float, part)) for part in values)) if values else None  # type: ignore[arg-type]


def _scores(rows: Sequence[Sequence[float]]) -> tuple[Scores, ...]:
    return tuple(Scores(*map(float, row)) for row in rows)


def _rows(triplets: Sequence[Scores]) -> list[tuple[float, ...]]:
    return [astuple(scores) for scores in triplets]


def _load(digest: str, what: str) -> dict[str, Any]:
    try:
        values = json.loads(_path(digest, what).read_text())
        return dict(values[what]) if values["version"] == _version() else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _keep(digest: str, what: str, values: Mapping[str, Any]) -> None:
    path = _path(digest, what)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"version": _version(), what: values}))
    except OSError as error:
        logger.debug("The check is not kept: %s", error)


def _path(digest: str, what: str) -> Path:
    return checks_folder() / f"{digest}-{what}.json"


def _version() -> str:
    return f"{_FORMAT} {__version__}"
