"""The HDF5 and Zarr files of `cases/`, each modelled on a public bug report: the right value."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.cli.main import main
from tsain_core.errors import TsainError
from tsain_core.volumes import Volume, open_pyramid, open_volume

pytestmark = pytest.mark.em_data

NM, UM = "nanometer", "micrometer"


@pytest.fixture(scope="module")
def cases(em_data: Path) -> Path:
    if not (em_data / "cases").is_dir():
        pytest.skip("no cases/ in the data")
    return em_data / "cases"


def opened(path: Path) -> tuple[Volume, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return open_volume(path), [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("name", "size", "unit"),
    [
        ("il_xyz.h5", None, None),
        ("il_tzyxc.h5", None, None),
        ("dimlabels.h5", None, None),
        ("xr.zarr", None, None),
        ("axn.zarr", (40.0, 4.0, 4.0), NM),
        ("fiji.h5", (0.04, 0.004, 0.004), UM),
        ("attr1.h5", (40.0, 4.0, 4.0), NM),
        ("attr2.h5", (40.0, 4.0, 4.0), NM),
        ("attr3.h5", None, None),
        ("zero.zarr", (None, 4.0, 4.0), NM),
        ("coarse.zarr", (40.0, 4.0, 4.0), NM),
    ],
)
def test_values_and_sizes(
    cases: Path, name: str, size: tuple[float | None, ...] | None, unit: str | None
) -> None:
    volume, said = opened(cases / name)
    np.testing.assert_array_equal(volume.data.compute(), tifffile.imread(cases / "S.tif"))
    assert (volume.voxel_size, volume.unit, said) == (size, unit, [])


def test_a_pyramid_listed_coarse_first_is_shown_fine_first(cases: Path) -> None:
    assert [v.shape for v in open_pyramid(cases / "coarse.zarr")] == [(5, 64, 48), (5, 32, 24)]


@pytest.mark.parametrize("name", ["part.h5", "miss.zarr"])
@pytest.mark.parametrize("ending", ["tif", "h5", "zarr"])
def test_missing_slices_are_named_with_every_output(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, ending: str
) -> None:
    volume, said = opened(cases / name)
    expected = tifffile.imread(cases / "S.tif")
    expected[2] = 0
    np.testing.assert_array_equal(volume.data.compute(), expected)
    assert len(said) == 1 and "slice 2 of 5 lacks data" in said[0]
    command = ["interpolate", str(cases / name), str(tmp_path / f"o.{ending}"), "--model", "mean"]
    assert main(command) == 0
    assert "slice 2 of 5 lacks data" in capsys.readouterr().err
    assert main(["info", str(cases / name), "--model", "mean"]) == 0
    assert "slice 2 of 5 lacks data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("nosep.zarr", "dimension separator '/'.*dimension_separator"), ("vds.h5", "src0.h5.*gone")],
)
def test_data_out_of_reach_are_refused(cases: Path, name: str, words: str) -> None:
    with pytest.raises(TsainError, match=words):
        open_volume(cases / name)
