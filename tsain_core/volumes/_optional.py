"""Readers whose packages are extras: the error names the extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import TsainError


@contextmanager
def extra_for(title: str, kind: str, extra: str) -> Iterator[None]:
    """Turn a package that is not installed into a line that says how to install it.

    Parameters
    ----------
    title : str
        What is read, for the message.
    kind : str
        Its format.
    extra : str
        The extra of this project that brings the package.

    Raises
    ------
    TsainError
    """
    try:
        yield
    except ImportError as error:
        missing = error.name or "a package"
        raise TsainError(
            f"{title} is a {kind} file, and {missing}, which reads it, is not installed: "
            f'pip install "napari-tsain[{extra}]".'
        ) from error
