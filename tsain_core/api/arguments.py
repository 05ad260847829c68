"""What the functions of the front door take: stacks and models, in any form."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike

from ..errors import TsainError
from ..inference.models import InferenceSettings, SliceModel, open_model, run_to_end
from ..stack_check import choose_model
from ..volumes import Volume, open_volume, with_size
from ..volumes.volume import Triple, check_stack

#: A stack: the path or URL of one, an opened one, or an array (z, y, x).
Source = str | os.PathLike[str] | Volume | ArrayLike
#: The name of a model, the path of a model file, or an opened model.
Model = str | os.PathLike[str] | SliceModel
#: Called with the share of the work that is done, 0 to 1.
OnProgress = Callable[[float], object]
_Result = TypeVar("_Result")


class Counted(Protocol):
    """An event of work that knows how much of it is done."""

    @property
    def done(self) -> float: ...

    @property
    def total(self) -> float: ...


def is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is a path, a URL or a name."""
    return isinstance(value, str | os.PathLike)


def as_triple(values: Sequence[float]) -> Triple:
    """Three numbers (z, y, x) as Python's own, also of an array or a list."""
    z, y, x = (float(value) for value in values)
    return z, y, x


def as_volume(
    source: Any,
    voxel_size: Triple | None = None,
    unit: str | None = None,
    dataset: str | None = None,
) -> Volume:
    """The stack, with the voxel size and unit that are given by hand."""
    if is_path(source):
        volume = open_volume(source, dataset=dataset)
    elif isinstance(source, Volume):
        volume = source
    else:
        array = source if hasattr(source, "shape") and hasattr(source, "dtype") else None
        array = np.asarray(source) if array is None else array
        check_stack(tuple(array.shape), array.dtype, "The array")
        if not isinstance(array, da.Array):
            array = da.from_array(array, chunks=(1, *array.shape[1:]))
        volume = Volume(array)
    return with_size(volume, voxel_size, unit)


def model_for(volume: Volume, model: Any, settings: InferenceSettings | None) -> SliceModel:
    """As `as_model`; "auto" is the best for the volume, by a check on some of its slices."""
    return (
        as_model(*choice_for(volume, model, settings))
        if is_path(model)
        else as_model(model, settings)
    )


def choice_for(
    volume: Volume, model: str | os.PathLike[str], settings: InferenceSettings | None
) -> tuple[str, InferenceSettings | None]:
    """Name or path of a model, and its settings; for "auto" the best for the volume."""
    if model != "auto":
        return os.fspath(model), settings
    chosen = run_to_end(choose_model(volume, settings or InferenceSettings()))
    return chosen.name, chosen.settings


def as_model(model: Any, settings: InferenceSettings | None) -> SliceModel:
    """The model, opened with these settings unless it is open."""
    if is_path(model):
        return open_model(os.fspath(model), settings or InferenceSettings())
    if settings is not None:
        raise TsainError(
            "settings are for a model that is given by name; an opened model has its own: leave "
            "them out, or pass them to open_model."
        )
    opened: SliceModel = model
    return opened


def finished(
    work: Generator[Counted, None, _Result], progress: OnProgress | None = None
) -> _Result:
    """What work comes to; after each of its events `progress` gets the share that is done."""

    def tell(event: Counted) -> None:
        if progress is not None:
            progress(event.done / max(event.total, 1))

    return run_to_end(work, tell)
