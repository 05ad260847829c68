"""Finding damaged slices."""

from __future__ import annotations

from ..inspection import Inspection, inspect_stack
from ..inspection.sketch import MEMORY
from .arguments import OnProgress, Source, as_volume, finished


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
    return finished(inspect_stack(as_volume(source, dataset=dataset), memory), progress)
