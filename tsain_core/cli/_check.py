"""The check of a model on the stack, before it computes: one line, and the choice "auto"."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Generator
from typing import Any

from ..errors import TsainError
from ..inference.models import BASELINES, default_model
from ..inference.slice_model import T
from ..stack_check import (
    CROP,
    TRIPLETS,
    Checked,
    StackCheck,
    check_stack,
    choose_model,
    in_words,
)
from ..volumes import Volume
from . import _progress as screen
from ._options import inference_settings

logger = logging.getLogger(__name__)

#: What `--model auto` is, where the check chooses.
AUTO = "the best of those that come with it, and of the baselines, on some slices of the stack"

#: A run with an explicit model is checked if it computes this many times the check's pixels.
_LONG = 20


def add_check_option(parser: argparse.ArgumentParser) -> None:
    """Whether the model is checked."""
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not compare the model with others on some slices of the stack first; with it, "
        "--model auto takes the best for the device",
    )


def checked_model(args: argparse.Namespace, volume: Volume, slices: int) -> str:
    """The model to be used; says in one line how good it is on the stack, where that is known.

    Parameters
    ----------
    args : Namespace
        With `model`, `no_check` and the options of `inference_settings`.
    volume : Volume
    slices : int
        Slices that the run computes; short runs with a named model are not checked.
    """
    if args.model == "auto":
        name, check = (None, None) if args.no_check else auto_choice(args, volume)
        name = name or default_model(args.device)
        if check is not None:
            logger.info("Model: %s. %s", name, check.verdict(name).sentence())
        return name
    _, height, width = volume.shape
    long = slices * height * width > _LONG * TRIPLETS * CROP**2
    if long and not args.no_check and args.model not in BASELINES:
        try:
            check = named_check(args, volume)
        except TsainError as error:
            logger.debug("The stack cannot be checked: %s", error)
        else:
            logger.info("%s", check.verdict(args.model).sentence())
    return str(args.model)


def auto_choice(args: argparse.Namespace, volume: Any) -> tuple[str, StackCheck | None]:
    """The best model for a stack and what it was chosen by."""
    return with_bar(choose_model(volume, inference_settings(args)))


def named_check(args: argparse.Namespace, volume: Volume) -> StackCheck:
    """The check of the model that the options name."""
    return with_bar(check_stack(volume, [args.model], inference_settings(args)))


def check_lines(args: argparse.Namespace, volume: Volume) -> tuple[str, list[tuple[str, str]]]:
    """The model to be used, and (label, text) of what the check of it says."""
    if args.no_check:
        return default_model(args.device) if args.model == "auto" else args.model, []
    if args.model == "auto":
        name, check = auto_choice(args, volume)
    else:
        name, check = args.model, None
        try:
            check = named_check(args, volume)
        except TsainError as error:
            return name, [("check", f"none: {error}")]
    if check is None:
        return name, []
    lines = [("check", check.verdict(name).sentence())]
    if args.model == "auto":
        lines.insert(0, ("best model", in_words(name)))
    return name, lines + [("", line) for line in check.table(name).splitlines()]


def with_bar(work: Generator[Checked, None, T], what: str = "Checking models on the stack") -> T:
    """The result of a check, with a progress bar that goes away."""
    return screen.with_bar(work, what, leave=False)
