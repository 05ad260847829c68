"""Voxel sizes: what no voxel can have is "not stated" in files and refused where it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import tsain_core as tsain
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)
BAD = [0.0, -40.0, float("nan"), float("inf"), float("-inf")]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "stack.tif", STACK)
    return tmp_path / "stack.tif"


def imagej(path: Path, pixel: tuple[float, float] = (4, 5), **metadata: Any) -> Any:
    """Voxel size and unit of a file as ImageJ writes it; `pixel` is (x, y)."""
    resolution = tuple(1 / side for side in pixel)
    metadata = {"axes": "ZYX", **metadata}
    tifffile.imwrite(path, STACK, imagej=True, resolution=resolution, metadata=metadata)
    volume = open_volume(path)
    return volume.voxel_size, volume.unit


@pytest.mark.parametrize(("spacing", "z"), [(50, 50), (-50, 50), *((bad, None) for bad in BAD)])
def test_spacing_of_imagej(tmp_path: Path, spacing: float, z: float | None) -> None:
    z = 40.0 if spacing == -40 else z
    size, unit = imagej(tmp_path / "a.tif", unit="nm", spacing=spacing)
    assert size == (z, pytest.approx(5.0), pytest.approx(4.0))
    assert unit == "nanometer"


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"unit": "nm", "zunit": "micron", "spacing": 0.04}, (40.0, 5.0, 4.0)),
        ({"unit": "nm", "yunit": "um", "zunit": "um", "spacing": 0.04}, (40.0, 5000.0, 4.0)),
        ({"unit": "nm", "yunit": "nm", "zunit": "pixel", "spacing": 40}, (None, 5.0, 4.0)),
        ({"unit": "nm", "yunit": "furlong", "spacing": 40}, (40.0, None, 4.0)),
        ({"unit": "pixel", "zunit": "nm", "spacing": 40}, (40.0, None, None)),
    ],
)
def test_units_of_each_axis_of_imagej(
    tmp_path: Path, units: dict[str, Any], expected: tuple[float | None, ...]
) -> None:
    size, unit = imagej(tmp_path / "a.tif", **units)
    assert size == tuple(side and pytest.approx(side) for side in expected)
    assert unit == "nanometer"


@pytest.mark.parametrize("unit", ["pixel", "", "voxel", "none", "N/A"])
def test_without_a_unit_nothing_is_stated(tmp_path: Path, unit: str) -> None:
    assert imagej(tmp_path / "a.tif", unit=unit, spacing=3) == (None, None)


@pytest.mark.parametrize("axis", "ZYX")
@pytest.mark.parametrize("bad", [*BAD, "", "forty"])
def test_sizes_of_ome_tiff(tmp_path: Path, axis: str, bad: Any) -> None:
    sizes = {"Z": 0.04, "Y": 0.005, "X": 0.004}
    metadata = {f"PhysicalSize{a}": bad if a == axis else side for a, side in sizes.items()}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **metadata})
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.voxel_size == tuple(None if a == axis else sizes[a] for a in "ZYX")
    assert volume.unit == "micrometer"


def test_units_of_each_axis_of_ome_tiff(tmp_path: Path) -> None:
    metadata = {"PhysicalSizeZ": 0.04, "PhysicalSizeZUnit": "µm"}
    metadata |= {"PhysicalSizeY": 50, "PhysicalSizeYUnit": "Å"}
    metadata |= {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **metadata})
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.voxel_size == pytest.approx((40.0, 5.0, 4.0))
    assert volume.unit == "nanometer"


@pytest.mark.parametrize(
    "sizes", [("-40", "4", "4"), ("0", "0", "0"), ("4", "nan", "4"), ("4", "4", "inf")]
)
@pytest.mark.parametrize(
    "command",
    [
        ("info",),
        ("evaluate", "--model", "mean"),
        *(
            ("interpolate", f"out{ending}", "--model", "mean")
            for ending in (".tif", ".h5", ".zarr")
        ),
        ("plan", "--model", "mean"),
    ],
    ids=" ".join,
)
def test_sizes_by_hand(
    stack: Path,
    command: tuple[str, ...],
    sizes: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(stack.parent)
    words = [command[0], stack.name, *command[1:], "--voxel-size", *sizes]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--voxel-size" in line
    assert "positive number" in line or "expected 3 arguments" in line
    assert [path.name for path in stack.parent.iterdir()] == [stack.name]


@pytest.mark.parametrize("size", ["0", "-3", "nan", "inf"])
@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_a_z_size_that_cannot_be(
    stack: Path, size: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["interpolate", str(stack), str(stack.with_name(f"out{ending}")), "--model", "mean"]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--voxel-size", "40", "4", "4", "--z-size", size])
    assert stopped.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--z-size" in line and "positive number" in line
    assert [path.name for path in stack.parent.iterdir()] == [stack.name]


@pytest.mark.parametrize("sizes", [(-40, 4, 4), (0, 0, 0), (4, float("nan"), 4), (40, 4)])
def test_sizes_in_python(stack: Path, sizes: tuple[float, ...]) -> None:
    with pytest.raises(TsainError, match="three positive numbers"):
        tsain.interpolate(stack, model="mean", voxel_size=sizes)  # type: ignore[arg-type]
    for ending in (".tif", ".h5", ".zarr"):
        path = stack.with_name(f"out{ending}")
        with pytest.raises(TsainError, match="three positive numbers"):
            create_volume(path, STACK.shape, "uint8", voxel_size=sizes)  # type: ignore[arg-type]
        assert not path.exists()


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
@pytest.mark.parametrize("size", [None, (None, 4.0, 4.0), (40.0, None, None)], ids=str)
def test_a_result_claims_no_more_than_its_source(
    tmp_path: Path, ending: str, size: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source, result = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    with create_volume(
        source, STACK.shape, "uint8", voxel_size=size, unit=size and "nanometer"
    ) as writer:
        for z, image in enumerate(STACK):
            writer.write(z, image)
    assert main(["interpolate", str(source), str(result), "--model", "mean"]) == 0
    volume = open_volume(result)
    finer = size and tuple(
        side and side / (2 if axis == 0 else 1) for axis, side in enumerate(size)
    )
    assert (volume.voxel_size, volume.unit) == (finer, size and "nanometer")
    assert main(["info", str(result), "--model", "mean"]) == 0
    line = next(t for t in capsys.readouterr().out.splitlines() if t.startswith("voxel size"))
    assert "not stated" in line
    assert ("nanometer" in line) == (size is not None)


CASES = {
    "spacing0.tif": ((40.0, 4.0, 4.0), "nanometer"),
    "spacing1.tif": ((None, 4.0, 4.0), "nanometer"),
    "spacing2.tif": ((None, 4.0, 4.0), "nanometer"),
    "spacing5.tif": ((40.0, 4.0, 4.0), "nanometer"),
    "neg.ome.tif": ((None, 4.0, 4.0), "micrometer"),
    "S.tif": (None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(em_data: Path, name: str) -> None:
    volume = open_volume(em_data / "cases" / name)
    size, unit = CASES[name]
    assert volume.voxel_size == (size and tuple(side and pytest.approx(side) for side in size))
    assert volume.unit == unit
