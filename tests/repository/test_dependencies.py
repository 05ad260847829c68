"""Dependencies: what is imported is declared, and the core needs neither Qt nor napari."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from support import REPOSITORY

_PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
_OURS = {"tsain_core", "napari_tsain"}

# Imported where they are installed: torch brings triton on Linux.
_OPTIONAL = {"triton"}

# The plugin's half: what a cluster node must be able to do without.
_GUI = ("napari", "qtpy", "PyQt6", "PyQt5", "PySide6", "superqt", "magicgui", "pyqtgraph", "vispy")


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~; ]", text)[0]) for text in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(path: Path) -> Iterator[str]:
    """Top-level names of all modules from elsewhere that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def _undeclared(package: str, declared: set[str]) -> set[str]:
    """`module (distribution)` of every import that no requirement in `declared` brings."""
    distributions = importlib.metadata.packages_distributions()
    missing = set()
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        for module in _imports(path):
            if module in sys.stdlib_module_names or module in _OURS | _OPTIONAL:
                continue
            owners = {_normal(name) for name in distributions.get(module, [module])}
            if not owners & declared:
                missing.add(f"{path.relative_to(REPOSITORY)}: {module} of {sorted(owners)}")
    return missing


def test_the_core_imports_only_what_is_declared() -> None:
    extras = _PROJECT["optional-dependencies"]
    optional = [
        name
        for extra in ("cluster", "completion", "dm", "hdf5", "nrrd", "tensorstore", "training")
        for name in extras[extra]
    ]
    declared = _names(_PROJECT["dependencies"]) | _names(optional)
    assert not _undeclared("tsain_core", declared)


def test_the_plugin_imports_only_what_is_declared() -> None:
    napari = _names(_PROJECT["optional-dependencies"]["napari"])
    assert not _undeclared("napari_tsain", napari | _names(_PROJECT["dependencies"]))


def test_qt_comes_with_the_extra_only() -> None:
    gui = {_normal(name) for name in _GUI}
    assert not gui & _names(_PROJECT["dependencies"])
    assert {"napari", "qtpy", "pyqtgraph"} <= _names(_PROJECT["optional-dependencies"]["napari"])


def test_each_supported_python_is_declared() -> None:
    prefix = "Programming Language :: Python :: 3."
    minors = [c.removeprefix(prefix) for c in _PROJECT["classifiers"] if c.startswith(prefix)]
    assert minors == ["11", "12", "13", "14"]
    assert _PROJECT["requires-python"] == f">=3.{minors[0]}"


_BLOCK = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {_GUI!r}:
            raise ModuleNotFoundError(f"{{name}} must not be needed", name=name)

sys.meta_path.insert(0, Blocked())
"""

_IMPORT_ALL = (
    _BLOCK
    + """
import importlib, pkgutil, tsain_core
for module in pkgutil.walk_packages(tsain_core.__path__, "tsain_core."):
    if not module.name.endswith((".__main__", "._triton_kernels")):
        importlib.import_module(module.name)
"""
)

_INTERPOLATE = (
    _BLOCK
    + """
from tsain_core.cli import command, main

source, tiff, *sys.argv = sys.argv[1:]
assert main(["interpolate", source, tiff, *sys.argv[1:]]) == 0
sys.argv[:1] = ["tsain", "interpolate", source, sys.argv[0]]
sys.exit(command())
"""
)


def _python(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_module_of_the_core_imports_without_qt() -> None:
    _python(_IMPORT_ALL)


def test_the_command_runs_without_qt(tmp_path: Path) -> None:
    """To a TIFF, and block by block to an OME-Zarr."""
    stack = np.random.default_rng(0).integers(0, 255, (3, 40, 48), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    paths = [str(tmp_path / name) for name in ("stack.tif", "finer.tif", "finer.zarr")]
    _python(_INTERPOLATE, *paths, "--model", "mean", "--voxel-size", "40", "4", "4")
    assert (tmp_path / "finer.tif").exists() and (tmp_path / "finer.zarr").exists()
