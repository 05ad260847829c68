"""The folder of a report: complete under its name, or not there at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from ..errors import TsainError, argument, first_line
from .page import html_page
from .report import MEASURES, StackReport

#: What a report consists of.
FILES = ("report.html", "report.json", "scores.csv")


def check_folder(folder: Path, overwrite: bool = False) -> None:
    """Refuse a folder that a report could not take in the end, before the time is spent.

    Raises
    ------
    TsainError
        If something else has the name, or its parent is missing or cannot be written to.
    """
    folder = Path(os.path.abspath(folder))
    if os.path.lexists(folder):
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {"a file"}
        if foreign := sorted(names - set(FILES)):
            raise TsainError(
                f"{folder} is not a report: it holds {foreign[0]!r}; choose a name that is free."
            )
        if names and not overwrite:
            raise TsainError(
                f"{folder} holds a report; choose another name, or replace it with "
                f"{argument('overwrite')}."
            )
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise TsainError(f"There is no folder {parent}; make it first, or choose another one.")
    if not os.access(parent, os.W_OK):
        raise TsainError(f"Nothing can be written to {parent}; choose another folder.")


def write_folder(report: StackReport, folder: Path, overwrite: bool = False) -> list[Path]:
    """Write a report: a page for people, its numbers as JSON, the scores of each slice as CSV.

    Parameters
    ----------
    report : StackReport
    folder : Path
        Appears when it is complete.
    overwrite : bool
        Replace a report that is there.

    Returns
    -------
    list of Path
        The files, the page first.

    Raises
    ------
    TsainError
        If it cannot be written.
    """
    check_folder(folder, overwrite)
    folder = Path(os.path.abspath(folder))
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        partial.mkdir()
        (partial / FILES[0]).write_text(html_page(report), encoding="utf-8")
        text = json.dumps(_finite(report.to_json()), indent=1)
        (partial / FILES[1]).write_text(text, encoding="utf-8")
        _write_csv(partial / FILES[2], report)
        _take_name(partial, folder)
    except OSError as error:
        raise TsainError(
            f"{folder} cannot be written: {first_line(error)}; choose another place."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [folder / name for name in FILES]


def _take_name(partial: Path, folder: Path) -> None:
    """Give the folder its name; an old report steps aside first."""
    if not folder.exists():
        partial.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_csv(path: Path, report: StackReport) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["z", "model", *MEASURES])
        for i, z in enumerate(report.check.slices):
            for name, scores in report.check.scores.items():
                writer.writerow([z, name, *(asdict(scores[i])[m] for m in MEASURES)])


def _finite(value: object) -> object:
    """JSON knows no infinity: null."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
