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
from ..errors import TsainError, TsainWarning, first_line, printable
from ._completion import PrintCompletion
from .wording import as_option

#: Command -> what it does. The module of the same name is imported when it is called for, so that
#: help does not wait for torch.
_COMMANDS = {
    "interpolate": "compute the slices in between",
    "plan": "show what a run block by block would take, here and on a cluster",
    "demo": "interpolate a generated EM stack and report on it",
    "info": "show what a stack is and what a run would take",
    "inspect": "find damaged slices",
    "fetch-sample": "download real EM slices with their licence, or generate a stack",
    "models": "list the models",
    "convert": "turn a checkpoint of the authors' code into ours",
    "train": "train a network by a recipe",
    "finetune": "tune a network to a stack",
    "evaluate": "score models on a stack by leaving slices out",
    "doctor": "show this machine, test the kernels on it, and time them",
}

#: Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 130 Ctrl-C.
FAILED, USAGE, INTERRUPTED = 1, 2, 130
#: Libraries whose remarks are none of the user's business.
_NOISY = (
    *("numba", "h5py", "matplotlib", "PIL", "asyncio", "zarr"),
    *("fsspec", "s3fs", "botocore", "aiobotocore", "urllib3"),
)
_LONGEST = 250  # characters of a usage error


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
    try:
        args = _parser(words[0] if words else "").parse_args(words)
    except TsainError as error:
        print(f"tsain: {error}", file=sys.stderr)
        return FAILED
    _start_logging(args)
    for noisy in _NOISY:
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
    except (OSError, MemoryError) as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output, say `head`, has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if args.verbose:
            raise
        print(f"tsain: {printable(_in_words(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tsain: interrupted; nothing half-written is left behind.", file=sys.stderr)
        return INTERRUPTED
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


def _in_words(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return f"Memory does not suffice ({first_line(error)}); choose a smaller --tile or --crop."
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or first_line(error)}; -v shows where this happened."


def _start_logging(args: argparse.Namespace) -> None:
    """Log to the terminal, each message one safe line; --quiet leaves warnings and errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger().setLevel(level)


class _OneLine(logging.Formatter):
    """Names out of files may hold line breaks and terminal codes."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        return printable(record.getMessage())


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print what readers warn of as they print errors: one line."""
    with warnings.catch_warnings():
        show = warnings.showwarning
        shown: set[str] = set()  # several readers open the same stack

        def one_line(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, TsainWarning):
                if str(message) in shown:
                    return
                shown.add(str(message))
                from tqdm import tqdm  # a line of its own beside a progress bar

                tqdm.write(f"tsain: {message}", file=sys.stderr)
            else:
                show(message, category, *place)

        warnings.showwarning = one_line  # type: ignore[assignment]
        yield


def _terminate(signum: int, frame: FrameType | None) -> None:
    # as Ctrl-C: context managers clean up
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line: what is wrong, and where the options are explained."""

    def error(self, message: str) -> NoReturn:
        text = message.rstrip(".")
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        self.exit(USAGE, f"tsain: {printable(text)}; `{self.prog} --help` explains the options.\n")


def _parser(*chosen: str) -> argparse.ArgumentParser:
    """The parser, with the options of the chosen commands."""
    parser = _Parser(
        prog="tsain",
        description="Slice interpolation for electron microscopy stacks.",
        epilog="`tsain COMMAND --help` explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"napari-tsain {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        whole_parser=lambda: _parser(*_COMMANDS),
        help="print a script that completes commands and options: eval it in the shell",
    )
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
        command.add_argument(
            "-q", "--quiet", action="store_true", help="no progress; warnings and errors only"
        )
        if name in chosen:
            module = import_module(f".{name.replace('-', '_')}", __package__)
            command.epilog = f"examples:\n{module.EXAMPLES}"
            command.set_defaults(run=module.run)
            module.add_options(command)
    return parser
