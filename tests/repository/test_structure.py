"""Figures of the source that must not get worse; `scripts/structure.py` computes them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support import REPOSITORY


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "structure", REPOSITORY / "scripts" / "structure.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


structure = _load()


@pytest.fixture(scope="module")
def known() -> dict[str, object]:
    found: dict[str, object] = structure.modules()
    assert {"tsain_core.network", "napari_tsain.io._reader", "tsain_core.cli.main"} <= set(found)
    return found


def test_modules_do_not_import_one_another(known: dict[str, object]) -> None:
    assert not structure.module_cycles(known)


def test_the_core_imports_no_front_end(known: dict[str, object]) -> None:
    assert not structure.upward_imports(known)


def test_engines_do_not_ask_which_model_it_is(known: dict[str, object]) -> None:
    assert not structure.model_checks(known)


def test_files_and_functions_are_short(known: dict[str, object]) -> None:
    assert not structure.long_files(known)
    assert not structure.long_functions(known)


def test_no_name_is_used_twice(known: dict[str, object]) -> None:
    assert not structure.equal_names(known)


def test_packages_do_not_import_one_another(known: dict[str, object]) -> None:
    assert not structure.package_cycles(known)


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, object]:
    """A source tree in which everything is wrong once."""
    body = "\n".join(f"    x = {i}" for i in range(structure.FUNCTION_LINES))
    files = {
        "tsain_core/__init__.py": "",
        "tsain_core/a.py": (
            "from .inference.models import b\nimport napari.layers\nclass Same: ...\n"
        ),
        "tsain_core/c.py": "def late():\n    from . import a\nclass Same: ...\n",
        "tsain_core/inference/models/__init__.py": "class BadModel: ...\n",
        "tsain_core/inference/models/b.py": "from ... import a, c\nclass NiceModel: ...\n",
        "tsain_core/ops/__init__.py": "",
        "tsain_core/ops/k.py": f"def kernel():\n{body}\n",
        "tsain_core/long.py": "x = 1\n" * (structure.FILE_LINES + 1),
        "napari_tsain/__init__.py": f'def long():\n    """Text."""\n{body}\n',
        "napari_tsain/w.py": (
            "from tsain_core.inference.models.b import NiceModel\n"
            "def f(m): return isinstance(m, (int, NiceModel)) or isinstance(m, int)\n"
        ),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found: dict[str, object] = structure.modules(tmp_path)
    return found


def test_each_fault_is_found(bad: dict[str, object]) -> None:
    assert structure.module_cycles(bad) == [{"tsain_core.a", "tsain_core.inference.models.b"}]
    assert structure.package_cycles(bad) == [{"tsain_core", "tsain_core.inference.models"}]
    assert structure.upward_imports(bad) == ["tsain_core.a imports napari"]
    assert structure.model_checks(bad) == ["napari_tsain.w:2"]
    assert structure.equal_names(bad) == ["Same: tsain_core.a, tsain_core.c"]
    assert structure.long_files(bad) == [f"tsain_core.long: {structure.FILE_LINES + 1}"]
    assert structure.long_functions(bad) == [f"napari_tsain.long: {structure.FUNCTION_LINES + 1}"]
