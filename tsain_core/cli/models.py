"""`tsain models`: what can be chosen, and where it comes from."""

from __future__ import annotations

import argparse

from ..models import describe_models

EXAMPLES = """\
  tsain models"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes: nothing."""


def run(args: argparse.Namespace) -> None:
    """Print a block for each network, then the baselines."""
    baselines = []
    for name, info in describe_models().items():
        if info is None:
            baselines.append(name)
            continue
        print(f"{name}  (weights {info.weights_hash})")
        print(f"  licence   {info.licence}")
        if volumes := info.training.get("volumes"):
            print("  trained on " + ", ".join(v["file"] for v in volumes))
        for stack, scores in info.scores.items():
            print(f"  {stack:<28}" + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))
        print()
    print("baselines, without weights: " + ", ".join(baselines))
