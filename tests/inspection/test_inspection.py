"""Damaged slices are found, named and counted, and clean ones are left alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import tsain_core as tsain
from support.damage import KINDS, damage
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.inspection.gaps import find_breaks, find_steps
from tsain_core.inspection.measures import REACH, PairNumbers
from tsain_core.inspection.sketch import sketches
from tsain_core.inspection.statistics import Measures
from tsain_core.volumes import Volume, open_volume

NAMES = {
    "missing": "missing",
    "duplicate": "duplicate",
    "torn": "torn or folded",
    "folded": "torn or folded",
    "blurred": "out of focus",
    "contrast": "contrast jump",
    "shifted": "shifted",
    "charging": "charging",
}


def tissue(depth: int, side: int = 192) -> Any:
    """Texture that changes from slice to slice, with noise and uneven staining."""
    random = np.random.default_rng(5)
    texture = gaussian_filter(random.normal(0, 1, (depth + 8, side, side)), (1, 2.5, 2.5))[4:-4]
    gain = 35 * random.normal(1, 0.03, (depth, 1, 1))
    stack = 125 + gain * texture / texture.std() + random.normal(0, 12, texture.shape)
    return np.clip(np.round(stack), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clean() -> Any:
    return tissue(16)


def test_a_clean_stack_has_no_findings(clean: Any) -> None:
    assert tsain.inspect(clean).findings == ()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_and_nothing_else(clean: Any, kind: str) -> None:
    named, found, others = 0, 0, 0
    for seed in range(2):  # of positions, sizes and signs
        stack = damage(clean, 7, kind, np.random.default_rng(seed))
        findings = tsain.inspect(stack).findings
        found += any(f.z == 7 for f in findings)
        named += any(f.z == 7 and f.kind == NAMES[kind] for f in findings)
        others += sum(f.z != 7 for f in findings)
    assert found == 2 and named >= 1 and others <= 1


@pytest.mark.parametrize(("slope", "shade"), [(0, -40), (1, 40)])
def test_a_thin_faint_line_is_found(clean: Any, slope: int, shade: int) -> None:
    stack = clean.astype(float)
    y, x = np.indices(stack.shape[1:])
    across = (x - 94 if slope == 0 else x - y) / np.hypot(1, slope)
    stack[7] += np.where(np.abs(across) <= 4, shade, 0)
    findings = tsain.inspect(np.clip(stack, 0, 255).astype(np.uint8)).findings
    assert [(f.z, f.kind) for f in findings] == [(7, "torn or folded")]
    assert "line" in findings[0].reason


def test_several_damaged_slices_in_a_row(clean: Any) -> None:
    stack = clean.copy()
    stack[6:9] = 0
    stack[12] = 255 - stack[12]
    found = tsain.inspect(stack)
    assert found.damaged == (6, 7, 8, 12)
    assert all(f.reason and 0.5 <= f.severity <= 1 for f in found.findings)


def test_lost_slices_and_lasting_shifts_lie_between_slices() -> None:
    stack = tissue(20)
    lost = np.delete(stack, (9, 10), 0)
    moved = stack.copy()
    moved[12:] = np.roll(moved[12:], (14, -9), (1, 2))
    for damaged, z, kind in ((lost, 9, "gap"), (moved, 12, "shifted")):
        found = tsain.inspect(damaged)
        assert [(f.z, f.kind, f.replace) for f in found.findings] == [(z, kind, False)]
        assert found.damaged == ()


def test_lost_slices_are_told_from_slices_of_poor_quality() -> None:
    """A noisy slice is unlike both neighbours, lost slices make the two sides unlike."""
    random = np.random.default_rng(2)
    stack = tissue(22).astype(np.float32)
    for z in (5, 13, 14, 19):
        stack[z] += random.normal(0, 25, stack[z].shape)
    noisy = np.clip(stack, 0, 255).astype(np.uint8)
    assert "gap" not in {f.kind for f in tsain.inspect(noisy).findings}
    lost = np.delete(noisy, (9, 10), 0)
    assert [f.z for f in tsain.inspect(lost).findings if f.kind == "gap"] == [9]


@pytest.mark.parametrize("z", [2, 3, 16, 18])
def test_lost_slices_near_an_end_leave_the_slices_there_sound(z: int) -> None:
    lost = np.delete(tissue(22), (z, z + 1), 0)
    assert [(f.z, f.kind) for f in tsain.inspect(lost).findings] == [(z, "gap")]


def test_damaged_ends_are_named_but_not_replaced(clean: Any) -> None:
    stack = clean.copy()
    stack[0] = stack[-1] = 0
    found = tsain.inspect(stack)
    assert found.lost == (0, 15) and found.damaged == ()


def test_a_copy_is_the_slice_that_does_not_fit_its_other_side(clean: Any) -> None:
    for lost, source in ((7, 6), (7, 8)):
        stack = clean.copy()
        stack[lost] = stack[source]
        (finding,) = tsain.inspect(stack).findings
        assert (finding.z, finding.kind) == (lost, "duplicate")
        assert str(source) in finding.reason


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_grey_values_of_any_type_and_range(clean: Any, dtype: str) -> None:
    stack = (clean.astype(np.float32) * 37 - 1500).astype(dtype)
    if dtype == "uint16":
        stack = clean.astype(dtype) * 200
    stack[5] = stack.min()
    assert tsain.inspect(stack).damaged == (5,)


def test_slices_without_numbers(clean: Any) -> None:
    stack = clean.astype(np.float32)
    stack[4] = np.nan
    stack[9, :20] = np.nan  # not most of it
    found = tsain.inspect(stack)
    assert [(f.z, f.kind) for f in found.findings if f.z == 4] == [(4, "missing")]


@pytest.mark.parametrize("stack", [np.zeros((5, 40, 40), np.uint8), np.full((4, 3, 2), 7.0)])
def test_constant_and_tiny_stacks_are_no_error(stack: Any) -> None:
    found = tsain.inspect(stack.astype(np.uint8))
    assert {f.kind for f in found.findings} <= {"missing"} and found.damaged == ()


def test_too_few_slices() -> None:
    with pytest.raises(TsainError, match="at least 3 are required"):
        tsain.inspect(np.zeros((2, 40, 40), np.uint8))


class Counted(Volume):
    """A volume that keeps the largest box read."""

    def read(self, *box: slice) -> Any:
        part = super().read(*box)
        self.__dict__["largest"] = max(self.__dict__.get("largest", 0), part.nbytes)
        return part


def test_memory_bounds_what_is_read_and_changes_nothing() -> None:
    stack = tissue(4, 160)[:, :96]
    volume = Counted(da.from_array(np.ascontiguousarray(stack), chunks=(4, 96, 160)))
    bounded = list(sketches(volume, memory=40 << 10))
    assert volume.__dict__["largest"] <= 40 << 10
    for a, b in zip(bounded, sketches(volume), strict=True):
        assert a.digest == b.digest
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.patches, b.patches)


def test_progress_and_stopping(clean: Any) -> None:
    shares: list[float] = []
    tsain.inspect(clean[:4], progress=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tsain.inspect(clean, progress=stop)


@pytest.fixture(scope="module")
def damaged_file(clean: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "stack.tif"
    stack = clean.copy()
    stack[5], stack[6] = 0, 0
    tifffile.imwrite(path, stack)
    return path


def test_command_prints_a_table_and_the_remedy(
    damaged_file: Path, tmp_path: Path, capsys: Any
) -> None:
    output = tmp_path / "damaged.csv"
    assert main(["inspect", str(damaged_file), "--csv", str(output), "-q"]) == 0
    said = capsys.readouterr().out
    assert "missing" in said and f"tsain interpolate {damaged_file} repaired.zarr" in said
    assert "--replace 5-6" in said
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["z"] for row in rows] == ["5", "6"] and rows[0]["kind"] == "missing"


def test_command_for_programs(damaged_file: Path, capsys: Any) -> None:
    assert main(["inspect", str(damaged_file), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["replace"] == "5-6" and found["slices"] == 16
    assert found["findings"][0]["reason"].startswith("constant")


def test_command_says_what_is_wrong(damaged_file: Path, tmp_path: Path, capsys: Any) -> None:
    nowhere = tmp_path / "none" / "damaged.csv"
    assert main(["inspect", str(damaged_file), "--csv", str(nowhere), "-q"]) == 1
    assert "choose another place" in capsys.readouterr().err


@pytest.fixture
def real_stacks(em_data: Path) -> Iterator[Any]:
    names = ("train/gala", "validate/gala_example", "validate/sbem_050-059", "validate/fafb_0-3")
    return (open_volume(em_data / f"{name}.tif") for name in names)


@pytest.mark.em_data
def test_clean_real_stacks_have_no_findings(real_stacks: Any) -> None:
    assert [tsain.inspect(volume).findings for volume in real_stacks] == [()] * 4


@pytest.mark.em_data
@pytest.mark.slow
def test_real_damage_is_found(em_data: Path) -> None:
    """A fold in slice 4 of the retina, dirt in two slices of Kasthuri's, shifts in ISBI 2012.

    In CebraEM the structure jumps before slices 16 and 49.
    """
    names = ("retina_apex", "isbi2012_train", "cebraem")
    found = {
        name: {f.z for f in tsain.inspect(em_data / f"{name}.tif").findings}
        for name in (*(f"validate/{name}" for name in names), "train/kasthuri11_res3")
    }
    assert found["validate/cebraem"] == {16, 49}
    assert 4 in found["validate/retina_apex"] and len(found["validate/retina_apex"]) <= 2
    assert found["train/kasthuri11_res3"] == {11, 20}
    assert {10, 17, 25} <= found["validate/isbi2012_train"]


def shifted_pairs(shown: dict[tuple[int, int], float], poor: tuple[tuple[int, int], ...]) -> Any:
    """Measures of ten slices: pairs that are shifted by so many columns, and pairs unlike."""
    measures = Measures(side=256)
    for a in range(10):
        for b in range(a + 1, min(a + 1 + REACH, 10)):
            alike = 0.05 if (a, b) in poor else 0.5 / (b - a)
            shift = np.array([0.0, shown.get((a, b), 0.0)])
            measures.pairs[a, b] = PairNumbers(np.full(16, alike, np.float32), shift, 0.0)
    return measures


@pytest.mark.parametrize(
    ("shown", "poor", "found"),
    [
        # all pairs across show a lasting step, also where distant ones are too unlike
        ([(4, 5), (3, 5), (4, 6), (3, 6)], [], (5, False)),
        ([(4, 5), (3, 5), (4, 6)], [], (5, False)),
        ([(4, 5)], [], (5, False)),
        # only pairs of one slice: it is that slice
        ([(4, 5), (4, 6)], [(3, 4)], (4, True)),
        ([(4, 5), (3, 5)], [(5, 6)], (5, True)),
        # nothing else is sure: its pair on the other side is hardly alike
        ([(4, 5)], [(3, 4)], (4, True)),
        ([(4, 5)], [(5, 6)], (5, True)),
    ],
)
def test_a_displaced_slice_is_told_from_a_lasting_shift(
    shown: Any, poor: Any, found: tuple[int, bool]
) -> None:
    measures = shifted_pairs(dict.fromkeys(shown, 20.0), tuple(poor))
    (finding,) = find_steps(measures, range(10))
    assert (finding.z, finding.replace) == found and finding.kind == "shifted"


@pytest.mark.parametrize("z", [5, 6])
def test_a_slice_unlike_both_neighbours_is_no_gap(z: int) -> None:
    """The likeness across it is as usual, so no fault lies between slices."""
    measures = shifted_pairs({}, tuple((min(z, i), max(z, i)) for i in range(10) if i != z))
    assert find_breaks(measures, range(10)) == []
    across = [(a, b) for a in range(10) for b in range(10) if a < z <= b]
    assert find_breaks(shifted_pairs({}, tuple(across)), range(10)) == [z]
