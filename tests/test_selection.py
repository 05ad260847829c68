"""Requests: schedules, and commands that ask for the same."""

from __future__ import annotations

import shlex
from fractions import Fraction

import pytest

from tsain_core.cli._options import inference_settings, make_schedule, read_volume
from tsain_core.cli.main import _parser
from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings
from tsain_core.interpolation.schedule import parse_slices
from tsain_core.interpolation.selection import SliceSelection, as_command, format_slices


@pytest.mark.parametrize(
    "request_",
    [
        SliceSelection(),
        SliceSelection(factor=4),
        SliceSelection(z_size=12.5),
        SliceSelection(damaged=(1, 3, 4)),
        SliceSelection(factor=2, damaged=(2,)),
        SliceSelection(factor=8, between=(1, 4)),
    ],
)
def test_command_asks_for_the_same(request_: SliceSelection, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    from tsain_core.volumes import create_volume

    path = tmp_path / "a stack.h5"
    with create_volume(path, (6, 8, 8), np.uint8, voxel_size=(40, 4, 4), unit="nanometer") as new:
        for z in range(6):
            new.write(z, np.full((8, 8), z, np.uint8))
    settings = InferenceSettings("cpu", "fp32", 128, 32)
    command = as_command(str(path), "out.zarr", request_, "tsain-lite", settings, overwrite=True)
    name, *words = shlex.split(command)
    assert name == "tsain"
    args = _parser(words[0]).parse_args(words)
    (args.input,) = args.input  # as the command takes one after the other
    volume = read_volume(args)
    assert make_schedule(args, volume, False) == request_.schedule(6, 40.0)
    assert inference_settings(args) == settings
    assert args.overwrite and args.model == "tsain-lite" and args.output == "out.zarr"


def test_command_states_what_the_file_does_not() -> None:
    command = as_command(
        "a.h5",
        "b.zarr",
        SliceSelection(factor=2),
        "mean",
        InferenceSettings(),
        dataset="volumes/raw",
        voxel_size=(40, 4, 4),
        unit="nanometer",
    )
    assert "--dataset volumes/raw --voxel-size 40 4 4 --unit nanometer" in command
    assert "--device" not in command and "--overwrite" not in command


def test_slices_as_text() -> None:
    assert format_slices((12, 59, 57, 58, 58)) == "12,57-59"
    for numbers in ((0,), (1, 2), (3, 5, 6, 7, 20)):
        assert parse_slices(format_slices(numbers)) == numbers


def test_contradictions_are_refused() -> None:
    for wrong in (
        SliceSelection(factor=2, z_size=10),
        SliceSelection(between=(0, 2), damaged=(1,)),
        SliceSelection(z_size=-1),
        SliceSelection(z_size=float("nan")),
        SliceSelection(z_size=float("inf")),
        SliceSelection(z_size=50),
    ):
        with pytest.raises(TsainError):
            wrong.schedule(5, 40.0)
    with pytest.raises(TsainError, match="voxel size"):
        SliceSelection(z_size=10).schedule(5)
    assert SliceSelection(z_size=10).schedule(5, 40.0).step == Fraction(1, 4)
