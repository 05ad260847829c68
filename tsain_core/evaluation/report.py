"""A report that shows what a model does to a stack: pictures, and scores beside the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..inference.intensity import estimate_range
from ..inference.models import SliceModel
from ..interpolation.interpolate import SliceReady, TileProgress, interpolate
from ..interpolation.schedule import by_factor
from .figures import interpolation_figure, xz_figure
from .leave_one_out import score_table
from .metrics import Scores, mean_scores, score


@dataclass(frozen=True)
class Report:
    """What was written: files, and model name -> mean scores."""

    table: str
    pictures: tuple[Path, ...]
    scores: dict[str, Scores]


def write_report(
    volume: Any,
    models: Sequence[SliceModel],
    folder: Path,
    *,
    title: str,
    z_scale: float = 1.0,
    pixel: tuple[float, str] | None = None,
) -> Iterator[TileProgress | Report]:
    """Leave out every second slice, compute it, compare.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x), uint8
    models : sequence of SliceModel
        The first is the one that the pictures show.
    folder : Path
        Gets `slices.png`, `xz.png` and `report.md`.
    title : str
        Heading of the report.
    z_scale : float
        z voxel size over y voxel size of the volume.
    pixel : (float, str), optional
        Width of a pixel and its unit, for scale bars.

    Yields
    ------
    TileProgress, and at the end Report

    Raises
    ------
    TsainError
        If the stack has fewer than 5 slices or is not uint8.
    """
    depth = (volume.shape[0] - 1) // 2 * 2 + 1
    if depth < 5 or volume.dtype != np.uint8:
        raise TsainError(
            f"The stack has {volume.shape[0]} slices of {volume.dtype}; a report needs at least 5 "
            "of uint8."
        )
    truth = np.stack([np.asarray(volume[z]) for z in range(depth)])
    results: dict[str, NDArray[Any]] = {}
    runs = len(models) * (depth // 2)
    for i, model in enumerate(models):
        result = np.empty_like(truth)
        schedule = by_factor(depth // 2 + 1, 2, exact=model.any_position)
        intensity = estimate_range(truth[::2], model.scaling)
        for event in interpolate(truth[::2], schedule, model, intensity):
            if isinstance(event, SliceReady):
                result[event.index] = event.image
            else:
                yield TileProgress(event.index, i * (depth // 2) + event.done, runs)
        results[model.name] = result
    scores = {
        name: mean_scores([score(r[z].astype(np.float32), truth[z]) for z in range(1, depth, 2)])
        for name, r in results.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(folder, truth, results, z_scale, pixel)
    table = score_table(scores)
    text = [f"# {title}\n", f"{depth // 2} slices left out and computed from their neighbours.\n"]
    text += [f"![{p.stem}]({p.name})\n" for p in pictures]
    (folder / "report.md").write_text("\n".join([*text, table, ""]))
    yield Report(table, pictures, scores)


def _pictures(
    folder: Path,
    truth: NDArray[Any],
    results: dict[str, NDArray[Any]],
    z_scale: float,
    pixel: tuple[float, str] | None,
) -> tuple[Path, ...]:
    depth, height, _ = truth.shape
    z = depth // 4 * 2 + 1
    slices, xz = folder / "slices.png", folder / "xz.png"
    predicted = {name: r[z] for name, r in results.items() if "blur" not in name}
    interpolation_figure(slices, truth[z - 1], predicted, truth[z], truth[z + 1], pixel=pixel)
    first = next(iter(results.values()))
    xz_figure(xz, truth[::2], first, height // 2, z_scale, pixel=pixel)
    return slices, xz
