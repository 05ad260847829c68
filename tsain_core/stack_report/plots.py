"""Plots of a report as inline SVG, and slices as inline PNG."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..inference.models import BASELINES
from .report import BLURRED, StackReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 44  # characters of a name in a plot
_SHOWN = 256  # side in pixels of what is shown of a slice
_LINES = 3  # methods in the plot along z, beside the chosen one
_ERROR = 64.0  # grey levels that have the strongest colour
_INK, _MUTED = "#12436d", "#8a94a0"
_COLOURS = ("#12436d", "#f46a25", "#28a197", "#801650")


def shown_name(name: str) -> str:
    """A method as a table names it: "mean, blurred by 2 pixels" for "mean-blur2"."""
    if name not in BASELINES:
        return name
    method, _, sigma = name.partition("-blur")
    text = method.replace("-", " ")
    return f"{text}, blurred by {sigma} pixel{'s' if sigma != '1' else ''}" if sigma else text


def label(name: str) -> str:
    """A name of a method as a plot can show it: short, in ASCII."""
    text = shown_name(name).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"


def means_plot(report: StackReport, measure: str, title: str) -> str:
    """Mean of a score with its interval, a row for each method."""
    names = list(report.check.scores)
    figure, ax = _axes(6.4, 0.6 + 0.25 * len(names))
    for i, name in enumerate(names):
        found = report.mean(name, measure)
        colour = _INK if name == report.chosen else _MUTED
        if np.isfinite(found.low):
            ax.plot((found.low, found.high), (i, i), color=colour, linewidth=2)
        ax.plot(found.mean, i, "o", color=colour, markersize=6)
    ax.set_yticks(range(len(names)))
    ax.set_yticklabels([label(n) for n in names], parse_math=False, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(title, fontsize=8)
    ax.grid(axis="x", color="#dddddd")
    return _svg(figure, f"{title}: mean and 95 % interval of each method")


def slices_plot(report: StackReport, measure: str, title: str) -> str:
    """A score along z, of the chosen model and of those to compare with."""
    check = report.check
    others = [n for n in check.scores if n != report.chosen and not n.endswith(BLURRED)]
    others.sort(key=lambda n: n not in (report.rival, "mean"))
    figure, ax = _axes(6.4, 2.4)
    shown = [report.chosen, *others[:_LINES]]
    for name, colour in zip(shown, _COLOURS, strict=False):
        values = [getattr(s, measure) for s in check.scores[name]]
        ax.plot(check.slices, values, "o-", color=colour, markersize=3, linewidth=1)
    marked = {z for caution in report.cautions for z in caution.slices if z in check.slices}
    for z in sorted(marked):
        ax.axvspan(z - 0.4, z + 0.4, color="#f4d9a0", zorder=0, linewidth=0)
    key = ax.legend([label(n) for n in shown], fontsize=7, frameon=False, ncols=2)
    for text in key.get_texts():
        text.set_parse_math(False)
    ax.set_xlabel("slice (z)", fontsize=8)
    ax.set_ylabel(title, fontsize=8)
    return _svg(figure, f"{title} along z")


def grey_png(image: NDArray[np.float32], low: float, high: float) -> str:
    """The middle of a slice as a data URL, grey values from low to high."""
    scaled = (_middle(image) - low) * (255 / max(high - low, 1e-6))
    return _png(np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8))


def error_png(error: NDArray[np.float32]) -> str:
    """The middle of an error as a data URL: blue where too dark, red where too bright."""
    import matplotlib

    share = np.nan_to_num(_middle(error)) / (2 * _ERROR) + 0.5
    colours = matplotlib.colormaps["RdBu_r"](np.clip(share, 0, 1))
    return _png((255 * colours[..., :3]).astype(np.uint8))


def _middle(image: NDArray[np.float32]) -> NDArray[np.float32]:
    starts = [max(n - _SHOWN, 0) // 2 for n in image.shape]
    return image[starts[0] : starts[0] + _SHOWN, starts[1] : starts[1] + _SHOWN]


def _png(image: NDArray[np.uint8]) -> str:
    import imageio.v3

    file = imageio.v3.imwrite("<bytes>", image, extension=".png")
    return "data:image/png;base64," + base64.b64encode(file).decode()


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    ax = figure.add_subplot()
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element without the declarations of a file of its own."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata={**nothing, "Title": title})
    text = file.getvalue()
    return re.sub(r"<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
