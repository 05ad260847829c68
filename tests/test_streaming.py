"""Streamed runs: the same voxels as in memory, however they are cut, interrupted or distributed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from streaming import files, finish, in_memory, marks, start, stop_after, wait_for

from tsain_core.checkpoint import ModelInfo, save
from tsain_core.errors import TsainError
from tsain_core.models import InferenceSettings
from tsain_core.network import TSAIN
from tsain_core.phantom import em_phantom
from tsain_core.request import Request
from tsain_core.streaming import Begun, BlockDone, BlockFailed, Done, StreamRequest, stream
from tsain_core.streaming.blocks import choose_block
from tsain_core.streaming.planning import make_plan
from tsain_core.streaming.record import Record, staging
from tsain_core.streaming.window import generations
from tsain_core.tiles import Region
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import ZARR_3, ZarrLayout, default_version

needs_zarr_3 = pytest.mark.skipif(not ZARR_3, reason="zarr 2, of Python 3.10, has no Zarr v3")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stack whose chunks are several slices deep, and no divisor of anything."""
    path = tmp_path_factory.mktemp("stack") / "stack.zarr"
    data = em_phantom((7, 136, 200), seed=3)
    array = zarr.open_array(str(path), mode="w", shape=data.shape, chunks=(3, 70, 90), dtype="u1")
    array[:] = data
    array.attrs["voxel_size"] = [40, 5, 5]
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory, stirred_network: TSAIN) -> str:
    path = tmp_path_factory.mktemp("model") / "stirred.safetensors"
    save(path, stirred_network, ModelInfo("stirred", stirred_network.settings))
    return str(path)


@pytest.fixture(autouse=True)
def shallow_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks, also in a small stack of deep chunks."""
    monkeypatch.setattr("tsain_core.streaming.blocks._DEEPEST", 4)


@pytest.fixture
def asked(stack: Path, tmp_path: Path) -> StreamRequest:
    layout = ZarrLayout(default_version(), (1, 64, 64))
    return StreamRequest(str(stack), str(tmp_path / "out.zarr"), model="mean", layout=layout)


def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of parts of slices, a few slices deep, as large volumes have them."""
    monkeypatch.setattr("tsain_core.streaming.blocks._VOXELS", 4 * 128 * 128)

    def parts(*arguments: Any) -> int:
        region = arguments[0]
        return 1 if max(region.shape) <= 128 else 1 << 60

    monkeypatch.setattr("tsain_core.streaming.planning.bytes_for", parts)


@pytest.mark.parametrize(
    "request_, model",
    [
        (Request(factor=2), "mean"),
        (Request(factor=4, damaged=(3, 4)), "mean"),
        (Request(factor=2), "network"),
        (Request(factor=4), "network"),
        (Request(factor=8), "network"),
        (Request(z_size=17.0), "network"),
        (Request(damaged=(2, 3, 4)), "network"),
        (Request(between=(2, 6), factor=4), "network"),
        (Request(factor=2), "optical-flow-blur1"),
    ],
)
def test_same_voxels_as_in_memory(
    asked: StreamRequest,
    model_file: str,
    monkeypatch: pytest.MonkeyPatch,
    request_: Request,
    model: str,
) -> None:
    asked = replace(
        asked,
        request=request_,
        model=model_file if model == "network" else model,
        # the sampling offsets of the small network reach far; a measured halo once is enough
        inference=InferenceSettings("cpu", tile=64, halo=None if request_.damaged else 24),
    )
    if "flow" not in model:
        cut_small(monkeypatch)
    plan, done = finish(asked)
    assert done.blocks == sum(len(grid) for grid in plan.grids()) > 4
    result = open_volume(asked.output)
    if "flow" not in model:
        assert plan.grids()[0].counts[1:] == (2, 2)
    np.testing.assert_array_equal(result.data.compute(), in_memory(asked, plan))
    assert result.synthetic and result.provenance["model"]
    assert result.voxel_size is not None and result.voxel_size[1:] == (5, 5)
    assert sorted(p.name for p in Path(asked.output).parent.iterdir()) == ["out.zarr"]
    assert not (Path(asked.output) / ".tsain-run").exists()


def test_blocks_begin_where_chunks_of_the_source_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsain_core.streaming.blocks._DEEPEST", 512)

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
    schedule = Request(factor=8).schedule(3)
    assert generations(schedule, any_position=False) == {
        half: 2,
        quarter: 1,
        Fraction(3, 4): 1,
        **{Fraction(i, 8): 0 for i in (1, 3, 5, 7)},
    }
    assert set(generations(schedule, any_position=True).values()) == {0}


@pytest.mark.parametrize("version", ["0.4", pytest.param("0.5", marks=needs_zarr_3)])
def test_pyramid(tmp_path: Path, version: Any) -> None:
    """As the one that is written slice by slice, at every level, odd sides and all."""
    data = em_phantom((5, 64, 64), seed=1)
    data = np.tile(data, (1, 11, 17))[:, :651, :1043]
    tifffile.imwrite(tmp_path / "stack.tif", data)
    layout = ZarrLayout(version, (2, 100, 128))
    asked = StreamRequest(
        str(tmp_path / "stack.tif"), str(tmp_path / "out.zarr"), model="mean", layout=layout
    )
    plan, _ = finish(asked)
    group = zarr.open_group(asked.output, mode="r")
    expected = in_memory(asked, plan)
    from tsain_core.volumes.zarr_layout import halve

    for name in ("0", "1", "2"):
        np.testing.assert_array_equal(group[name][:], expected)
        expected = np.stack([halve(image) for image in expected])
    assert "3" not in group


@needs_zarr_3
def test_shards_are_written_whole(asked: StreamRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = ZarrLayout("0.5", (2, 32, 32), shards=(4, 128, 128))
    asked = replace(asked, layout=layout)
    cut_small(monkeypatch)
    plan, _ = finish(asked)
    array = zarr.open_group(asked.output, mode="r")["0"]
    assert array.shards == (4, 128, 128) and array.chunks == (2, 32, 32)
    assert all(b % s == 0 for b, s in zip(plan.block, array.shards, strict=True))
    np.testing.assert_array_equal(array[:], in_memory(asked, plan))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"version": "0.4", "shards": (2, 64, 64)}, "no shards"),
        pytest.param(
            {"chunks": (2, 64, 64), "shards": (3, 64, 64)}, "multiples", marks=needs_zarr_3
        ),
        ({"chunks": (0, 64, 64)}, "at least 1"),
    ],
)
def test_layouts_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TsainError, match=message):
        ZarrLayout(**{"version": default_version(), **values})


# Interruptions


def test_goes_on_where_it_was_stopped(asked: StreamRequest, tmp_path: Path) -> None:
    whole, done = finish(asked)
    other = replace(asked, output=str(tmp_path / "again.zarr"))
    stop_after(other, 4)
    assert not Path(other.output).exists()
    begun, *_, end = stream(other)
    assert isinstance(begun, Begun) and begun.done == 4
    assert isinstance(end, Done) and end.blocks == done.blocks - 4
    assert files(Path(other.output), "0") == files(Path(asked.output), "0")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"request": Request(factor=4)}, "other slices"),
        ({"model": "mean-blur1"}, "weights"),
        ({"intensity": (0.0, 99.0)}, "intensity range"),
        ({"layout": ZarrLayout(default_version(), (1, 32, 32))}, "chunks"),
        ({"unit": "micrometer"}, "voxel size"),
        ({"inference": InferenceSettings(tile=128)}, "tile"),
    ],
)
def test_other_settings_are_refused(
    asked: StreamRequest, change: dict[str, Any], message: str
) -> None:
    stop_after(asked, 2)
    with pytest.raises(TsainError, match=message):
        finish(replace(asked, **change))
    _, done = finish(replace(asked, **change), restart=True)
    assert done.blocks > 4


def test_changed_input_is_refused(stack: Path, tmp_path: Path, asked: StreamRequest) -> None:
    mine = tmp_path / "mine.zarr"
    shutil.copytree(stack, mine)
    asked = replace(asked, source=str(mine))
    stop_after(asked, 2)
    zarr.open_array(str(mine), mode="r+")[0, 100, 100] ^= 1
    with pytest.raises(TsainError, match="has changed since"):
        finish(asked)


def test_two_at_once_are_refused(asked: StreamRequest) -> None:
    stop_after(asked, 2)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record = Record(staging(Path(asked.output)))
    import psutil

    lock = Path(record.root) / ".tsain-run" / "lock.json"
    record.beat()
    values = json.loads(lock.read_text())
    values |= {"pid": sleeper.pid, "started": psutil.Process(sleeper.pid).create_time()}
    lock.write_text(json.dumps(values))
    try:
        with pytest.raises(TsainError, match=f"by process {sleeper.pid}"):
            finish(asked)
    finally:
        sleeper.kill()
        sleeper.wait()
    finish(asked)  # a dead process holds nothing


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_repeated(tmp_path: Path, model_file: str, how: signal.Signals) -> None:
    """Killed in mid-run, the same command goes on; the result is the same to the last bit."""
    source = tmp_path / "stack.tif"
    tifffile.imwrite(source, em_phantom((9, 128, 128), seed=3))
    network = ["--model", model_file, "--tile", "64", "--halo", "24"]
    words = ["interpolate", source, "--factor", "8", *network, "--chunks", "1", "64", "64"]
    whole, out = tmp_path / "whole.zarr", tmp_path / "out.zarr"
    assert start(*words[:2], whole, *words[2:]).wait() == 0
    process = start(*words[:2], out, *words[2:])
    wait_for(lambda: marks(out) >= 3, "blocks")
    os.kill(process.pid, how)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), text
    assert not out.exists()
    done = marks(out)
    process = start(*words[:2], out, *words[2:])
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert f"Going on: {done} of" in text
    assert files(out, "0") == files(whole, "0")


# Faults


def test_missing_chunks_are_not_made_up(tmp_path: Path) -> None:
    """Where a chunk was never written there is no slice in between either, and it is told."""
    data = np.full((5, 128, 128), 90, np.uint8)
    array = zarr.open_array(
        str(tmp_path / "in.zarr"), mode="w", shape=data.shape, chunks=(1, 64, 64), dtype="u1"
    )
    array[:] = data
    (path,) = [
        p
        for p in (tmp_path / "in.zarr").rglob("*")
        if p.is_file() and _key(p) in ("2/1/0", "2.1.0")
    ]
    path.unlink()
    asked = StreamRequest(str(tmp_path / "in.zarr"), str(tmp_path / "out.zarr"), model="mean")
    plan, done = finish(asked)
    result = open_volume(asked.output).data.compute()
    expected = np.full((9, 128, 128), 90, np.uint8)
    expected[3:6, 64:, :64] = 0
    np.testing.assert_array_equal(result, expected)
    assert done.without_data == 2 * 64 * 64
    np.testing.assert_array_equal(in_memory(asked, plan), expected)


def _key(path: Path) -> str:
    parts = [p for p in path.parts[path.parts.index("in.zarr") + 1 :] if p != "c"]
    return "/".join(parts)


def chunk_files(path: Path) -> list[Path]:
    return sorted(
        p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".z", "zarr"))
    )


def test_corrupt_chunk_costs_only_its_blocks(
    tmp_path: Path, stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.zarr"
    shutil.copytree(stack, mine)
    broken = chunk_files(mine)[-1]
    good = broken.read_bytes()
    broken.write_bytes(good[: len(good) // 2])
    cut_small(monkeypatch)
    layout = ZarrLayout(default_version(), (1, 64, 64), pyramid=False)
    asked = StreamRequest(str(mine), str(tmp_path / "out.zarr"), model="mean", layout=layout)
    events: list[Any] = []
    with pytest.raises(TsainError, match=r"blocks of .* failed \(z 10-11, .*cannot be read"):
        events.extend(_kept(stream(asked), events))
    failed = [e for e in events if isinstance(e, BlockFailed)]
    lost = {str(e.block) for e in failed if not e.again}
    assert lost and len(failed) == 3 * len(lost)
    plan = next(e.plan for e in events if isinstance(e, Begun))
    made = sum(isinstance(e, BlockDone) for e in events)
    assert made == len(plan.grids()[0]) - len(lost)
    assert not Path(asked.output).exists()
    broken.write_bytes(good)  # mended
    with pytest.raises(TsainError, match="--accept-changed-input"):
        finish(asked)
    _, done = finish(asked, accept_changed_input=True)
    assert done.blocks == len(lost)
    np.testing.assert_array_equal(open_volume(asked.output).data.compute(), in_memory(asked, plan))


def _kept(events: Any, into: list[Any]) -> list[Any]:
    for event in events:
        into.append(event)
    return []


def test_failed_blocks_can_be_left_out(
    tmp_path: Path, asked: StreamRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tsain_core.streaming.work as work

    real = work.compute

    def failing(run: Any, block: Any) -> Any:
        if block.index == 1:
            raise ValueError("no luck")
        return real(run, block)

    monkeypatch.setattr(work, "compute", failing)
    _, done = finish(asked, leave_out_failed=True)
    result = open_volume(asked.output)
    assert list(done.left_out) == result.provenance["left_out"]
    assert len(done.left_out) == 1 and done.left_out[0].startswith("z 2-3")
    assert not result.data[2:4].compute().any() and result.data[0:2].compute().any()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a few MiB, or mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"No file system can be mounted here: {done.stderr.strip()}")
        return folder

    try:
        yield mount
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_full_disk(asked: StreamRequest, small_disk: Callable[[str], Path]) -> None:
    """It ends the run at once, with what to do; when there is room, the run goes on."""
    disk = small_disk("size=150k")
    asked = replace(asked, output=str(disk / "out.zarr"))
    with pytest.raises(TsainError, match="No space left on device.*free space"):
        finish(asked)
    assert not Path(asked.output).exists()
    small_disk("size=64m")
    events = list(stream(asked))
    assert events[0].done > 0  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        open_volume(asked.output).data.compute(),
        in_memory(asked, events[0].plan),  # type: ignore[union-attr]
    )


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_permission_lost(asked: StreamRequest, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=64m")
    asked = replace(asked, output=str(disk / "out.zarr"))
    events = stream(asked)
    done = 0
    with pytest.raises(TsainError, match="Read-only file system"):
        for event in events:
            done += isinstance(event, BlockDone)
            if done == 3:
                small_disk("ro")
    small_disk("rw")
    begun, *_ = stream(asked)
    assert isinstance(begun, Begun) and begun.done == 3
    np.testing.assert_array_equal(
        open_volume(asked.output).data.compute(), in_memory(asked, begun.plan)
    )


def test_memory_bound_that_is_too_small(asked: StreamRequest) -> None:
    with pytest.raises(TsainError, match="smallest block takes .* needed is a larger --memory"):
        make_plan(replace(asked, memory=1 << 20))
