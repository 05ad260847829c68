"""A report as one HTML page that needs no other file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import __version__
from ..evaluation.intervals import Interval
from ..interpolation.selection import format_slices
from .plots import error_png, grey_png, means_plot, shown_name, slices_plot
from .report import MEASURES, StackReport, WorstCase

_HEADS = {
    "psnr": "PSNR, dB",
    "structure": "structure, dB",
    "ssim": "SSIM",
    "ie": "IE, grey levels",
    "sharpness": "sharpness",
}
_DIGITS = {"ssim": 3}


def html_page(report: StackReport) -> str:
    """The page; names of stacks and models are text in it, whatever they hold."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    loader = PackageLoader(__package__, "")
    # text from files is escaped; only the plots, made here, are markup
    template = Environment(loader=loader, autoescape=True).get_template("page.html.j2")
    plots = [means_plot(report, m, _HEADS[m]) for m in ("psnr", "structure", "ssim", "sharpness")]
    plots += [slices_plot(report, m, _HEADS[m]) for m in ("psnr", "structure")]
    others = [name for name in report.check.scores if name != report.chosen]
    return template.render(
        report=report,
        software=f"napari-tsain {__version__}",
        verdicts=report.sentences(),
        slices=report.check.slices,
        numbers=format_slices(report.check.slices).replace(",", ", "),
        shaded=any(set(c.slices) & set(report.check.slices) for c in report.cautions),
        heads=_HEADS,
        rows=[
            {
                "name": shown_name(name),
                "chosen": name == report.chosen,
                "cells": [_cell(report.mean(name, m), m) for m in MEASURES],
            }
            for name in report.check.scores
        ],
        differences=[
            {
                "name": shown_name(name),
                "outcome": report.verdict(name).outcome,
                "cells": [
                    _cell(report.difference(name, m), m, "+")
                    for m in ("quality", "psnr", "structure", "ssim")
                ],
            }
            for name in others
        ],
        plots=[Markup(plot) for plot in plots],
        cases=[_case(case, report) for case in report.worst],
    )


def _cell(found: Interval, measure: str, sign: str = "") -> dict[str, str]:
    digits = _DIGITS.get(measure, 2)

    def text(value: float) -> str:
        nothing = round(value, digits) == 0 if math.isfinite(value) else False
        return f"{0:.{digits}f}" if nothing else f"{value:{sign}.{digits}f}"

    mean, low, high = (text(value) for value in (found.mean, found.low, found.high))
    return {"mean": mean, "range": f"{low} to {high}" if math.isfinite(found.low) else "one slice"}


def _case(case: WorstCase, report: StackReport) -> dict[str, Any]:
    low, high = (float(v) for v in np.nanpercentile(case.truth, (0.5, 99.5)))
    s = case.scores
    shown = (
        (f"slice {case.z - 1}, before", case.before),
        (f"slice {case.z}, real", case.truth),
        (f"slice {case.z + 1}, after", case.after),
        (f"by {report.chosen}", case.computed),
        (f"by {shown_name(report.rival)}", case.other),
    )
    pictures = [{"text": text, "url": grey_png(image, low, high)} for text, image in shown]
    error = error_png(case.computed - case.truth)
    pictures.append({"text": f"error of {report.chosen}", "url": error})
    words = (
        f"PSNR {s.psnr:.2f} dB, structure {s.structure:.2f} dB, SSIM {s.ssim:.3f}, "
        f"mean absolute difference {s.ie:.1f} grey levels"
    )
    return {"z": case.z, "words": words, "pictures": pictures}
