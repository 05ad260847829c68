"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from support import REPOSITORY
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN, AdaptiveSampling, NetworkSettings

if not torch.cuda.is_available():
    # Triton's kernels run in its interpreter; it must know before anything imports it.
    os.environ.setdefault("TRITON_INTERPRET", "1")


#: Files with fixtures for tests of several folders.
pytest_plugins = ["support.blockwise", "support.sample_server"]
_VARIABLE = "TSAIN_EM_DATA"


def pytest_configure(config: pytest.Config) -> None:
    """Each worker of `pytest -n` computes with one thread: they share the cores.

    Workers get this environment. Numba's number counts too: when napari's kernels load, it becomes
    that of the OpenMP library, and so of torch.
    """
    if config.getoption("numprocesses", None):
        for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`pytest -n` gives each file to one worker: what its tests share is made once."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # files of few tests may be the slow ones
    return LoadFileScheduling(config, log)


def pytest_collection_finish() -> None:
    """What is imported by now stays: garbage collections, of which there are many, skip it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither see nor change what this user has fine-tuned and checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSAIN_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def em_data() -> Path:
    """Folder of the real EM stacks: `train/` and `validate/` lie in it.

    Taken from the environment variable TSAIN_EM_DATA, else `../shared/data` beside the
    repository. A test that asks for it is skipped where neither is there; a variable that names
    no folder is an error, because tests would otherwise be skipped in silence.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            pytest.fail(f"{_VARIABLE} is {named!r}, which is no folder; correct or unset it.")
        return folder.resolve()
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"No real EM stacks: set {_VARIABLE} to their folder, or put them in {folder}")
    return folder


@pytest.fixture(scope="session")
def stirred_network() -> TSAIN:
    """A small network on unshuffled input whose sampling offsets are not zero."""
    settings = NetworkSettings(
        channels=8,
        image_channels=1,
        feature_blocks=1,
        reconstruction_blocks=1,
        rsabs=1,
        drbs=1,
        groups=2,
        unshuffle=2,
        residual=True,
    )
    torch.manual_seed(1)
    network = TSAIN(settings).eval()
    for module in network.modules():
        if isinstance(module, AdaptiveSampling):
            torch.nn.init.normal_(module.offset_conv.weight, std=0.05)
    return network


@pytest.fixture(scope="session")
def stirred(tmp_path_factory: pytest.TempPathFactory, stirred_network: TSAIN) -> str:
    """A file of it: a network that has not learnt what a slice looks like."""
    path = tmp_path_factory.mktemp("model") / "stirred.safetensors"
    save(path, stirred_network, ModelInfo("stirred", stirred_network.settings))
    return str(path)
