"""Pictures of results, as PNG: a slice beside its neighbours, and cuts along z."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .metrics import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_PANEL = 3.0  # inches
_TITLE = 0.2  # inches a line of a title
_GAP = 0.08  # inches between panels
_LARGEST = 512  # pixels of a slice that a panel shows, from the middle


def interpolation_figure(
    path: Path,
    before: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
    truth: NDArray[Any],
    after: NDArray[Any],
) -> None:
    """Draw a slice left out: its neighbours, the real one, and what each method made of it.

    Parameters
    ----------
    path : Path
        PNG to write.
    before, truth, after : ndarray (y, x)
        In grey levels 0 to 255.
    predicted : mapping
        Name of a method -> its slice (y, x).
    """
    panels: list[tuple[str, NDArray[Any]]] = [("slice before", before)]
    for name, image in predicted.items():
        s = score(np.asarray(image, np.float32), truth)
        text = f"structure {s.structure:.1f} dB, sharpness {s.sharpness:.2f}"
        panels.append((f"{name}\n{text}", image))
    panels += [("real slice, left out", truth), ("slice after", after)]
    columns = (len(panels) + 1) // 2 if len(panels) > 4 else len(panels)
    rows = -(-len(panels) // columns)
    shape = middle(before).shape
    figure, axes = _grid(rows, columns, _PANEL, _PANEL * shape[0] / shape[1], lines=2)
    lo, hi = np.percentile(truth, (0.5, 99.5))
    for ax, (title, image) in zip(axes, panels, strict=False):
        ax.imshow(middle(image), cmap="gray", vmin=lo, vmax=hi, interpolation="nearest")
        ax.set_title(title, fontsize=9, pad=4)
    _save(figure, path)


def xz_figure(
    path: Path,
    before: NDArray[Any],
    after: NDArray[Any],
    y: int,
    z_scale: float,
) -> None:
    """Draw the cut along z at row `y`: the slices as they came, and with those in between.

    Parameters
    ----------
    path : Path
        PNG to write.
    before, after : ndarray (z, y, x)
        The stack before and after interpolation; both span the same depth.
    y : int
    z_scale : float
        z voxel size of `after` over its x voxel size; pixels are drawn in true proportion.
    """
    width = min(before.shape[2], _LARGEST)
    start = (before.shape[2] - width) // 2
    cuts = [stack[:, y, start : start + width] for stack in (before, after)]
    depth = (after.shape[0] - 1) * z_scale
    panel = 2 * _PANEL
    figure, axes = _grid(2, 1, panel, panel * depth / width, lines=1)
    titles = (f"xz cut before: {len(before)} slices", f"xz cut after: {len(after)} slices")
    lo, hi = np.percentile(cuts[0], (0.5, 99.5))
    for ax, cut, title in zip(axes, cuts, titles, strict=True):
        ax.imshow(
            cut,
            cmap="gray",
            vmin=lo,
            vmax=hi,
            interpolation="nearest",
            aspect="auto",
            extent=(0, width, depth, 0),
        )
        ax.set_title(title, fontsize=9, pad=4)
    _save(figure, path)


def middle(image: NDArray[Any]) -> NDArray[Any]:
    """The middle of a slice, at most 512 pixels a side."""
    h, w = (min(n, _LARGEST) for n in image.shape)
    y, x = ((n - m) // 2 for n, m in zip(image.shape, (h, w), strict=True))
    return image[y : y + h, x : x + w]


def _grid(
    rows: int, columns: int, width: float, height: float, lines: int
) -> tuple[Figure, list[Axes]]:
    """Panels of (width, height) inches without ticks, under titles of so many lines."""
    from matplotlib.figure import Figure

    total_w = columns * width + (columns + 1) * _GAP
    title = lines * _TITLE + _GAP
    total_h = rows * (height + title) + _GAP
    figure = Figure(figsize=(total_w, total_h), dpi=_DPI, facecolor="white")
    axes = []
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        left = _GAP + column * (width + _GAP)
        bottom = total_h - (row + 1) * (height + title)
        ax = figure.add_axes((left / total_w, bottom / total_h, width / total_w, height / total_h))
        ax.set_axis_off()
        axes.append(ax)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path)
