"""Selection of slices, shared by the command line and the plugin, and the command for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from ..errors import TsainError, argument
from ..inference.models import InferenceSettings
from .schedule import Schedule, between, by_factor, by_step


@dataclass(frozen=True)
class SliceSelection:
    """Which slices are wanted.

    Attributes
    ----------
    factor : int or None
        2 to 16 times as many slices; None is 2, or 1 where slices are only replaced.
    z_size : float or None
        Or the z voxel size wanted, in the volume's unit.
    damaged : tuple of int
        Slices to recompute, counted from 0; alone or together with one of the above.
    between : (int, int) or None
        Only the slices from one to the other, made finer by `factor`.
    """

    factor: int | None = None
    z_size: float | None = None
    damaged: tuple[int, ...] = ()
    between: tuple[int, int] | None = None

    def schedule(
        self, depth: int, voxel_z: float | None = None, any_position: bool = False
    ) -> Schedule:
        """The slices of the result.

        Parameters
        ----------
        depth : int
            Slices of the volume.
        voxel_z : float, optional
            Its z voxel size, in the unit of `z_size`.
        any_position : bool
            Whether the model reaches every position between two slices.

        Raises
        ------
        TsainError
            If the values contradict each other or the volume.
        """
        if self.between:
            if self.damaged or self.z_size is not None:
                raise TsainError(
                    f"{argument('between')} goes with {argument('factor')} only; leave out "
                    f"{argument('replace')} and {argument('z_size')}."
                )
            first, last = self.between
            return between(depth, first, last, self._factor(2), any_position)
        if self.z_size is None:
            factor = self._factor(1 if self.damaged else 2)
            return by_factor(depth, factor, self.damaged, any_position)
        if self.factor is not None:
            raise TsainError(
                f"{argument('factor')} and {argument('z_size')} both say how many slices; give one "
                "of them."
            )
        if voxel_z is None:
            raise TsainError(
                f"The stack has no voxel size, so {argument('z_size')} means nothing; give "
                f"{argument('voxel_size')}, or use {argument('factor')} instead."
            )
        if not (isfinite(self.z_size) and self.z_size > 0):
            raise TsainError(f"The z size is {self.z_size:g}; a positive number is required.")
        step = Fraction(min(self.z_size / voxel_z, 1e6)).limit_denominator(1000)
        return by_step(depth, step, self.damaged, any_position)

    def _factor(self, default: int) -> int:
        if self.factor is None:
            return default
        if self.factor == 1 and not self.damaged:
            raise TsainError("A factor of 1 adds no slices; choose 2 or more, or replace some.")
        return self.factor


def as_command(
    source: str,
    output: str,
    selection: SliceSelection,
    model: str,
    settings: InferenceSettings,
    *,
    dataset: str | None = None,
    voxel_size: Sequence[float] | None = None,
    unit: str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    cluster: str | None = None,
    repair_mask: str | None = None,
) -> str:
    """The `tsain` command that does the same, quoted for a shell.

    `voxel_size` (z, y, x) in `unit` is only needed where the file does not say it.
    """
    words = ["tsain", "interpolate", source, output]
    if dataset:
        words += ["--dataset", dataset]
    if voxel_size:
        words += ["--voxel-size", *(_number(v) for v in voxel_size)]
    if unit:
        words += ["--unit", unit]
    if selection.between:
        words += ["--between", *(str(z) for z in selection.between)]
    if selection.factor:
        words += ["--factor", str(selection.factor)]
    if selection.z_size is not None:
        words += ["--z-size", _number(selection.z_size)]
    if selection.damaged:
        words += ["--replace", format_slices(selection.damaged)]
    if repair_mask:
        words += ["--repair-mask", repair_mask]
    words += ["--model", model]
    defaults = InferenceSettings()
    for option in ("device", "precision", "tile", "halo", "detail", "ensemble"):
        value = getattr(settings, option)
        if value != getattr(defaults, option):
            words += [f"--{option}", _number(value) if isinstance(value, float) else str(value)]
    if settings.compile:
        words.append("--compile")
    if overwrite:
        words.append("--overwrite")
    if restart:
        words.append("--restart")
    if cluster:
        words += ["--dask", cluster]
    return shlex.join(words)


def _number(value: float) -> str:
    """A number as short as it may be, without loss."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def format_slices(slices: Sequence[int]) -> str:
    """Slice numbers as text, the inverse of `schedule.parse_slices`: (12, 57, 58) -> "12,57-58"."""
    runs: list[list[int]] = []
    for z in sorted(set(slices)):
        if runs and z == runs[-1][1] + 1:
            runs[-1][1] = z
        else:
            runs.append([z, z])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
