"""Parsing, and what all subcommands share: errors, signals, logging."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from .. import __version__
from ..errors import TsainError, TsainWarning
from .wording import as_option

#: Command -> what it does. The module of the same name is imported when it is called for, so that
#: help does not wait for torch.
_COMMANDS = {
    "interpolate": "compute the slices in between",
    "plan": "show what a run block by block would take, here and on a cluster",
    "demo": "interpolate a generated EM stack and report on it",
    "info": "show what a stack is and what a run would take",
    "fetch-sample": "download real EM slices, with their licence",
    "models": "list the models",
    "convert": "turn a checkpoint of the authors' code into ours",
    "train": "train a network by a recipe",
    "finetune": "tune a network to a stack",
    "evaluate": "score models on a stack by leaving slices out",
}

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
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser(words[0] if words else "").parse_args(words)
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.INFO, format="%(message)s")
    for noisy in ("numba", "h5py", "matplotlib", "PIL", "asyncio", "zarr"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with _one_line_warnings():
            args.run(args)
    except TsainError as error:
        if args.verbose:
            raise
        print(f"tsain: {error.worded(as_option)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tsain: interrupted; nothing half-written is left behind.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, say `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def command() -> NoReturn:
    """The `tsain` command: `main` on the arguments of the process, then its end.

    After Ctrl-C nothing is waited for: the signal may have come while a thread was being started,
    of which Python then does not know that it is to be stopped.
    """
    code = main()
    if code == INTERRUPTED:
        gc.collect()  # closes what is still open, which takes half-written results away
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print what readers warn of as they print errors: one line."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def one_line(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, TsainWarning):
                from tqdm import tqdm  # a line of its own beside a progress bar

                tqdm.write(f"tsain: {message}", file=sys.stderr)
            else:
                show(message, category, *place)

        warnings.showwarning = one_line  # type: ignore[assignment]
        yield


def _terminate(signum: int, frame: FrameType | None) -> None:
    # as Ctrl-C: context managers clean up
    raise KeyboardInterrupt


def _parser(chosen: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsain",
        description="Slice interpolation for electron microscopy stacks.",
        epilog="`tsain COMMAND --help` explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"napari-tsain {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "-v", "--verbose", action="store_true", help="say more; show tracebacks"
        )
        if name == chosen:
            module = import_module(f".{name.replace('-', '_')}", __package__)
            command.epilog = f"examples:\n{module.EXAMPLES}"
            command.set_defaults(run=module.run)
            module.add_options(command)
    return parser
