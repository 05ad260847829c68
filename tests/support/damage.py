"""Damage of known kind put into clean slices, with every size and place drawn by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.ndimage import shift as translate

Array = NDArray[Any]
Random = np.random.Generator


def damage(stack: Array, z: int, kind: str, random: Random) -> Array:
    """A copy of a stack (z, y, x), uint8, with slice `z` damaged; "thickness" loses slices.

    Parameters
    ----------
    kind : str
        A key of `KINDS`, or "thickness": slices before `z` are gone.
    """
    if kind == "thickness":
        lost = int(random.integers(1, 3))
        return np.delete(stack, range(z - lost, z), 0)
    result = stack.copy()
    result[z] = np.clip(np.round(KINDS[kind](stack, z, random)), 0, 255)
    return result


def _missing(stack: Array, z: int, random: Random) -> Array:
    level = random.choice([0, 255, float(stack.mean())])
    noise = random.choice([0, 0, 2])
    return level + random.normal(0, noise, stack[z].shape)


def _duplicate(stack: Array, z: int, random: Random) -> Array:
    noise = random.choice([0, 0, 1])
    return stack[z + random.choice([-1, 1])] + random.normal(0, noise, stack[z].shape)


def _line(shape: tuple[int, int], random: Random) -> Array:
    """Distance in pixels of each pixel from a wavy line across the slice."""
    y, x = np.indices(shape, float)
    angle = random.uniform(0, np.pi)
    middle = random.uniform(0.3, 0.7, 2) * shape
    along = (y - middle[0]) * np.sin(angle) + (x - middle[1]) * np.cos(angle)
    across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
    return across + 0.03 * shape[0] * np.sin(along / shape[0] * random.uniform(4, 12))


def _moved(image: Array, distance: Array, step: float) -> Array:
    y, x = np.indices(image.shape, float)
    gradient = np.gradient(distance)
    beyond = step * (distance > 0)
    places = y - gradient[0] * beyond, x - gradient[1] * beyond
    moved: Array = map_coordinates(image.astype(float), places, order=1, mode="reflect")
    return moved


def _torn(stack: Array, z: int, random: Random) -> Array:
    image = stack[z]
    distance = _line(image.shape, random)
    width = random.uniform(0.02, 0.06) * image.shape[0]
    gap = np.abs(distance + random.normal(0, 1, image.shape)) < width
    paint = random.choice([250, 235, 5])
    moved = _moved(image, distance, random.uniform(2, 8))
    return np.where(gap, paint + random.normal(0, 3, image.shape), moved)


def _folded(stack: Array, z: int, random: Random) -> Array:
    image = stack[z]
    distance = _line(image.shape, random)
    width = random.uniform(0.02, 0.06) * image.shape[0]
    moved = _moved(image, distance, random.uniform(0.04, 0.12) * image.shape[0])
    return np.where(np.abs(distance) < width, (image / 255.0) * moved * 0.6, moved)


def _blurred(stack: Array, z: int, random: Random) -> Array:
    soft = gaussian_filter(stack[z].astype(float), random.uniform(1.5, 4))
    noise = random.choice([0, 0, 5])
    return soft + random.normal(0, noise, soft.shape)


def _contrast(stack: Array, z: int, random: Random) -> Array:
    image = stack[z].astype(float)
    if random.random() < 0.5:
        return image + random.choice([-1, 1]) * random.uniform(40, 80)
    gain = random.choice([random.uniform(0.3, 0.55), random.uniform(1.8, 2.5)])
    return (image - image.mean()) * gain + image.mean()


def _shifted(stack: Array, z: int, random: Random) -> Array:
    side = stack.shape[1]
    way = random.uniform(0, 2 * np.pi)
    size = random.uniform(0.03, 0.12) * side
    by = (size * np.sin(way), size * np.cos(way))
    return translate(stack[z].astype(float), by, order=1, mode="reflect")


def _charging(stack: Array, z: int, random: Random) -> Array:
    image = stack[z].astype(float)
    y, x = np.indices(image.shape, float)
    if random.random() < 0.5:
        middle = random.uniform(0.2, 0.8, 2) * image.shape
        size = random.uniform(0.08, 0.2) * image.shape[0]
        glow = np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * size**2))
        return image + random.choice([-1, 1, 1]) * random.uniform(90, 200) * glow
    rows = gaussian_filter(random.normal(0, 1, image.shape[0]), random.uniform(1, 4))
    rows *= random.uniform(30, 60) / rows.std()
    return image + rows[:, None]


#: Kind -> the damaged slice (y, x), from the stack, z and a random generator.
KINDS: dict[str, Callable[[Array, int, Random], Array]] = {
    "missing": _missing,
    "duplicate": _duplicate,
    "torn": _torn,
    "folded": _folded,
    "blurred": _blurred,
    "contrast": _contrast,
    "shifted": _shifted,
    "charging": _charging,
}
