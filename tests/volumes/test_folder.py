"""Folders of slices: the order by name, what does not belong there, what is missing."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from tsain_core.cli import main
from tsain_core.errors import TsainError, TsainWarning
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)
CIRCLED, RAISED = "⓪①②③④⑤⑥⑦⑧⑨⑩⑪", "⁰¹²³⁴⁵⁶⁷⁸⁹"


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A test expects the warnings that it names, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TsainWarning)
        yield


def save(folder: Path, names: Sequence[str], ending: str = ".tif") -> Path:
    """A slice under each name."""
    for z, name in enumerate(names):
        image = STACK[z % 5] + np.uint8(z // 5)
        if ending == ".png":
            iio.imwrite(folder / f"{name}.png", image)
        else:
            tifffile.imwrite(folder / f"{name}{ending}", image)
    return folder


def in_order(folder: Path) -> None:
    """The slices come as they were saved."""
    read = open_volume(folder).data.compute(scheduler="synchronous")
    np.testing.assert_array_equal(read[:5], STACK)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(TsainError) as caught:
        open_volume(folder).data.compute(scheduler="synchronous")
    assert all(word in str(caught.value) for word in words), caught.value


FORMS = {
    "plain": [f"s{z}" for z in range(7, 12)],
    "upper and lower case": ["S1", "s2", "s3", "S4", "s5"],
    "constant numbers around": [f"2024-01-17_cell3_{z}_8bit" for z in range(5)],
    "running date first": [f"2024010{9 - z // 2}_slice_{z}" for z in range(5)],
    "a time that goes up unevenly": [
        f"slice_{z:04d}_{t}" for z, t in enumerate((3, 9, 10, 21, 40))
    ],
    "atlas": [f"slice_{z:05d}_z={z * 0.01:.4f}um" for z in range(1, 6)],
    "atlas at 1 micrometre": [f"slice_{z:05d}_z={z}um" for z in range(5)],
    "atlas from another height": [f"slice_{z:05d}_z={5.5 - z * 0.025:.4f}µm" for z in range(5)],
    "heights only": [f"z={z * 0.05:.4f}um" for z in range(5)],
    "circled": [CIRCLED[z] for z in range(7, 12)],
    "raised": [f"s{''.join(RAISED[int(d)] for d in str(z))}" for z in range(8, 13)],
    "full width": [f"s{chr(0xFF10 + z)}" for z in range(5)],
    "through zero": [f"z_{z}" for z in range(-2, 3)],
    "hyphens that are no signs": [f"slice-{z}" for z in range(5)],
    "without numbers": ["a", "b", "c", "d", "e"],
    "two numbers go up": [f"s{z}_of_stack_{z + 3}" for z in range(5)],
}


@pytest.mark.parametrize("ending", [".tif", ".png", ".TIFF"])
@pytest.mark.parametrize("form", FORMS)
def test_order(tmp_path: Path, form: str, ending: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if form == "through zero" else "error", TsainWarning)
        in_order(save(tmp_path, FORMS[form], ending))


@pytest.mark.parametrize(
    ("form", "z", "unit"),
    [
        ("atlas", 0.01, "micrometer"),
        ("atlas at 1 micrometre", 1.0, "micrometer"),
        ("atlas from another height", 0.025, "micrometer"),
        ("heights only", 0.05, "micrometer"),
        ("plain", None, None),
        ("two numbers go up", None, None),
    ],
)
def test_distance_from_names(tmp_path: Path, form: str, z: float | None, unit: str | None) -> None:
    volume = open_volume(save(tmp_path, FORMS[form]))
    assert volume.voxel_size == (None if z is None else (pytest.approx(z), None, None))
    assert volume.unit == unit


def test_uneven_distances_and_mixed_units_state_nothing(tmp_path: Path) -> None:
    heights = ("0.0", "0.1", "0.2", "0.4", "0.5")
    save(tmp_path, [f"slice_{z}_z={height}um" for z, height in enumerate(heights)])
    assert open_volume(tmp_path).voxel_size is None
    other = tmp_path / "other"
    other.mkdir()
    units = ("nm", "um", "nm", "um", "nm")
    save(other, [f"slice_{z}_z={z}{unit}" for z, unit in enumerate(units)])
    assert open_volume(other).voxel_size is None


@pytest.mark.parametrize("form", [k for k in FORMS if k != "without numbers"])
@pytest.mark.parametrize("gone", [1, 2, 3])
def test_gaps_are_seen_in_names_of_every_form(tmp_path: Path, form: str, gone: int) -> None:
    names = FORMS[form]
    save(tmp_path, names)
    (tmp_path / f"{names[gone]}.tif").unlink()
    refused(tmp_path, "missing", "every slice")


STRAYS = ["overview", "Overview 1", "overview_2024", "thumb_3_low", "image", "s3 copy", "s3_thumb"]


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("form", ["plain", "atlas", "circled", "constant numbers around"])
def test_other_images_are_named(tmp_path: Path, form: str, stray: str) -> None:
    save(tmp_path, FORMS[form])
    tifffile.imwrite(tmp_path / f"{stray}.tif", STACK[0])
    refused(tmp_path, f"{stray}.tif", "move it elsewhere")


@pytest.mark.parametrize("endings", [(".tif", ".png"), (".png", ".tif")])
def test_an_image_of_the_other_kind_is_named(tmp_path: Path, endings: tuple[str, str]) -> None:
    save(tmp_path, FORMS["plain"], endings[0])
    save(tmp_path, ["overview"], endings[1])
    refused(tmp_path, "both TIFF and PNG", f"overview{endings[1]}", "move the others elsewhere")


def test_a_thumbnail_beside_each_slice(tmp_path: Path) -> None:
    save(tmp_path, FORMS["plain"])
    for name in FORMS["plain"]:
        tifffile.imwrite(tmp_path / f"{name}_thumb.tif", STACK[0, ::2, ::2])
    refused(tmp_path, "two slices numbered", "move the others elsewhere")


def test_several_other_images(tmp_path: Path) -> None:
    save(tmp_path, FORMS["plain"])
    save(tmp_path, ["before", "after"])
    refused(tmp_path, "after.tif, before.tif")


@pytest.mark.parametrize(
    "names", [[f"z_-{z}" for z in range(5, 0, -1)], ["-3", "-2", "-1", "0", "1"]]
)
def test_the_order_of_negative_numbers_is_said(tmp_path: Path, names: list[str]) -> None:
    with pytest.warns(TsainWarning, match=f"from {names[0]}.tif to {names[-1]}.tif"):
        in_order(save(tmp_path, names))


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_warnings_are_printed_once_as_a_line(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    save(folder, [f"z_{z}" for z in range(-5, 0)])
    out = tmp_path / f"result{ending}"
    with warnings.catch_warnings():
        warnings.resetwarnings()  # as outside of tests
        assert main(["interpolate", str(folder), str(out), "--model", "mean"]) == 0
    text = capsys.readouterr().err.replace("\r", "\n")
    lines = [line for line in text.splitlines() if "negative numbers" in line]
    assert len(lines) == 1
    assert lines[0].startswith("tsain: ")


@pytest.mark.parametrize("name", ["s2", "s4"])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    save(tmp_path, [f"s{z}" for z in range(5)])
    path = tmp_path / f"{name}.tif"
    path.unlink()
    os.mkfifo(path)
    refused(tmp_path, f"{name}.tif is a pipe")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(tmp_path, f"{name}.tif is a device")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.tif")
    refused(tmp_path, f"{name}.tif is a link", "elsewhere.tif, where nothing is")
    path.unlink()
    path.symlink_to(path)
    refused(tmp_path, f"{name}.tif", "in a circle")


def test_folders_and_hidden_files_among_slices_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path, FORMS["plain"])
    (tmp_path / "raw.tif").mkdir()
    (tmp_path / "._s7.tif").write_bytes(b"of another system")
    (tmp_path / "notes.txt").write_text("cell 3")
    in_order(tmp_path)


@pytest.mark.parametrize("flagged", [True, False])
def test_thumbnails_in_each_file(tmp_path: Path, flagged: bool) -> None:
    for z, image in enumerate(STACK):
        with tifffile.TiffWriter(tmp_path / f"s{z}.tif") as writer:
            options: dict[str, Any] = {"subfiletype": 1} if flagged else {}
            writer.write(image[::4, ::4], metadata=None, **options)
            writer.write(image, metadata=None)
            if z == 2:
                writer.write(image[::2, ::2], metadata=None, **options)
    in_order(tmp_path)


def test_a_stack_in_one_block_is_no_slice(tmp_path: Path) -> None:
    for z in range(3):
        tifffile.imwrite(tmp_path / f"s{z}.tif", STACK, truncate=True)
    refused(tmp_path, "s0.tif is 5 x 20 x 30, a stack itself")


@pytest.mark.parametrize("size", [(1 << 31) - 1, 1 << 24])
def test_sizes_that_a_png_cannot_hold(tmp_path: Path, size: int) -> None:
    save(tmp_path, FORMS["plain"], ".png")
    path = tmp_path / "s9.png"
    content = bytearray(path.read_bytes())
    content[16:24] = size.to_bytes(4, "big") * 2
    path.write_bytes(content)
    refused(tmp_path, f"s9.png says that it has {size} x {size} pixels", "copy it again")


@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_a_slice_that_goes_or_changes_in_mid_run(tmp_path: Path, ending: str) -> None:
    volume = open_volume(save(tmp_path, FORMS["plain"], ending))
    path = tmp_path / f"s9{ending}"
    iio.imwrite(path, STACK[0, :10])
    with pytest.raises(TsainError, match=r"s9.* is 10 x 30, and no longer 20 x 30"):
        volume[2]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TsainError, match=r"s9.* copy it again"):
        volume[2]
    path.unlink()
    with pytest.raises(TsainError, match=r"s9.* check the name"):
        volume[2]
    os.mkfifo(path)
    with pytest.raises(TsainError, match=r"s9.* is a pipe"):
        volume[2]


@pytest.mark.parametrize("bad", [0, -40, float("nan"), float("inf"), "40 nm", None])
def test_sizes_of_the_description(tmp_path: Path, bad: Any) -> None:
    save(tmp_path, FORMS["plain"])
    text = json.dumps({"voxel_size": [bad, 4, 4], "unit": "nm"})
    (tmp_path / "sample.json").write_text(text)
    volume = open_volume(tmp_path)
    assert (volume.voxel_size, volume.unit) == ((None, 4.0, 4.0), "nanometer")
    (tmp_path / "sample.json").write_text("[" * 100_000)
    refused(tmp_path, "sample.json", "remove it")


CASES = ["white", "palt", "palgrey", "rgbgrey", "thumbfirst", "atlas", "circ"]


@pytest.mark.parametrize("name", CASES)
def test_cases(em_data: Path, name: str) -> None:
    expected = tifffile.imread(em_data / "cases" / "S.tif")
    np.testing.assert_array_equal(open_volume(em_data / "cases" / name).data, expected)


def test_cases_with_a_line(em_data: Path) -> None:
    refused(em_data / "cases" / "stray", "overview.tif", "move it elsewhere")
    with pytest.warns(TsainWarning, match="from z_-5.tif to z_-1.tif"):
        open_volume(em_data / "cases" / "negonly")
    assert open_volume(em_data / "cases" / "atlas").voxel_size == (0.01, None, None)


def test_slices_say_how_large_their_pixels_are(tmp_path: Path) -> None:
    """Of the first slice's own tags; the distance of slices is in none of them."""
    for z in range(3):
        path = tmp_path / f"slice_{z}.tif"
        tifffile.imwrite(
            path,
            np.full((8, 9), z, np.uint8),
            imagej=True,
            resolution=(250.0, 200.0),  # x, y in pixels a micrometre
            metadata={"unit": "um"},
        )
    volume = open_volume(tmp_path)
    assert volume.voxel_size == (None, pytest.approx(0.005), pytest.approx(0.004))
    assert volume.unit == "micrometer"
