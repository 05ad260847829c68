"""Arguments in messages: Python's names, the command's options, the docks' controls."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tsain_core as tsain
from napari_tsain.widgets.wording import CONTROLS, in_dock_words
from support import REPOSITORY
from tsain_core.cli import main
from tsain_core.cli.wording import as_option, options_as_arguments
from tsain_core.errors import TsainError, argument


def _error() -> TsainError:
    return TsainError(
        f"Begin again with {argument('restart')}, or give {argument('voxel_size')} and "
        f"{argument('every', 1)}."
    )


def test_each_front_end_has_its_words() -> None:
    error = _error()
    assert error.arguments == ("restart", "voxel_size", "every")
    assert str(error) == "Begin again with restart=True, or give voxel_size and every=1."
    options = error.worded(as_option)
    assert options == "Begin again with --restart, or give --voxel-size Z Y X and --every 1."
    assert in_dock_words(error).startswith(
        'Begin again with "Discard an unfinished run", or give the '
    )


def test_a_dock_names_no_option() -> None:
    """Neither for what it has a control for, nor for what the command line alone has."""
    keys = _keys()
    assert {"overwrite", "intensity", "chunks"} <= keys
    for key in keys:
        said = in_dock_words(TsainError(f"Give {argument(key)} or {argument(key, 5)}."))
        assert "--" not in said and "_" not in said, said
    said = in_dock_words(TsainError(f"Give {argument('intensity')} or {argument('crop', 64)}."))
    assert said == 'Give "intensity" on the command line or "crop" on the command line: 64.'


def test_words_of_the_command_are_arguments_again() -> None:
    """A run on a cluster is a process that runs the command, and writes its words to a log."""
    said = "Begin again with --restart, or --range LO HI and --replace, not -- or a--b."
    assert TsainError(options_as_arguments(said)).arguments == ("restart", "intensity", "replace")
    assert "--restart" not in in_dock_words(TsainError(said))


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(_error()))
    assert error.worded(as_option) == _error().worded(as_option)


def test_names_cannot_break_the_line() -> None:
    name = "a\nb\x1b[31m\ue000restart"
    error = TsainError(f"{name} has no datasets; leave out {argument('dataset', name)}.")
    for text in (str(error), error.worded(as_option), in_dock_words(error)):
        assert text.isprintable(), text
    assert error.arguments == ("dataset",)


def _keys() -> set[str]:
    """All keys that the core gives to `argument`."""
    found = set()
    for path in (REPOSITORY / "tsain_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "argument":
                found |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
    return found


def _messages(package: str) -> list[tuple[str, str]]:
    """(file, text) of every string in a package but docstrings."""
    found = []
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            (str(path.relative_to(REPOSITORY)), node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in docstrings
        ]
    return found


def test_the_core_speaks_of_no_options() -> None:
    for path, text in _messages("tsain_core"):
        if not path.startswith("tsain_core/cli/"):
            assert not re.search("--[a-z]", text), (path, text)


def test_the_controls_are_there() -> None:
    texts = " ".join(text for path, text in _messages("napari_tsain") if "_wording" not in path)
    for control in CONTROLS.values():
        for label in control.split('"')[1::2]:
            assert label in texts, label


def test_the_command_names_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, np.zeros((4, 32, 32), "u1"), photometric="minisblack")
    words = ["interpolate", str(source), str(output), "--model", "mean"]
    assert main([*words, "--z-size", "5"]) == 1
    assert "--voxel-size Z Y X, or use --factor" in capsys.readouterr().err
    assert main(words) == 0
    assert main(words) == 1
    assert "replace it with --overwrite." in capsys.readouterr().err
    with pytest.raises(TsainError, match="replace it with overwrite=True"):
        tsain.interpolate_to_file(source, output, model="mean")
    with pytest.raises(TsainError, match="give voxel_size, or use factor"):
        tsain.interpolate(source, model="mean", z_size=5)
