"""Finding damaged slices."""

from __future__ import annotations

from contextlib import closing

from ..inspection import Inspection, inspect_stack
from ..inspection.sketch import MEMORY
from .arguments import OnProgress, Source, as_volume


def inspect(
    source: Source,
    *,
    dataset: str | None = None,
    memory: int = MEMORY,
    progress: OnProgress | None = None,
) -> Inspection:
    """Find slices that are missing, copied, torn, blurred, shifted or otherwise damaged.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    dataset : str, optional
        Path inside the source file.
    memory : int
        Bytes of grey values that are read at once.
    progress : callable, optional
        Called with the share that is done, 0 to 1.

    Returns
    -------
    Inspection
        `findings` with a reason and a severity each; `damaged` are the slices to give to
        `interpolate` as `replace`.

    Raises
    ------
    TsainError
        If the stack cannot be read, or has fewer than 3 slices.

    Examples
    --------
    >>> found = tsain.inspect("stack.tif")
    >>> repaired = tsain.interpolate("stack.tif", replace=found.damaged)
    """
    work = inspect_stack(as_volume(source, dataset=dataset), memory)
    with closing(work):
        while True:
            try:
                looked = next(work)
            except StopIteration as end:
                result: Inspection = end.value
                return result
            if progress is not None:
                progress(looked.done / looked.total)
