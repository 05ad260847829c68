"""Pipes and devices where files belong: refused at once, instead of waiting without end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tsain_core.cli import main

KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "link to a pipe": lambda path: (
        os.mkfifo(path.with_name("pipe")),
        path.symlink_to(path.with_name("pipe")),
    )[1],
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["stack", "model", "checkpoint", "recipe", "triplets", "state"])
def test_refused(tmp_path: Path, kind: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "r"\npreset = "tsain-lite"\nlicence = "none"\n[training]\ncrop = 64\n'
        '[[volume]]\nfile = "triplets"\ntriplets = true\n'
    )
    (tmp_path / "triplets").mkdir()
    (tmp_path / "run").mkdir()
    odd = {
        "stack": tmp_path / "odd.tif",
        "model": tmp_path / "odd.safetensors",
        "checkpoint": tmp_path / "odd.pth",
        "recipe": tmp_path / "odd.toml",
        "triplets": tmp_path / "triplets" / "a_0.png",
        "state": tmp_path / "run" / "state.pt",
    }[what]
    KINDS[kind](odd)
    out = str(tmp_path / "out.tif")
    train = ["train", str(recipe), "--data", str(tmp_path), "--output", str(tmp_path / "run")]
    words = {
        "stack": ["interpolate", str(odd), out],
        "model": ["interpolate", str(tmp_path / "none.tif"), out, "--model", str(odd)],
        "checkpoint": ["convert", str(odd), str(tmp_path / "m.safetensors")],
        "recipe": ["train", str(odd), "--output", str(tmp_path / "new")],
        "triplets": train,
        "state": [*train, "--resume"],
    }[what]
    assert main(words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tsain: ")
