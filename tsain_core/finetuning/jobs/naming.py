"""Names of fine-tuned models: which are allowed, which are taken, and one for a stack."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...errors import TsainError
from ...inference.models import BASELINES, model_files, shipped_models

_LONGEST = 100  # bytes: with its ending and the stamp of a job it must fit into a file name
_RESERVED = ("auto", "rife")


def taken_names() -> set[str]:
    """Names of all models, shipped ones, baselines and the user's own."""
    return {*model_files(), *BASELINES, *_RESERVED}


def check_file_name(name: str) -> None:
    """Refuse a name that no file of a model can have.

    Raises
    ------
    TsainError
        If it is too long, or has other characters than a file name.
    """
    if not re.fullmatch(r"[\w][\w .-]*", name) or name.endswith((".", " ")):
        raise TsainError(f"{name!r} is no name for a model; use letters, digits, dots and dashes.")
    if len(name.encode()) > _LONGEST:
        raise TsainError(
            f"The name {name[:20]!r}... has {len(name.encode())} bytes; at most {_LONGEST} are "
            "allowed: choose a shorter one."
        )


def check_name(name: str) -> None:
    """Refuse what is no name for a new model of the user's.

    Raises
    ------
    TsainError
        As `check_file_name`, and if it is the name of something that comes with the program.
    """
    check_file_name(name)
    if name in {*shipped_models(), *BASELINES, *_RESERVED}:
        raise TsainError(f"{name!r} is a model that comes with the program; choose another name.")


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name`, or the first of `name-2`, `name-3`, ... that is not taken."""
    known = set(taken)
    while name in known:
        match = re.fullmatch(r"(.*)-(\d{1,4})", name)
        name = f"{match[1]}-{int(match[2]) + 1}" if match else f"{name}-2"
    return name


def name_for(base: str, stack: str) -> str:
    """A name for a model tuned to a stack: "tsain-lite", "Cell 3 [raw]" -> "tsain-lite-Cell-3-raw".

    Parameters
    ----------
    base : str
        The model that it starts from.
    stack : str
        Name of the stack, with any characters.
    """
    words = re.findall(r"\w+", stack)
    slug = "-".join(words).encode()[: _LONGEST // 2].decode(errors="ignore").strip("-")
    if not slug:
        return f"{base}-tuned"
    return base if base.endswith(f"-{slug}") else f"{base}-{slug}"
