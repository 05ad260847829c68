"""What kind of damage the numbers of a slice speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .findings import Kind
from .statistics import Look

if TYPE_CHECKING:
    from .judge import Excesses

_BROAD, _ROWS = 0.87, 0.57  # from here on a stain is broad, or made of streaks


def name_damage(x: Look, scores: Excesses) -> tuple[Kind, str]:
    """Kind and reason."""
    if scores.shift >= 1:
        return "shifted", "lies ({:+.0f}, {:+.0f}) pixels (y, x) off its neighbours".format(
            *x.shift
        )
    content = max(scores.lost, scores.parts)
    stained = max(scores.tone, scores.streak, scores.height)
    whole = max(scores.level, scores.gain)
    if scores.focus >= 1 and scores.focus >= max(scores.tone, scores.flat):
        share = 100 * float(np.exp(-x.focus.max()))
        return "out of focus", f"{share:.0f} % of the fine detail of its neighbours"
    if whole >= 1 and content < 1 and whole >= stained / 2:
        return "contrast jump", _tone_words(x)
    stain = x.stain
    streaks = stain.rows > _ROWS if stain else scores.streak > max(scores.tone, content)
    if stained >= 1 and streaks:
        return "charging", "brighter and darker streaks along its rows"
    if stained >= 1 and stain and stain.coarse > _BROAD:
        way = "brighter" if x.tone[np.abs(x.tone).argmax()] > 0 else "darker"
        return "charging", f"a broad part of it is {way} than its neighbours"
    if scores.flat >= 1:
        return "torn or folded", f"{100 * x.flat:.0f} % of a part of it has a single grey value"
    if max(content, stained, scores.tails) >= whole:
        if scores.line >= max(1.0, content):
            return "torn or folded", "a long line across it is brighter or darker than beside it"
        tiles = x.lost[0]
        share = float(np.mean(tiles > 0)) if np.isfinite(tiles).all() else 1.0
        return "torn or folded", f"{100 * share:.0f} % of its parts do not fit its neighbours"
    return "contrast jump", _tone_words(x)


def _tone_words(x: Look) -> str:
    way = "brighter" if x.level > 0 else "darker"
    level = f"{100 * abs(x.level):.0f} % of the usual spread of grey values {way}"
    return f"{level}, {np.exp(x.gain):.2f} times the contrast of its neighbours"
