"""Pictures of results, as PNG: a slice beside its neighbours, and cuts along z."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..volumes import unit_symbol
from .metrics import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_PANEL = 3.2  # inches
_TITLE = 0.42  # inches above a panel
_GAP = 0.1  # inches between panels
_LARGEST = 512  # pixels of a slice that a panel shows, from the middle


def interpolation_figure(
    path: Path,
    before: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
    truth: NDArray[Any],
    after: NDArray[Any],
    *,
    pixel: tuple[float, str] | None = None,
) -> None:
    """Draw a slice left out: its neighbours, the true one, and what each method made of it.

    Parameters
    ----------
    path : Path
        PNG to write.
    before, truth, after : ndarray (y, x)
        In grey levels 0 to 255.
    predicted : mapping
        Name of a method -> its slice (y, x); the scores in the titles are of whole slices.
    pixel : (float, str), optional
        Width of a pixel and its unit, for a scale bar.
    """
    given = [("slice before", "", before), ("true slice, left out", "", truth)]
    given.append(("slice after", "", after))
    made = []
    for name, image in predicted.items():
        s = score(np.asarray(image, np.float32), truth)
        text = f"PSNR {s.psnr:.1f}, structure {s.structure:.1f} dB, sharpness {s.sharpness:.2f}"
        made.append((name, text, image))
    rows = [given, *(made[i : i + 3] for i in range(0, len(made), 3))]
    shape = middle(truth).shape
    figure, axes = _grid([len(row) for row in rows], _PANEL, _PANEL * shape[0] / shape[1])
    lo, hi = np.percentile(truth, (0.5, 99.5))
    for ax, (title, text, image) in zip(axes, (p for row in rows for p in row), strict=True):
        ax.imshow(middle(image), cmap="gray", vmin=lo, vmax=hi, interpolation="nearest")
        _title(ax, title, text)
    if pixel:
        _scale_bar(axes[0], shape[1], *pixel)
    figure.savefig(path)


def xz_figure(
    path: Path,
    before: NDArray[Any],
    after: NDArray[Any],
    y: int,
    z_scale: float,
    *,
    pixel: tuple[float, str] | None = None,
) -> None:
    """Draw the cut along z at row `y`: the slices as they came, and with those in between.

    Parameters
    ----------
    path : Path
        PNG to write.
    before, after : ndarray (z, y, x)
        The stack before and after interpolation; the first and the last slice are the same.
    y : int
    z_scale : float
        z voxel size of `after` over its x voxel size; pixels are drawn in true proportion.
    pixel : (float, str), optional
        Width of a pixel and its unit, for a scale bar.
    """
    width = min(before.shape[2], _LARGEST)
    start = (before.shape[2] - width) // 2
    depth = (len(after) - 1) * z_scale
    beside = depth > width / 2
    panel = 2 * _PANEL if beside else 3 * _PANEL
    figure, axes = _grid([2] if beside else [1, 1], panel, panel * depth / width)
    lo, hi = np.percentile(before[:, y], (0.5, 99.5))
    for ax, stack, title in zip(axes, (before, after), ("before", "after"), strict=True):
        # A slice lies at its depth and reaches half a step to both sides of it; the picture ends
        # in the middle of the first and the last, so that both cuts show the same depths.
        half = depth / (len(stack) - 1) / 2
        ax.imshow(
            stack[:, y, start : start + width],
            cmap="gray",
            vmin=lo,
            vmax=hi,
            interpolation="nearest",
            aspect="auto",
            extent=(0, width, depth + half, -half),
        )
        ax.set_ylim(depth, 0)
        _title(ax, f"xz cut {title} interpolation", f"{len(stack)} slices, row {y}")
    if pixel:
        _scale_bar(axes[0], width, *pixel)
    figure.savefig(path)


def middle(image: NDArray[Any]) -> NDArray[Any]:
    """The middle of a slice, at most 512 pixels a side."""
    h, w = (min(n, _LARGEST) for n in image.shape)
    y, x = ((n - m) // 2 for n, m in zip(image.shape, (h, w), strict=True))
    return image[y : y + h, x : x + w]


def _grid(rows: Sequence[int], width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Panels of (width, height) inches without ticks, so many a row, short rows in the middle."""
    from matplotlib.figure import Figure

    total_w = max(rows) * (width + _GAP) + _GAP
    total_h = len(rows) * (height + _TITLE) + _GAP
    figure = Figure(figsize=(total_w, total_h), dpi=_DPI, facecolor="white")
    axes = []
    for row, count in enumerate(rows):
        margin = (total_w - count * (width + _GAP) + _GAP) / 2
        bottom = total_h - (row + 1) * (height + _TITLE)
        for column in range(count):
            left = margin + column * (width + _GAP)
            box = left / total_w, bottom / total_h, width / total_w, height / total_h
            ax = figure.add_axes(box)
            ax.set_axis_off()
            axes.append(ax)
    return figure, axes


def _title(ax: Axes, title: str, text: str) -> None:
    """A name over the left end of a panel, and a line of small print under it."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(title, (0, 1), (0, 14 if text else 4), fontsize=10, weight="bold", **place)
    ax.annotate(text, (0, 1), (0, 4), fontsize=8, color="0.25", **place)


def _scale_bar(ax: Axes, width: int, size: float, unit: str) -> None:
    """A bar of 1, 2 or 5 times a power of ten, about a quarter of a panel of `width` pixels."""
    from matplotlib.patheffects import withStroke

    longest = width * size / 4
    power = 10.0 ** floor(log10(longest))
    length = max(k for k in (1, 2, 5) if k * power <= longest) * power
    end, share = 0.96, length / size / width
    edge = [withStroke(linewidth=3, foreground="black")]
    ax.plot(
        [end - share, end], [0.05, 0.05], color="white", linewidth=3, transform=ax.transAxes,
        solid_capstyle="butt", path_effects=[withStroke(linewidth=5, foreground="black")],
    )  # fmt: skip
    ax.annotate(
        f"{length:g} {unit_symbol(unit)}", (end - share / 2, 0.05), (0, 4), color="white",
        xycoords="axes fraction", textcoords="offset points", ha="center", fontsize=9,
        path_effects=edge,
    )  # fmt: skip
