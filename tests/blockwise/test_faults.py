"""What fails in blockwise runs: chunks, disks, permissions; nothing is made up, nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from support.blockwise import cut_small, finish, in_memory
from tsain_core.blockwise import (
    BlockDone,
    BlockFailed,
    InterpolationRequest,
    RunStarted,
    interpolate_blockwise,
)
from tsain_core.blockwise.planning import make_plan
from tsain_core.errors import TsainError
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

pytestmark = pytest.mark.usefixtures("shallow_blocks")


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
    spec = InterpolationRequest(str(tmp_path / "in.zarr"), str(tmp_path / "out.zarr"), model="mean")
    plan, done = finish(spec)
    result = open_volume(spec.output).data.compute()
    expected = np.full((9, 128, 128), 90, np.uint8)
    expected[3:6, 64:, :64] = 0
    np.testing.assert_array_equal(result, expected)
    assert done.without_data == 2 * 64 * 64
    np.testing.assert_array_equal(in_memory(spec, plan), expected)


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
    spec = InterpolationRequest(str(mine), str(tmp_path / "out.zarr"), model="mean", layout=layout)
    events: list[Any] = []
    with pytest.raises(TsainError, match=r"blocks of .* failed \(z 10-11, .*cannot be read"):
        events.extend(_kept(interpolate_blockwise(spec), events))
    failed = [e for e in events if isinstance(e, BlockFailed)]
    lost = {str(e.block) for e in failed if not e.again}
    assert lost and len(failed) == 3 * len(lost)
    plan = next(e.plan for e in events if isinstance(e, RunStarted))
    made = sum(isinstance(e, BlockDone) for e in events)
    assert made == len(plan.grids()[0]) - len(lost)
    assert not Path(spec.output).exists()
    broken.write_bytes(good)  # mended
    with pytest.raises(TsainError, match="accept_changed_input=True"):
        finish(spec)
    _, done = finish(spec, accept_changed_input=True)
    assert done.blocks == len(lost)
    np.testing.assert_array_equal(open_volume(spec.output).data.compute(), in_memory(spec, plan))


def _kept(events: Any, into: list[Any]) -> list[Any]:
    for event in events:
        into.append(event)
    return []


def test_failed_blocks_can_be_left_out(
    tmp_path: Path, spec: InterpolationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tsain_core.blockwise.block_worker as work

    real = work.compute

    def failing(run: Any, block: Any) -> Any:
        if block.index == 1:
            raise ValueError("no luck")
        return real(run, block)

    monkeypatch.setattr(work, "compute", failing)
    _, done = finish(spec, leave_out_failed=True)
    result = open_volume(spec.output)
    assert list(done.left_out) == result.provenance["left_out"]
    assert len(done.left_out) == 1 and done.left_out[0].startswith("z 2-3")
    assert not result.data[2:4].compute().any() and result.data[0:2].compute().any()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a few MiB, or remounts it with other options."""
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
def test_full_disk(spec: InterpolationRequest, small_disk: Callable[[str], Path]) -> None:
    """It ends the run at once, with what to do; when there is room, the run goes on."""
    disk = small_disk("size=150k")
    spec = replace(spec, output=str(disk / "out.zarr"))
    with pytest.raises(TsainError, match="No space left on device.*free space"):
        finish(spec)
    assert not Path(spec.output).exists()
    small_disk("size=64m")
    events = list(interpolate_blockwise(spec))
    assert events[0].done > 0  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        open_volume(spec.output).data.compute(),
        in_memory(spec, events[0].plan),  # type: ignore[union-attr]
    )


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_permission_lost(spec: InterpolationRequest, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=64m")
    spec = replace(spec, output=str(disk / "out.zarr"))
    events = interpolate_blockwise(spec)
    done = 0
    with pytest.raises(TsainError, match="Read-only file system"):
        for event in events:
            done += isinstance(event, BlockDone)
            if done == 3:
                small_disk("ro")
    small_disk("rw")
    begun, *_ = interpolate_blockwise(spec)
    assert isinstance(begun, RunStarted) and begun.done == 3
    np.testing.assert_array_equal(
        open_volume(spec.output).data.compute(), in_memory(spec, begun.plan)
    )


def test_memory_bound_that_is_too_small(spec: InterpolationRequest) -> None:
    with pytest.raises(TsainError, match="smallest block takes .* larger memory"):
        make_plan(replace(spec, memory=1 << 20))
