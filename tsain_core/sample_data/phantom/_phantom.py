"""The phantom: a world laid out by its seed, and slices taken from it at any depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import TsainError
from ._detector import Detector
from ._world import World


def em_phantom(
    shape: tuple[int, int, int] = (24, 256, 256),
    *,
    seed: int = 0,
    z_step: float = 8.0,
    noise: float = 10.0,
    contrast_jitter: float = 0.0,
    z_positions: Sequence[float] | None = None,
) -> NDArray[np.uint8]:
    """Generate a stack that looks like neuropil in serial-section electron microscopy.

    Neurites of many calibres with their membranes, mitochondria, vesicles, synapses and
    microtubules are laid out in continuous space and cut into sections of finite thickness, so a
    membrane that runs obliquely through a section is wide and faint. The same arguments give the
    same voxels on every machine.

    Parameters
    ----------
    shape : (int, int, int)
        Slices, rows, columns.
    seed : int
        Not negative.
    z_step : float
        Distance of the slices over the width of a pixel; sections are as thick. At a pixel of
        5 nm the default is 40 nm.
    noise : float
        Standard deviation of the shot noise at middle grey, in grey levels.
    contrast_jitter : float
        Standard deviation of a random gain a slice; 0.1 is that of badly stained sections.
    z_positions : sequence of float, optional
        Depths to cut at, in slices from the first (0 to `shape[0] - 1`, fractions allowed);
        default is every slice. The slice at a depth is the same whichever others are drawn.

    Returns
    -------
    ndarray of uint8 (z, y, x)

    Raises
    ------
    TsainError
        If the shape is too small, or a value is out of range.
    """
    _check(shape, seed, z_step, noise, contrast_jitter)
    depths = np.arange(shape[0]) if z_positions is None else np.asarray(z_positions, np.float64)
    if depths.ndim != 1 or np.any(~(depths >= 0)) or np.any(depths > shape[0] - 1):
        raise TsainError(
            f"z_positions {z_positions} leave the phantom; expected a list of depths from 0 to "
            f"{shape[0] - 1}."
        )
    world = World(shape, seed, z_step)
    detector = Detector(shape, seed, noise, contrast_jitter)
    stack = np.empty((len(depths), *shape[1:]), np.uint8)
    for i, depth in enumerate(depths):
        stack[i] = detector.expose(world.section(float(depth)), float(depth))
    return stack


def _check(
    shape: tuple[int, int, int], seed: int, z_step: float, noise: float, jitter: float
) -> None:
    if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 16:
        raise TsainError(
            f"Phantom of shape {tuple(shape)}; expected (z, y, x) with at least one slice of "
            "16 x 16 pixels."
        )
    if seed < 0 or z_step <= 0 or noise < 0 or jitter < 0:
        raise TsainError(
            f"Phantom with seed {seed}, z_step {z_step}, noise {noise}, contrast_jitter {jitter}; "
            "expected z_step above 0 and no negative value."
        )
