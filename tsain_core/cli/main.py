"""Parsing, and what all subcommands share: errors, signals, logging."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .. import __version__
from ..errors import TsainError
from . import convert, demo, evaluate, fetch_sample, info, interpolate, models, train

_COMMANDS = (interpolate, demo, info, fetch_sample, models, convert, train, evaluate)

#: Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 130 Ctrl-C.
FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line, `sys.argv[1:]` by default.
    """
    # The sampling threads and those of torch take turns; spinning ones would be in the way.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    args = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="%(message)s"
    )
    for noisy in ("numba", "h5py", "matplotlib", "PIL", "asyncio", "zarr"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        args.run(args)
    except TsainError as error:
        if args.verbose:
            raise
        print(f"tsain: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tsain: interrupted; nothing half-written is left behind.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, say `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _terminate(signum: int, frame: FrameType | None) -> None:
    # as Ctrl-C: context managers clean up
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsain",
        description="Slice interpolation for electron microscopy stacks.",
        epilog="`tsain COMMAND --help` explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"napari-tsain {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("-v", "--verbose", action="store_true", help="say more; show tracebacks")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_parser(commands, shared)
    return parser
