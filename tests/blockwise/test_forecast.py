"""What `tsain plan` says: measured on a sample, and simulated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.blockwise import InterpolationRequest, RunPlan, make_plan
from tsain_core.blockwise.block_worker import OpenRun
from tsain_core.blockwise.blocks import Block
from tsain_core.blockwise.forecast import TimedBlocks, forecast, measure
from tsain_core.cli import main
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.system.records import RecordError

SAMPLE = TimedBlocks(
    startup=2.0,
    per_block=0.0,
    per_voxel=1e-6,
    reading=0.1,
    writing=0.2,
    read=0.5,
    written=0.8,
    coarsening=1e-8,
    load=1.0,
    peak=1 << 30,
)


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    tifffile.imwrite(tmp_path / "stack.tif", em_phantom((9, 128, 128), seed=1))
    spec = InterpolationRequest(
        str(tmp_path / "stack.tif"), str(tmp_path / "out.zarr"), model="mean"
    )
    return make_plan(spec)


def test_time_is_shared_until_blocks_or_storage_run_out(plan: RunPlan) -> None:
    shape = (2000, 8192, 8192)  # on paper
    one, ten, many = (forecast(plan, SAMPLE, n, shape=shape) for n in (1, 10, 100))
    voxels = 2000 * 8192**2
    assert one.seconds == pytest.approx(voxels * (1e-6 + 1e-8 / 3), rel=0.02)
    assert one.limit == "computing" and one.busy > 0.95
    assert one.seconds / ten.seconds == pytest.approx(10, rel=0.03)
    assert one.seconds / many.seconds == pytest.approx(100, rel=0.1)
    assert many.worker_hours == pytest.approx(one.worker_hours, rel=0.1)
    narrow = forecast(plan, SAMPLE, 100, shape=shape, bandwidth=20e6)
    assert narrow.limit == "writing"
    # of the pyramid, each voxel takes one to be written and four to be read
    moved = voxels * (0.5 + 0.8 + 5 * 0.8 / 3)
    assert narrow.seconds == pytest.approx(moved / 20e6, rel=0.05)
    fast = forecast(plan, SAMPLE, 1, shape=shape, faster=100)
    assert fast.limit == "writing" and fast.seconds == pytest.approx(0.2 * one.seconds, rel=0.1)


def test_workers_of_one_machine_share_its_cores(plan: RunPlan) -> None:
    shape = (2000, 8192, 8192)
    busy = replace(SAMPLE, load=1.5)

    def seconds(workers: int, cores: int | None) -> float:
        return forecast(plan, busy, workers, shape=shape, cores=cores).seconds

    assert seconds(4, None) == seconds(4, 6) < seconds(4, 2)
    assert seconds(1, 2) / seconds(2, 2) == pytest.approx(2 / 1.5, rel=0.02)
    assert seconds(2, 2) == pytest.approx(seconds(8, 2), rel=0.02)


def test_few_blocks_cannot_be_shared(plan: RunPlan) -> None:
    blocks = len(plan.grids()[0])
    found = forecast(plan, SAMPLE, 10 * blocks)
    assert found.limit == "too few blocks"
    assert found.seconds == pytest.approx(forecast(plan, SAMPLE, blocks).seconds, rel=0.01)


def test_sample_is_measured_and_removed(plan: RunPlan, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    sample = measure(plan, tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert 0 < sample.per_voxel < 1e-3 and 0 < sample.written < 1.2
    assert sample.peak > 1 << 26


@pytest.mark.parametrize("seconds", [1e-8, 1e-5])  # a voxel
def test_whole_blocks_are_timed_where_they_take_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """A part of a block makes too much of what each slice costs whatever its size."""
    black = np.zeros((9, 2048, 2048), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", black, compression="zlib")
    spec = InterpolationRequest(
        str(tmp_path / "stack.tif"), str(tmp_path / "out.zarr"), model="mean"
    )
    plan = make_plan(spec)
    timed = []

    def fake(_: OpenRun, block: Block) -> dict[str, float]:
        timed.append(block)
        disturbed = 3.0 if len(timed) % 5 == 4 else 1.0
        took = (seconds * block.voxels + 0.01 * (block.z1 - block.z0)) * disturbed
        return {"seconds": took, "cpu": took, "reading": 0.0, "writing": 0.0, "read": 0.0}

    monkeypatch.setattr("tsain_core.blockwise.forecast._timed", fake)
    sample = measure(plan, tmp_path)
    sides = {b.region.y1 for b in timed if not b.level}
    assert max(sides) == (2048 if seconds < 1e-6 else 1024)
    if seconds < 1e-6:
        fine = plan.grids()[0][0]
        each = seconds * fine.voxels + 0.01 * (fine.z1 - fine.z0)
        assert sample.per_block + sample.per_voxel * fine.voxels == pytest.approx(each, rel=1e-3)
        assert sample.coarsening == pytest.approx(seconds + 0.01 / 1024**2, rel=1e-3)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", em_phantom((9, 128, 128), seed=1))
    words = ["plan", str(tmp_path / "stack.tif"), "--model", "mean", "--workers", "1", "500"]
    paper = ["--on-paper", "25000", "65536", "65536", "--faster", "60", "--price", "2.5"]
    assert main([*words, *paper]) == 0
    text = capsys.readouterr().out
    assert "49999 x 65536 x 65536 voxels" in text
    assert "worker hours" in text and "cost" in text and "limited by" in text
    for wrong in ("--faster", "--cores"):
        with pytest.raises(SystemExit) as stopped:
            main([*words, wrong, "0"])
        assert stopped.value.code == 2
    assert main([*words, "--output", str(tmp_path / "nowhere" / "x.zarr")]) == 1


def test_plan_is_the_same_again(plan: RunPlan) -> None:
    again = make_plan(plan.request)
    assert replace(again, id=plan.id, memory_bytes=plan.memory_bytes) == plan
    values = json.loads(json.dumps(plan.to_json()))
    assert RunPlan.from_json(values) == plan
    for later in ("compression", "policy", "cluster"):  # runs begun before there were these
        del values["request"][later]
    assert RunPlan.from_json(values) == plan
    with pytest.raises(RecordError, match="request.inference.tile is 'x'; a whole number"):
        RunPlan.from_json({**values, "request": {**values["request"], "inference": {"tile": "x"}}})
