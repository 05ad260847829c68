"""`tsain models`: what can be chosen, and where it comes from."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from ..inference.models import describe_models
from . import _progress as screen

EXAMPLES = """\
  tsain models"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print a block for each network, then the baselines."""
    if args.json:
        found = describe_models().items()
        screen.say_json({name: info and asdict(info) for name, info in found})
        return
    baselines = []
    for name, info in describe_models().items():
        if info is None:
            baselines.append(name)
            continue
        screen.say(f"{name}  (weights {info.weights_hash})")
        screen.say(f"  licence   {info.licence}")
        volumes = info.training.get("volumes")
        if isinstance(volumes, list) and volumes:
            screen.say("  trained on " + ", ".join(_name(v) for v in volumes))
        for stack, scores in info.scores.items():
            screen.say(f"  {stack:<28}" + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))
        screen.say()
    screen.say("baselines, without weights: " + ", ".join(baselines))


def _name(volume: object) -> str:
    """File of a volume that a model was trained on; model files of others may say it otherwise."""
    return str(volume.get("file", volume)) if isinstance(volume, dict) else str(volume)
