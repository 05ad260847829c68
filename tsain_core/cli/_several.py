"""Several inputs in one command: which result each gets, and what happens when one fails."""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import TsainError
from .wording import as_option

_NAME = "{name}"
#: Endings that are no part of a stack's name; the longest first.
_ENDINGS = (".ome.tiff", ".ome.tif", ".ome.zarr")


def for_each_input(args: argparse.Namespace, run: Callable[[argparse.Namespace], None]) -> None:
    """Run a command for each of `args.input`, each with its own `args.output`.

    One that fails does not keep the others from being done.

    Raises
    ------
    TsainError
        If the results' names do not fit the inputs, or, after all others are done, one failed.
    """
    pairs = results_of(args.input, args.output)
    failed = []
    for source, output in pairs:
        one = copy.copy(args)
        one.input, one.output = source, output
        if len(pairs) == 1:
            run(one)
            return
        try:
            run(one)
        except TsainError as error:
            failed.append(source)
            print(f"tsain: {source}: {error.worded(as_option)}", file=sys.stderr)
    if failed:
        raise TsainError(
            f"{len(failed)} of {len(pairs)} inputs failed: {', '.join(failed)}; the others are "
            "done. See to these and run the command with them again."
        )


def results_of(inputs: Sequence[str], output: str) -> list[tuple[str, str]]:
    """(input, its result) for one or several inputs.

    `output` is the result of a single one. A folder gets an OME-Zarr for each, and in a pattern
    such as ``out/{name}-finer.tif`` the word {name} becomes the input's name without its ending.

    Raises
    ------
    TsainError
        If several inputs would have one result, or there is no such folder.
    """
    pattern = output
    if _NAME not in output and _is_folder(output):
        pattern = f"{output.rstrip('/')}/{_NAME}.zarr"
        if "://" not in output and not os.path.isdir(output):
            raise TsainError(f"There is no folder {output}; make it, or choose another one.")
    if _NAME not in pattern:
        if len(inputs) > 1:
            raise TsainError(
                f"{len(inputs)} inputs were given, and {output}, the last word, is the name of "
                "a single result; give a folder, or a name with {name} in it such as "
                "out/{name}-finer.tif."
            )
        return [(inputs[0], output)]
    taken: dict[str, str] = {}
    for source in inputs:
        result = pattern.replace(_NAME, name_of(source))
        if result in taken:
            raise TsainError(
                f"{taken[result]} and {source} would both become {result}; rename one, or "
                "interpolate it alone."
            )
        taken[result] = source
    return [(source, result) for result, source in taken.items()]


def name_of(source: str) -> str:
    """Name of a stack, without folders and endings."""
    name = source.rstrip("/").rpartition("/")[2]
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return Path(name).stem or name


def _is_folder(output: str) -> bool:
    if output.rstrip("/").lower().endswith(".zarr"):
        return False
    return output.endswith("/") or os.path.isdir(output)
