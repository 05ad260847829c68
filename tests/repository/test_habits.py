"""Files that other programs read agree with one another: versions, dependencies, addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tsain_core
from support import REPOSITORY

_PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

#: Name on PyPI -> name on conda-forge, where they differ.
_CONDA = {
    "torch": "pytorch",
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
    "opencv-python-headless": "py-opencv",
}


def _yaml(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def _bound(requirement: str) -> tuple[str, str]:
    found = re.match(r"([\w.-]+)(?:\[.*\])?\s*>=([\d.]+)", requirement)
    assert found, requirement
    name = found[1].lower().replace("_", "-")
    return _CONDA.get(name, name), found[2]


def test_the_citation_has_the_version_and_the_paper() -> None:
    citation = _yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["title"] == _PROJECT["name"]
    assert citation["version"] == tsain_core.__version__ and citation["license"] == "MIT"
    paper = citation["preferred-citation"]
    assert paper["title"] in " ".join((REPOSITORY / "README.md").read_text().split())


def test_the_changes_name_the_version() -> None:
    heads = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[:2] == ["Unreleased", tsain_core.__version__]


def test_the_conda_recipe_has_the_dependencies_of_the_package() -> None:
    text = (REPOSITORY / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    recipe = yaml.safe_load(re.sub(r"{%.*?%}|{{.*?}}", "", text))
    run = [line for line in recipe["requirements"]["run"] if not line.startswith("python ")]
    assert re.search(r'version = "([\d.]+)"', text)[1] == tsain_core.__version__  # type: ignore[index]
    extra = _PROJECT["optional-dependencies"]["napari"]
    assert dict(map(_bound, run)) == dict(map(_bound, [*_PROJECT["dependencies"], *extra]))


@pytest.mark.parametrize("path", sorted((REPOSITORY / ".github").rglob("*.yml")), ids=str)
def test_workflows_and_templates_are_yaml(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert content["permissions"] == {"contents": "read"}
        for job in content["jobs"].values():
            assert job["steps"] and job["runs-on"]


def test_workflows_cover_what_the_package_says_it_runs_on() -> None:
    matrix = _yaml(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: 3."
    stated = [c.rpartition(" ")[2] for c in _PROJECT["classifiers"] if c.startswith(prefix)]
    assert matrix["python"] == stated
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_addresses_are_of_one_project() -> None:
    home = _PROJECT["urls"]["Homepage"]
    assert _PROJECT["urls"]["Bug Tracker"] == f"{home}/issues"
    assert home in (REPOSITORY / "recipe" / "meta.yaml").read_text(encoding="utf-8")


def test_hooks_of_pre_commit_are_tools_that_the_project_brings() -> None:
    extras = _PROJECT["optional-dependencies"]
    known = {re.split(r"[\[<>=]", name)[0] for name in [*extras["dev"], *extras["test"]]}
    for hook in _yaml(".pre-commit-config.yaml")["repos"][0]["hooks"]:
        if hook["language"] == "system":
            tool = hook["entry"].split()[0]
            assert tool in known | {"python"}, hook
