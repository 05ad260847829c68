"""The documents: they build without a warning, and what they say to type works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from support.documents import DOCUMENTS, REPOSITORY, blocks, commands
from tsain_core.cli import fetch_sample, main
from tsain_core.cli.main import _parser

LINES = [
    pytest.param(line, id=f"{path.stem}: {line}"[:80])
    for path in DOCUMENTS
    for line in dict.fromkeys(commands(path))
    if line.startswith("tsain ")
]


def test_the_readme_is_short() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    # one sentence and one picture stand before any command
    assert re.search(r"\A# .*\n\n(?:.+\n)+\n!\[", text) and text.index("![") < text.index("```")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_site_builds_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, anchors, pages outside the navigation and names in the API are all checked."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(REPOSITORY)
    site = tmp_path / "site"
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(site), strict=True))
    api = (site / "api.html").read_text(encoding="utf-8")
    for name in ("interpolate_to_file", "open_volume", "finetune", "InferenceSettings"):
        assert f"{name}</code>" in api or f">{name}<" in api, name
    assert "Raises" in api and "TsainError" in api
    glossary = (site / "glossary.html").read_text(encoding="utf-8")
    assert "two neighbouring real slices" in glossary and "--8&lt;--" not in glossary


@pytest.mark.parametrize("line", LINES)
def test_each_command_is_one_that_tsain_takes(line: str) -> None:
    words = shlex.split(line)[1:]
    if not words[0].startswith("-") and "COMMAND" not in words:
        _parser(words[0]).parse_args(words)


@pytest.fixture
def small_phantom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """An empty working folder, and a generated stack that is quick to work on."""
    monkeypatch.setattr(fetch_sample, "_SHAPE", (20, 48, 48))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/repair.md", "docs/trust.md"])
def test_commands_of_a_page_run_one_after_the_other(page: str, small_phantom: Path) -> None:
    lines = [line for line in commands(REPOSITORY / page) if line.startswith("tsain ")]
    assert len(lines) >= 3
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line


def test_the_notebook_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notebook = json.loads((REPOSITORY / "docs" / "first-session.ipynb").read_text("utf-8"))
    names: dict[str, object] = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "the notebook is kept without outputs"
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    stack, finer = np.asarray(names["stack"]), np.asarray(names["finer"])
    assert finer.shape == (2 * len(stack) - 1, *stack.shape[1:])
    assert (tmp_path / names["folder"].name / "finer.tif").is_file()  # type: ignore[attr-defined]
    assert float(str(names["error"])) < float(str(names["mean"]))


def test_python_in_the_pages_is_valid() -> None:
    found = [(path, block) for path in DOCUMENTS for block in blocks(path, "python")]
    assert len(found) >= 3
    for path, block in found:
        compile(block, path.name, "exec")
