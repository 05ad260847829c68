"""Parts of a stack, several inputs, compression and completion on the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume, part_of

STACK = np.random.default_rng(0).integers(0, 255, (9, 48, 40), np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """With a place in the world, and marks."""
    path = tmp_path / "stack.h5"
    known: dict[str, Any] = {"voxel_size": (40.0, 4.0, 5.0), "unit": "nm", "offset": (80, 8, 0)}
    with create_volume(path, STACK.shape, "uint8", synthetic=(3, 7), **known) as writer:
        for z, image in enumerate(STACK):
            writer.write(z, image)
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().err
    return [line for line in text.splitlines() if line.startswith("tsain: ")]


def test_a_part_lies_where_it_lay(source: Path) -> None:
    part = part_of(open_volume(source), (2, 8), (10, 42, 4, 36))
    np.testing.assert_array_equal(part.data.compute(), STACK[2:8, 10:42, 4:36])
    assert part.offset == (160, 48, 20) and part.voxel_size == (40, 4, 5)
    assert part.synthetic == (1, 5)
    in_z = part_of(open_volume(source), (2, 8))
    assert in_z.digests == {z - 2: d for z, d in open_volume(source).digests.items()}


@pytest.mark.parametrize("output", ["out.tif", "out.zarr", "out.h5"])
def test_a_part_is_interpolated(source: Path, tmp_path: Path, output: str) -> None:
    words = [str(source), str(tmp_path / output), "--model", "mean", "--factor", "2"]
    part = ["--z-range", "2", "7", "--region", "8", "40", "4", "36"]
    assert main(["interpolate", *words, *part]) == 0
    result = open_volume(tmp_path / output)
    assert result.shape == (9, 32, 32)
    np.testing.assert_array_equal(result.data[::2].compute(), STACK[2:7, 8:40, 4:36])
    assert result.offset == (160, 40, 20)
    assert result.synthetic == (1, 2, 3, 5, 7)  # 2 was slice 3, computed before
    assert result.provenance["source_provenance"]["part"]["z_range"] == [2, 7]


def test_slices_are_counted_as_the_whole_stack_does(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "mean", "--z-range", "2", "8"]
    assert main(["interpolate", str(source), f"{tmp_path}/a.tif", "--replace", "4", *words]) == 0
    repaired = open_volume(tmp_path / "a.tif")
    assert repaired.shape[0] == 6 and 2 in repaired.synthetic
    np.testing.assert_array_equal(repaired[1], STACK[3])
    between = ["--between", "4", "6", *words]
    assert main(["interpolate", str(source), f"{tmp_path}/b.zarr", *between]) == 0
    np.testing.assert_array_equal(open_volume(tmp_path / "b.zarr").data[::2].compute(), STACK[4:7])
    capsys.readouterr()
    assert main(["interpolate", str(source), f"{tmp_path}/c.tif", "--replace", "1", *words]) == 1
    assert "Slice 1 is not among the slices 2 to 7" in lines(capsys)[0]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--z-range", "0", "10"], "the stack has 9"),
        (["--z-range", "5", "5"], "ascending"),
        (["--region", "0", "48", "0", "41"], "the stack has 40"),
        (["--region", "20", "10", "0", "8"], "ascending"),
        (["--z-range", "3", "4"], "at least 2"),
    ],
)
def test_parts_that_are_not_there(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, words: str
) -> None:
    for output in ("a.tif", "a.zarr"):
        chosen = [str(source), str(tmp_path / output), "--model", "mean", *options]
        assert main(["interpolate", *chosen]) == 1
        assert words in lines(capsys)[0]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == ["stack.h5"]


def test_another_part_does_not_go_on_with_a_run(source: Path, tmp_path: Path) -> None:
    from tsain_core.blockwise import InterpolationRequest
    from tsain_core.blockwise.planning import make_plan

    spec = InterpolationRequest(str(source), str(tmp_path / "a.zarr"), model="mean", z_range=(0, 4))
    plan = make_plan(spec)
    assert type(plan).from_json(json.loads(json.dumps(plan.to_json()))).request == spec
    other = make_plan(
        InterpolationRequest(str(source), str(tmp_path / "a.zarr"), model="mean", z_range=(1, 5))
    )
    with pytest.raises(TsainError, match="another part"):
        plan.check_same(other)


def test_missing_chunks_of_a_part(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "gaps.zarr"), shape=(4, 32, 32), chunks=(1, 16, 16), dtype="uint8"
    )
    array[:2] = 9
    array[2, :16] = 9
    array[3] = 9
    with pytest.warns(UserWarning, match="slice 2"):
        volume = open_volume(tmp_path / "gaps.zarr")
    part = part_of(volume, (1, 4), (8, 32, 4, 32))
    mask = part.missing(part[1], 1)
    assert mask is not None and not mask[:8].any() and mask[8:].all()
    assert part.missing(part[0], 0) is None


def test_several_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [str(tmp_path / name) for name in ("a.tif", "b.ome.tif", "c.tif")]
    for path in inputs[:2]:
        tifffile.imwrite(path, STACK[:3], photometric="minisblack", metadata={"axes": "ZYX"})
    Path(inputs[2]).write_bytes(b"damaged")
    (tmp_path / "out").mkdir()
    options = ["--model", "mean", "--quiet"]
    assert main(["interpolate", *inputs, f"{tmp_path}/out", *options]) == 1
    found = lines(capsys)
    assert len(found) == 2 and "c.tif" in found[0] and "1 of 3 inputs failed" in found[1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.zarr", "b.zarr"]
    pattern = str(tmp_path / "out" / "{name}-x2.tif")
    assert main(["interpolate", *inputs[:2], pattern, *options]) == 0
    assert open_volume(tmp_path / "out" / "b-x2.tif").shape[0] == 5


@pytest.mark.parametrize(
    "output, words",
    [
        ("one.tif", "name of a single result"),
        ("gone/", "no folder"),
        ("out/x.zarr", "name of a single result"),
    ],
)
def test_results_that_do_not_fit_several_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, words: str
) -> None:
    assert main(["interpolate", "a.tif", "b.tif", f"{tmp_path}/{output}"]) == 1
    assert words in lines(capsys)[0]
    assert main(["interpolate", "x/a.tif", "y/a.h5", f"{tmp_path}/{{name}}.tif"]) == 1
    assert "would both become" in lines(capsys)[0]


@pytest.mark.parametrize("ending", [".tif", ".h5", ".zarr"])
def test_compression_levels(tmp_path: Path, ending: str) -> None:
    smooth = np.tile(np.arange(256, dtype=np.uint8), (3, 256, 1))
    tifffile.imwrite(tmp_path / "in.tif", smooth, photometric="minisblack")
    sizes = []
    for level in ("0", "1", "9"):
        output = tmp_path / f"level{level}{ending}"
        words = ["--model", "mean", "--compression", level]
        assert main(["interpolate", str(tmp_path / "in.tif"), str(output), *words]) == 0
        np.testing.assert_array_equal(open_volume(output)[0], smooth[0])
        files = output.rglob("*") if output.is_dir() else [output]
        sizes.append(sum(p.stat().st_size for p in files if p.is_file()))
    assert sizes[0] > 5 * 256 * 256 > 10 * sizes[1]
    assert sizes[2] <= sizes[1]


def test_what_is_written_without_compression(tmp_path: Path) -> None:
    for name in ("a.tif", "a.h5"):
        with create_volume(tmp_path / name, STACK.shape, "uint8", compression=0) as writer:
            for z, image in enumerate(STACK):
                writer.write(z, image)
    assert tifffile.TiffFile(tmp_path / "a.tif").pages.first.compression == 1
    assert h5py.File(tmp_path / "a.h5")["volumes/raw"].compression is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("interpolate", "z-range", "fetch-sample", "ensemble"))
    if shell == "bash":
        (tmp_path / "completion").write_text(script)
        subprocess.run(["bash", "-n", str(tmp_path / "completion")], check=True)


@pytest.mark.slow
def test_warnings_come_once_with_workers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed")
    array = zarr.create_array(
        str(tmp_path / "gaps.zarr"), shape=(4, 32, 32), chunks=(1, 32, 32), dtype="uint8"
    )
    array[:2] = 9
    array[3] = 9
    words = [f"{tmp_path}/gaps.zarr", f"{tmp_path}/out.zarr", "--model", "mean", "--workers", "2"]
    assert main(["interpolate", *words, "--quiet"]) == 0
    assert capfd.readouterr().err.count("lacks data") == 1
