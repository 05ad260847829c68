"""Axes of an array: what programs call them, which are z, y and x, and a view in that order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from .volume import Shape, check_stack

#: Attributes that name axes: of ilastik, xarray, funlib, BigDataViewer's and others' exports.
_NAMING = (
    "axistags",
    "_array_dimensions",
    "axis_names",
    "axes",
    "axisorder",
    "axis_order",
    "axis_labels",
    "dimension_names",
    "dimension_labels",
    "dimensions",
    "dims",
)
_SYNONYMS = {
    **dict.fromkeys(("depth", "slice", "slices", "section", "sections", "plane", "planes"), "z"),
    **dict.fromkeys(("height", "row", "rows"), "y"),
    **dict.fromkeys(("width", "column", "columns", "col", "cols"), "x"),
    **dict.fromkeys(("time", "frame", "frames"), "t"),
    **dict.fromkeys(("channel", "channels"), "c"),
}
#: Names that say something: those of time and channels alone tell no order.
_KNOWN = set("zyx")
#: "x_axis", "dim_z", "Z [nm]", "pos y"
_WORD = "(?:axis|dim|dimension|pos|position|coord)?"
_DECORATED = re.compile(rf"{_WORD}[_\- ]?([zyxtc])[_\- ]?{_WORD}")


def axis_name(name: Any) -> str:
    """A name of an axis in lower case, "z", "y", "x", "t" or "c" where it means one of these."""
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    text = re.sub(r"[\[(].*", "", text).strip().lower()
    found = _DECORATED.fullmatch(text)
    return found.group(1) if found else _SYNONYMS.get(text, text)


def named_axes(attributes: Mapping[str, Any], ndim: int) -> tuple[str, ...]:
    """Names that the attributes of an array give its axes; empty where they give none."""
    lower = {str(key).lower(): value for key, value in attributes.items()}
    for key in _NAMING:
        names = _names_in(lower.get(key))
        if len(names) == ndim and _KNOWN & set(names):
            return names
    return ()


def _names_in(value: Any) -> tuple[str, ...]:
    """Names in a list, in a text such as "zyx" or "z, y, x", or in JSON with a key for each."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("{", "["):
            try:
                return _names_in(json.loads(text))
            except (ValueError, RecursionError):
                return ()
        parts = re.split(r"[\s,;/]+", text)
        return tuple(map(axis_name, parts if len(parts) > 1 else text))
    if isinstance(value, Mapping):
        return _names_in(value.get("axes"))
    if value is None or np.ndim(value) != 1 and not isinstance(value, (list, tuple)):
        return ()
    return tuple(axis_name(_name_of(item)) for item in value)


def _name_of(item: Any) -> Any:
    if isinstance(item, Mapping):
        return next((item[key] for key in ("key", "name", "label") if key in item), "")
    return "" if item is None else item


def axis_order(names: Sequence[str], title: str) -> Shape:
    """Where z, y and x are among named axes.

    Raises
    ------
    TsainError
        If one of them is not named, or twice.
    """
    found = [axis_name(name) for name in names]
    if any(found.count(axis) != 1 for axis in "zyx"):
        raise TsainError(
            f"{title} has axes {', '.join(found) or '(none)'}; z, y and x are required: save a "
            "stack whose axes are named so."
        )
    return found.index("z"), found.index("y"), found.index("x")


def stack_order(names: Sequence[str], shape: tuple[int, ...], dtype: Any, title: str) -> Shape:
    """Where z, y and x are among the axes of an array; all others must have length 1.

    Parameters
    ----------
    names : sequence of str
        Of the axes; empty where they are not known: then z, y, x is assumed.
    shape : tuple of int
    dtype : numpy dtype
    title : str
        Of the array, for errors.

    Raises
    ------
    TsainError
        If the array is no grey stack.
    """
    assumed = (*("",) * len(shape), "z", "y", "x")[-len(shape) :]
    if "" in names and all(n in ("", a) for n, a in zip(names, assumed, strict=True)):
        names = ()  # some axes are named, as they would be without
    informative = bool(_KNOWN & {axis_name(name) for name in names})
    if informative:
        order = axis_order(names, title)
    else:
        long = [axis for axis, n in enumerate(shape) if n != 1]
        last = tuple(range(len(shape) - 3, len(shape)))
        colour = len(shape) == 4 and shape[-1] in (3, 4)
        if len(shape) < 3 or colour or len(long) > 3:
            check_stack(shape, dtype, title)
        z, y, x = long if len(long) == 3 else last
        order = z, y, x
    many = [axis for axis, n in enumerate(shape) if n != 1 and axis not in order]
    if many and not informative:
        check_stack(shape, dtype, title)
    if many:
        found = ", ".join(f"{shape[axis]} along {names[axis]}" for axis in many)
        raise TsainError(
            f"{title} has {found}; one channel and one time point are required: save that one."
        )
    stack = tuple(shape[axis] for axis in order)
    check_stack(stack, dtype, title)
    if max(stack) > _LONGEST or prod(stack[1:]) * np.dtype(dtype).itemsize > _LARGEST_SLICE:
        raise TsainError(
            f"{title} claims {' x '.join(map(str, stack))} voxels, more than any stack has: its "
            "metadata are damaged, copy it again."
        )
    return order


def spacing(places: NDArray[Any]) -> float | None:
    """Distance of evenly spaced places; None where they are not."""
    steps = np.diff(np.asarray(places, float))
    step = float(np.median(steps)) if steps.size else 0.0
    return abs(step) if step and np.allclose(steps, step, rtol=1e-3) else None


class StackView:
    """An array of any axis order as a stack (z, y, x); other axes have length 1 and are left out.

    Parameters
    ----------
    read : callable
        Takes an index with a slice or an integer for each axis of the array.
    shape, dtype
        Of the array.
    order : (z, y, x)
        Which of its axes they are.
    """

    ndim = 3

    def __init__(
        self,
        read: Callable[[tuple[Any, ...]], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: Any,
        order: Shape,
    ) -> None:
        self.read, self.order, self.axes = read, order, len(shape)
        self.shape = tuple(int(shape[axis]) for axis in order)
        self.dtype = np.dtype(dtype).newbyteorder("=")

    def __getitem__(self, index: tuple[Any, Any, Any]) -> NDArray[Any]:
        where: list[Any] = [0] * self.axes
        for axis, part in zip(self.order, index, strict=True):
            where[axis] = part
        block = np.asarray(self.read(tuple(where)), self.dtype)
        kept = [a for a, part in zip(self.order, index, strict=True) if isinstance(part, slice)]
        return block.transpose([sorted(kept).index(axis) for axis in kept])


#: Bytes that are read at once of an array without chunks whose slices are scattered over it.
_SLAB = 64 << 20
#: Most chunks along an axis that dask is told of; more, and tiny ones, are read together.
_MOST_CHUNKS = 2000
#: Sizes that no stack has: a header may promise what it likes.
_LONGEST, _LARGEST_SLICE = 2**31 - 1, 1 << 40


def reading_chunks(stack: StackView, stored: Sequence[int] | None) -> Shape:
    """(z, y, x) to read at once: what is stored together, or more where it is tiny."""
    if stored is not None:
        chunks = list(chunks_of(stack, stored))
    else:
        # without chunks the first axis is the slowest: slices along another lie scattered
        plane = stack.shape[1] * stack.shape[2] * stack.dtype.itemsize
        deep = 1 if stack.order[0] < min(stack.order[1:]) else max(1, _SLAB // plane)
        chunks = [min(deep, stack.shape[0]), *stack.shape[1:]]
    for axis in (1, 2):
        chunks[axis] *= max(1, -(-stack.shape[axis] // chunks[axis]) // _MOST_CHUNKS)
    z, y, x = chunks
    return z, y, x


def chunks_of(stack: StackView, stored: Sequence[int]) -> Shape:
    """(z, y, x) of what is stored together, from the chunks of an array."""
    z, y, x = (int(stored[axis]) for axis in stack.order)
    return z, y, x
