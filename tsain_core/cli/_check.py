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
    Chosen,
    StackCheck,
    check_stack,
    choose_model,
    in_words,
    mix_model,
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


def add_mix_option(parser: argparse.ArgumentParser) -> None:
    """Whether the model is mixed with the mean of neighbours."""
    parser.add_argument(
        "--mix",
        action="store_true",
        help="mix what the model computes with the mean of neighbours, in fine detail and "
        f"brightness, as up to {TRIPLETS} slices that are left out of the stack show to be best; "
        "--model auto does so by itself",
    )


def checked_model(args: argparse.Namespace, volume: Volume, slices: int) -> Chosen:
    """The model to be used; says in one line how good it is on the stack, where that is known.

    Parameters
    ----------
    args : Namespace
        With `model`, `mix`, `no_check` and the options of `inference_settings`.
    volume : Volume
    slices : int
        Slices that the run computes; short runs with a named model are not checked.
    """
    settings = inference_settings(args)
    if args.model == "auto" and not args.no_check:
        chosen = auto_choice(args, volume)
        if chosen.check is not None:
            logger.info("Model: %s. %s", chosen.label, chosen.check.sentence(chosen.label))
        return chosen
    name = default_model(args.device) if args.model == "auto" else str(args.model)
    if args.mix:
        chosen = with_bar(mix_model(volume, name, settings))
        assert chosen.check is not None
        logger.info("%s", chosen.check.sentence(chosen.label))
        return chosen
    _, height, width = volume.shape
    long = slices * height * width > _LONG * TRIPLETS * CROP**2
    if long and not args.no_check and name not in BASELINES:
        try:
            check = named_check(args, volume)
        except TsainError as error:
            logger.debug("The stack cannot be checked: %s", error)
        else:
            logger.info("%s", check.sentence(name))
    return Chosen(name, settings, None)


def auto_choice(args: argparse.Namespace, volume: Any) -> Chosen:
    """The best model for a stack and what it was chosen by."""
    return with_bar(choose_model(volume, inference_settings(args)))


def named_check(args: argparse.Namespace, volume: Volume) -> StackCheck:
    """The check of the model that the options name."""
    return with_bar(check_stack(volume, [args.model], inference_settings(args)))


def check_lines(args: argparse.Namespace, volume: Volume) -> tuple[str, list[tuple[str, str]]]:
    """The model to be used, and (label, text) of what the check of it says."""
    if args.no_check:
        return default_model(args.device) if args.model == "auto" else args.model, []
    label = args.model
    if args.model == "auto":
        chosen = auto_choice(args, volume)
        name, label, check = chosen.name, chosen.label, chosen.check
    else:
        name, check = args.model, None
        try:
            check = named_check(args, volume)
        except TsainError as error:
            return name, [("check", f"none: {error}")]
    if check is None:
        return name, []
    lines = [("check", check.sentence(label))]
    if args.model == "auto":
        lines.insert(0, ("best model", in_words(label)))
    return name, lines + [("", line) for line in check.table(label).splitlines()]


def with_bar(work: Generator[Checked, None, T], what: str = "Checking models on the stack") -> T:
    """The result of a check, with a progress bar that goes away."""
    return screen.with_bar(work, what, leave=False)
