"""Streamed runs: the same voxels as in memory, however they are cut, interrupted or distributed."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from support.blockwise import (
    cut_small,
    files,
    finish,
    in_memory,
    launch,
    marks,
    stop_after,
    wait_for,
)
from support.forked import Forked
from tsain_core.blockwise import (
    InterpolationRequest,
    RunFinished,
    RunStarted,
    interpolate_blockwise,
)
from tsain_core.blockwise.blocks import choose_block
from tsain_core.blockwise.window import generations
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings
from tsain_core.inference.region import Region
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

pytestmark = pytest.mark.usefixtures("shallow_blocks")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory, stirred_network: TSAIN) -> str:
    path = tmp_path_factory.mktemp("model") / "stirred.safetensors"
    save(path, stirred_network, ModelInfo("stirred", stirred_network.settings))
    return str(path)


@pytest.mark.parametrize(
    "request_, model",
    [
        (SliceSelection(factor=2), "mean"),
        (SliceSelection(factor=4, damaged=(2, 3)), "mean"),
        (SliceSelection(factor=2), "network"),
        (SliceSelection(factor=4), "network"),
        (SliceSelection(between=(2, 4), factor=8), "network"),
        (SliceSelection(z_size=27.0), "network"),
        (SliceSelection(between=(2, 4), factor=2), "network, mixed and sharp"),
        (SliceSelection(factor=2), "network, four passes"),
        (SliceSelection(damaged=(1, 2, 3)), "network"),
        (SliceSelection(between=(1, 4), factor=4), "network"),
        (SliceSelection(factor=2), "optical-flow-blur1"),
    ],
)
def test_same_voxels_as_in_memory(
    narrow: InterpolationRequest,
    model_file: str,
    monkeypatch: pytest.MonkeyPatch,
    request_: SliceSelection,
    model: str,
) -> None:
    spec = replace(
        narrow,
        selection=request_,
        model=model_file if "network" in model else model,
        # the sampling offsets of the small network reach far: a measured halo takes long, and is
        # needed where parts of tiles are computed beyond the block, for mixing and detail
        inference=InferenceSettings(
            "cpu",
            tile=32,
            halo=None if request_.damaged or "sharp" in model else 12,
            mean_shares=(0.9, -0.4, 0.3) if "sharp" in model else None,
            own_shares=(0.2, 0.1) if "sharp" in model else (0.0, 0.0),
            detail=0.9 if "sharp" in model else 0.0,
            ensemble=4 if "four" in model else 1,
        ),
    )
    if "flow" not in model:
        cut_small(monkeypatch, 64)
    plan, done = finish(spec)
    assert done.blocks == sum(len(grid) for grid in plan.grids()) > 4
    result = open_volume(spec.output)
    if "flow" not in model:
        assert plan.grids()[0].counts[1:] == (2, 2)
    np.testing.assert_array_equal(result.data.compute(), in_memory(spec, plan))
    assert result.synthetic and result.provenance["model"]
    assert result.voxel_size is not None and result.voxel_size[1:] == (5, 5)
    assert sorted(p.name for p in Path(spec.output).parent.iterdir()) == ["out.zarr"]
    assert not (Path(spec.output) / ".tsain-run").exists()


def test_blocks_begin_where_chunks_of_the_source_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsain_core.blockwise.blocks._DEEPEST", 512)

    def block(deep: int, budget: int = 1 << 40, tile: int | None = None) -> tuple[int, ...]:
        def need(region: Region) -> int:
            return region.shape[0] * region.shape[1]

        return choose_block((801, 3000, 5000), (2, 512, 512), tile, False, 4, deep, need, budget)

    assert block(1) == (4, 3000, 5000)
    assert block(16) == (64, 3000, 5000)
    assert block(1000) == (4, 3000, 5000)  # too deep to be heeded
    assert block(1, 2_000_000, 256)[1:] == (1024, 1536)
    with pytest.raises(TsainError, match="smallest block"):
        block(1, 1000, 1024)


def test_generations_count_the_halvings_that_read_a_slice() -> None:
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    schedule = SliceSelection(factor=8).schedule(3)
    assert generations(schedule, any_position=False) == {
        half: 2,
        quarter: 1,
        Fraction(3, 4): 1,
        **{Fraction(i, 8): 0 for i in (1, 3, 5, 7)},
    }
    assert set(generations(schedule, any_position=True).values()) == {0}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_pyramid(tmp_path: Path, version: Any) -> None:
    """As the one that is written slice by slice, at every level, odd sides and all."""
    data = em_phantom((5, 64, 64), seed=1)
    data = np.tile(data, (1, 11, 17))[:, :651, :1043]
    tifffile.imwrite(tmp_path / "stack.tif", data)
    layout = ZarrLayout(version, (2, 100, 128))
    spec = InterpolationRequest(
        str(tmp_path / "stack.tif"), str(tmp_path / "out.zarr"), model="mean", layout=layout
    )
    plan, _ = finish(spec)
    group = zarr.open_group(spec.output, mode="r")
    expected = in_memory(spec, plan)
    from tsain_core.volumes.zarr_layout import halve

    for name in ("0", "1", "2"):
        np.testing.assert_array_equal(group[name][:], expected)
        expected = np.stack([halve(image) for image in expected])
    assert "3" not in group


def test_shards_are_written_whole(
    spec: InterpolationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = ZarrLayout("0.5", (2, 32, 32), shards=(4, 128, 128))
    spec = replace(spec, layout=layout)
    cut_small(monkeypatch)
    plan, _ = finish(spec)
    array = zarr.open_group(spec.output, mode="r")["0"]
    assert array.shards == (4, 128, 128) and array.chunks == (2, 32, 32)
    assert all(b % s == 0 for b, s in zip(plan.block, array.shards, strict=True))
    np.testing.assert_array_equal(array[:], in_memory(spec, plan))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"version": "0.4", "shards": (2, 64, 64)}, "no shards"),
        ({"chunks": (2, 64, 64), "shards": (3, 64, 64)}, "multiples"),
        ({"chunks": (0, 64, 64)}, "at least 1"),
    ],
)
def test_layouts_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TsainError, match=message):
        ZarrLayout(**{"version": default_version(), **values})


# Interruptions


def test_goes_on_where_it_was_stopped(spec: InterpolationRequest, tmp_path: Path) -> None:
    whole, done = finish(spec)
    other = replace(spec, output=str(tmp_path / "again.zarr"))
    stop_after(other, 4)
    assert not Path(other.output).exists()
    begun, *_, end = interpolate_blockwise(other)
    assert isinstance(begun, RunStarted) and begun.done == 4
    assert isinstance(end, RunFinished) and end.blocks == done.blocks - 4
    assert files(Path(other.output), "0") == files(Path(spec.output), "0")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"selection": SliceSelection(factor=4)}, "other slices"),
        ({"model": "mean-blur1"}, "weights"),
        ({"intensity": (0.0, 99.0)}, "intensity range"),
        ({"layout": ZarrLayout(default_version(), (1, 32, 32))}, "chunks"),
        ({"unit": "micrometer"}, "voxel size"),
        ({"inference": InferenceSettings(tile=128)}, "tile"),
    ],
)
def test_other_settings_are_refused(
    spec: InterpolationRequest, change: dict[str, Any], message: str
) -> None:
    stop_after(spec, 2)
    with pytest.raises(TsainError, match=message):
        finish(replace(spec, **change))
    _, done = finish(replace(spec, **change), restart=True)
    assert done.blocks > 4


def test_changed_input_is_refused(stack: Path, tmp_path: Path, spec: InterpolationRequest) -> None:
    mine = tmp_path / "mine.zarr"
    shutil.copytree(stack, mine)
    spec = replace(spec, source=str(mine))
    stop_after(spec, 2)
    zarr.open_array(str(mine), mode="r+")[0, 100, 100] ^= 1
    with pytest.raises(TsainError, match="has changed since"):
        finish(spec)


def test_peak_memory_is_that_of_the_process_alone() -> None:
    """Not that of the large process which started it, say napari."""
    large = np.ones(2**29, np.uint8)
    code = "from tsain_core.system.memory import peak_memory; print(peak_memory())"
    text, _ = launch("-c", code).communicate(timeout=120)
    assert 2**22 < int(text) < large.nbytes


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory, model_file: str) -> list[str]:
    """All but the output of a command that makes a dozen small blocks."""
    source = tmp_path_factory.mktemp("killed") / "stack.tif"
    tifffile.imwrite(source, em_phantom((12, 128, 128), seed=3))
    network = ["--model", model_file, "--tile", "64", "--halo", "24"]
    return ["interpolate", "--factor", "2", *network, "--chunks", "1", "64", "64", str(source)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Path:
    whole = tmp_path_factory.mktemp("whole") / "whole.zarr"
    assert main([*command, str(whole)]) == 0
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_repeated(
    tmp_path: Path, command: list[str], uninterrupted: Path, how: signal.Signals
) -> None:
    """Killed in mid-run, the same command goes on; the result is the same to the last bit."""
    out = tmp_path / "out.zarr"
    process = Forked(*command, out)
    wait_for(lambda: marks(out) >= 2, "blocks")
    os.kill(process.pid, how)
    text = "".join(process.communicate(timeout=60))
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), text
    assert not out.exists()
    done = marks(out)
    process = Forked(*command, out)
    text = "".join(process.communicate(timeout=120))
    assert process.returncode == 0, text
    assert f"Going on: {done} of" in text
    assert files(out, "0") == files(uninterrupted, "0")
