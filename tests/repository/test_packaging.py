"""The built wheel and the editable install both find the manifest, the weights and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import REPOSITORY

_BUILD = [sys.executable, "-m", "build", "--no-isolation", "--outdir"]
_PATHS = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"

_WHERE = """
import importlib.metadata, json
import napari_tsain, tsain_core
from npe2 import PluginManifest
from tsain_core.system.resources import weights_folder
print(json.dumps({
    "tsain_core": tsain_core.__file__,
    "napari_tsain": napari_tsain.__file__,
    "weights": str(weights_folder()),
    "version": importlib.metadata.version("napari-tsain"),
    "module_version": tsain_core.__version__,
    "manifest": PluginManifest.from_distribution("napari-tsain").name,
}))
"""


def _run(command: Sequence[str | Path], cwd: Path) -> str:
    # PYTHONPATH would put the checkout before what is tested.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Environment:
    """A fresh virtual environment that borrows the dependencies of the running one."""

    def __init__(self, folder: Path) -> None:
        # pip is borrowed too, which is faster than a new installation.
        _run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
        binaries = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = binaries / "python"
        paths = json.loads(_run([self.python, "-c", _PATHS], folder.parent))
        self.site_packages, self.scripts = Path(paths["purelib"]), Path(paths["scripts"])
        self.elsewhere = folder.parent / "elsewhere"
        self.elsewhere.mkdir()
        # A plain path line: the .pth files in that folder (an editable install) are not read.
        borrowed = sysconfig.get_path("purelib")
        (self.site_packages / "borrowed.pth").write_text(f"{borrowed}\n")

    def install(self, *arguments: str | Path) -> None:
        pip = [self.python, "-m", "pip", "install", "--no-deps", "--no-index"]
        quiet = ["--ignore-installed", "--no-build-isolation", "--disable-pip-version-check"]
        _run([*pip, *quiet, *arguments], self.elsewhere)

    def where(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(_run([self.python, "-c", _WHERE], self.elsewhere))
        return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run([*_BUILD, folder, "--wheel", "."], REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    _run([*_BUILD, folder, "--sdist", "."], REPOSITORY)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("wheel") / "venv")
    environment.install(wheel)
    return environment


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("editable") / "venv")
    environment.install("--editable", REPOSITORY)
    return environment


def test_wheel_finds_everything_in_site_packages(installed: Environment) -> None:
    found = installed.where()
    for name in ("tsain_core", "napari_tsain", "weights"):
        assert Path(found[name]).resolve().is_relative_to(installed.site_packages.resolve()), (
            name,
            found[name],
        )
    assert found["manifest"] == "napari-tsain"
    assert found["version"] == found["module_version"]


def test_wheel_carries_the_weights_of_the_checkout(wheel: Path) -> None:
    folder = REPOSITORY / "weights"
    in_checkout = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    prefix = "tsain_core/weights/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == in_checkout
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "tsain_core",
        "napari_tsain",
    }


def test_wheel_has_a_command(installed: Environment) -> None:
    assert "interpolate" in _run([installed.scripts / "tsain", "--help"], installed.elsewhere)


def test_editable_install_finds_everything_in_the_checkout(editable: Environment) -> None:
    found = editable.where()
    assert Path(found["tsain_core"]).parent == REPOSITORY / "tsain_core"
    assert Path(found["napari_tsain"]).parent == REPOSITORY / "napari_tsain"
    assert Path(found["weights"]) == REPOSITORY / "weights"
    assert found["manifest"] == "napari-tsain"
    copy = REPOSITORY / "napari_tsain" / "napari.yaml"
    assert copy.read_bytes() == (REPOSITORY / "napari.yaml").read_bytes()


def test_nothing_in_the_source_is_a_link(source: Path) -> None:
    with tarfile.open(source) as archive:
        links = [item.name for item in archive.getmembers() if item.issym() or item.islnk()]
        assert not links
        assert sum(name.endswith("/napari.yaml") for name in archive.getnames()) == 1


def test_sdist_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(source) as archive:
        (folder,) = {name.split("/")[0] for name in archive.getnames()}
        # Safe extraction: Python 3.11.0 to 3.11.3 do not have it, newer ones require a choice.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    _run([*_BUILD, tmp_path / "wheel", "--wheel", "."], tmp_path / folder)
    (rebuilt,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(rebuilt) as ours, zipfile.ZipFile(wheel) as direct:
        assert sorted(ours.namelist()) == sorted(direct.namelist())
