"""Where a network samples for one pixel."""

from __future__ import annotations

import math
from fractions import Fraction

from ..errors import TsainError
from ..inference.intensity import estimate_range
from ..inference.models import BASELINES, InferenceSettings, run_to_end
from ..inference.models.catalogue import as_network
from ..interpolation.schedule import reachable_fraction
from ..offsets import QueryPoints, SamplingProbe
from ..stack_check import choose_model
from ..volumes import Volume
from .arguments import Model, Source, as_model, as_volume

_POSITIONS = 8  # of a gap that can be told apart


def sampling_points(
    source: Source,
    z: float,
    y: float,
    x: float,
    *,
    model: Model = "auto",
    settings: InferenceSettings | None = None,
) -> QueryPoints:
    """Where a network samples to compute one pixel of a slice between two slices.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    z : float
        Place of the computed slice, in slices of the source: 12.5 lies halfway between 12 and 13.
        It is rounded to eighths for networks that compute the middle only.
    y, x : float
        The pixel.
    model : str, path or SliceModel
        A network; "auto" takes the best for the stack, by a check on some of its slices.
    settings : InferenceSettings, optional

    Returns
    -------
    QueryPoints
        Points, offsets and masks of each step, in pixels of the slice.

    Raises
    ------
    TsainError
        If z is a real slice, the place lies outside the stack, or the model is no network.

    Examples
    --------
    >>> points = tsain.sampling_points("stack.tif", 12.5, 100, 80)
    >>> points.rsab[0].y, points.rsab[0].x  # the nine taps of the first step
    """
    volume = as_volume(source)
    depth, height, width = volume.shape
    below = math.floor(z)
    if not 0 <= z <= depth - 1 or z == below:
        raise TsainError(
            f"z is {z:g}; a place between two slices of 0 to {depth - 1} is needed, such as 0.5."
        )
    if not (0 <= y < height and 0 <= x < width):
        raise TsainError(
            f"({y:g}, {x:g}) lies outside the slice; y below {height} and x below {width} are "
            "needed, from 0."
        )
    opened = as_network(as_model(_best_network(volume, model, settings), settings))
    limits = estimate_range(volume, opened.scaling)
    before, after = (limits.to_unit(volume[i]) for i in (below, below + 1))
    fraction = Fraction(z - below)
    if not opened.any_position:
        fraction = reachable_fraction(fraction, _POSITIONS)
    return SamplingProbe(opened, before, after, fraction).at(y, x)


def _best_network(volume: Volume, model: Model, settings: InferenceSettings | None) -> Model:
    """The model; for "auto" the best network for the stack, as baselines sample nowhere."""
    if model != "auto":
        return model
    chosen = run_to_end(choose_model(volume, settings or InferenceSettings()))
    check = chosen.check
    return check.best(set(check.scores) - set(BASELINES)) if check else chosen.name
