"""Which of the arrays in a file is meant."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import TsainError, argument
from .volume import accepted_dtypes


def choose_dataset(
    file: str,
    found: Mapping[str, tuple[tuple[int, ...], str]],
    dataset: str | None,
    preferred: str | None = None,
) -> str:
    """The dataset that is meant: by name, by convention, or as the only stack there is.

    Raises
    ------
    TsainError
        With a list of what is there.
    """
    listing = ", ".join(
        f"{name} ({' x '.join(map(str, shape))} {dtype})" for name, (shape, dtype) in found.items()
    )
    if dataset is not None:
        if dataset.strip("/") in found:
            return dataset.strip("/")
        raise TsainError(
            f"{file} has no dataset {dataset!r}; expected one of: {listing or 'it has none'}."
        )
    if preferred in found:
        return str(preferred)
    stacks = [name for name, (shape, _) in found.items() if _is_stack(shape)]
    grey = [name for name in stacks if found[name][1].lstrip("<>=|") in accepted_dtypes()]
    for candidates in (stacks, grey):  # labels beside a stack are no question
        if len(candidates) == 1:
            return candidates[0]
    if not found:
        raise TsainError(f"{file} holds no dataset; expected one with a grey stack (z, y, x).")
    if len(found) == 1:
        return next(iter(found))  # what is wrong with it is said later
    raise TsainError(
        f"{file} holds several datasets, and it is not clear which is meant: {listing}; "
        f"name one with {argument('dataset')}."
    )


def _is_stack(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) > 3 and sum(n > 1 for n in shape) == 3)
