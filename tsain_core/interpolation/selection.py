"""Selection of slices: what a request wants of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from ..errors import TsainError, argument
from ..system.records import Record
from .schedule import Schedule, between, by_factor, by_step


@dataclass(frozen=True)
class SliceSelection(Record):
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

    def __post_init__(self) -> None:
        if self.between and (self.damaged or self.z_size is not None):
            raise TsainError(
                f"{argument('between')} goes with {argument('factor')} only; leave out "
                f"{argument('replace')} and {argument('z_size')}."
            )
        if self.factor is not None and self.z_size is not None:
            raise TsainError(
                f"{argument('factor')} and {argument('z_size')} both say how many slices; give one "
                "of them."
            )
        if self.z_size is not None and not (isfinite(self.z_size) and self.z_size > 0):
            raise TsainError(
                f"The z size is {self.z_size:g}; a positive number is required "
                f"({argument('z_size')})."
            )
        if self.factor == 1 and not self.damaged:
            raise TsainError(
                "A factor of 1 adds no slices; choose 2 or more "
                f"({argument('factor')}), or replace some ({argument('replace')})."
            )

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
            If the values do not fit the volume.
        """
        if self.between:
            first, last = self.between
            return between(depth, first, last, self._factor(2), any_position)
        if self.z_size is None:
            factor = self._factor(1 if self.damaged else 2)
            return by_factor(depth, factor, self.damaged, any_position)
        if voxel_z is None:
            raise TsainError(
                f"The stack has no voxel size, so {argument('z_size')} means nothing; give "
                f"{argument('voxel_size')}, or use {argument('factor')} instead."
            )
        step = Fraction(min(self.z_size / voxel_z, 1e6)).limit_denominator(1000)
        return by_step(depth, step, self.damaged, any_position)

    def _factor(self, usual: int) -> int:
        return usual if self.factor is None else self.factor


def format_slices(slices: Sequence[int]) -> str:
    """Slice numbers as text, the inverse of `schedule.parse_slices`: (12, 57, 58) -> "12,57-58"."""
    runs: list[list[int]] = []
    for z in sorted(set(slices)):
        if runs and z == runs[-1][1] + 1:
            runs[-1][1] = z
        else:
            runs.append([z, z])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
