"""Requests: schedules, and the commands and files that say the same."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest

from tsain_core.cli._request import cluster_of, policy_of, request_of
from tsain_core.cli.as_command import as_command
from tsain_core.cli.main import _parser
from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings
from tsain_core.interpolation.request import Cluster, InterpolationRequest, RunPolicy
from tsain_core.interpolation.schedule import parse_slices
from tsain_core.interpolation.selection import SliceSelection, format_slices
from tsain_core.system.records import RecordError
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

_USUAL = InterpolationRequest("a stack.h5", "out.zarr", model="tsain-lite")


_CHANGES: list[dict[str, Any]] = [
    {},
    {"selection": SliceSelection(factor=4)},
    {"selection": SliceSelection(z_size=12.5)},
    {"selection": SliceSelection(damaged=(1, 3, 4))},
    {"selection": SliceSelection(factor=2, damaged=(2,))},
    {"selection": SliceSelection(factor=8, between=(1, 4))},
    {"selection": SliceSelection(factor=3, between=(1, 4)), "z_range": (7, 30)},
    {"selection": SliceSelection(damaged=(0, 2)), "z_range": (7, 30)},
    {"inference": InferenceSettings("cpu", "fp32", 128, 32, compile=True)},
    {"inference": InferenceSettings(detail=0.1 + 0.2, ensemble=4)},
    {
        "inference": InferenceSettings(
            mean_shares=(-0.26, 0.1 + 0.2, 0.5), own_shares=(0.0, 0.25), brightness_slices=4
        )
    },
    {"mix": True},
    {"dataset": "volumes/raw", "voxel_size": (40.0, 4.0, 3.999999999), "unit": "nanometer"},
    {"intensity": (-3.5, 1e-9), "memory": 3 << 30, "threads": 2, "region": (0, 9, 3, 12)},
    {"layout": ZarrLayout("0.4", (2, 100, 128), pyramid=False, compression=0)},
    {"layout": ZarrLayout("0.5", (2, 32, 32), shards=(4, 128, 128))},
    {"output": "out.tif", "compression": 9},
    {"repair_mask": "a mask.h5", "mask_dataset": "volumes/mask"},
    {"repair_mask": "auto", "selection": SliceSelection(damaged=(4,)), "z_range": (2, 9)},
    {"policy": RunPolicy(overwrite=True, accept_changed_input=True)},
    {"policy": RunPolicy(restart=True, leave_out_failed=True), "cluster": Cluster(3)},
    {"cluster": Cluster(address="tcp://127.0.0.1:8786"), "model": "a name.safetensors"},
    {"labels": "cells.h5", "labels_dataset": "volumes/labels", "source": "other.tif"},
    {"labels": "cells.h5", "labels_output": "labels of a stack.tif"},
    {"uncertainty": True, "output": "out.h5"},
    {"inference": InferenceSettings(align=True, match_brightness=True, feature_memory=None)},
    {"layout": ZarrLayout(default_version(), compression=9), "unit": "micrometer"},
]


def test_every_setting_is_in_the_table() -> None:
    """One that is new goes into the command, or a command copied from the dock loses it."""

    def names(kind: type, values: list[Any]) -> set[str]:
        """Fields that differ from the usual in none of these."""
        same = {f.name for f in fields(kind)}
        usual = (
            _USUAL
            if kind is InterpolationRequest
            else kind("0.5")
            if kind is ZarrLayout
            else kind()
        )
        return {n for n in same if all(getattr(v, n) == getattr(usual, n) for v in values)}

    requests = [replace(_USUAL, **change) for change in _CHANGES]
    assert names(InterpolationRequest, requests) == set()
    for name in ("selection", "layout", "policy", "cluster", "inference"):
        parts = [getattr(request, name) for request in requests]
        # how much memory features take is the plan's decision
        assert names(type(parts[0]), parts) <= {"feature_memory"}, name


@pytest.mark.parametrize("change", _CHANGES)
def test_a_request_a_command_and_a_file_are_the_same(change: dict[str, Any]) -> None:
    wanted = replace(_USUAL, **change)
    name, *words = shlex.split(as_command(wanted))
    assert name == "tsain"
    args = _parser(words[0]).parse_args(words)
    (args.input,) = args.input  # as the command takes one after the other
    found = request_of(args, args.output)
    found = replace(found, policy=policy_of(args), cluster=cluster_of(args))
    if "compression" in change:  # the option goes for every format
        found = replace(found, layout=wanted.layout)
    elif wanted.layout.compression != _USUAL.layout.compression:
        found = replace(found, compression=None)
    assert found == wanted
    assert InterpolationRequest.from_text(json.dumps(wanted.to_json())) == wanted


def test_command_states_what_is_not_as_usual() -> None:
    assert as_command(_USUAL) == "tsain interpolate 'a stack.h5' out.zarr --model tsain-lite"
    stated = replace(_USUAL, dataset="volumes/raw", voxel_size=(40, 4, 4), unit="nanometer")
    command = as_command(stated)
    assert "--dataset volumes/raw --voxel-size 40 4 4 --unit nanometer" in command


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory": "4GiB"}, "memory is '4GiB'; a whole number is required"),
        ({"threads": True}, "threads is True; a whole number is required"),
        ({"threads": 0}, "0 threads cannot be used"),
        ({"region": [1, 2, 3]}, "region"),
        ({"inference": {"tile": 5}}, "inference: The tile is 5"),
        ({"inference": {"precision": "fp8"}}, "inference.precision is 'fp8'"),
        ({"selection": {"damaged": [1, None]}}, r"selection.damaged\[1\] is None"),
        ({"selection": {"factor": 2, "z_size": 3}}, "factor and z_size both"),
        ({"layout": {}}, "layout.version is missing"),
        ({"model": "x" * 10_000 + "\n", "memory": []}, r"memory is \[\]"),
        ({"model": 5}, "model is 5; text is required"),
        ({"colour": "red"}, "unknown entry 'colour'"),
        ({"\x1b[2J" * 1000: "red"}, r"\\x1b"),
        ({"policy": {"overwrite": "yes"}}, "policy.overwrite is 'yes'; true or false"),
        ({"cluster": {"workers": -1}}, "-1 workers"),
        ({"repair_mask": "auto", "memory": 9}, "memory does not go with it"),
        ({"repair_mask": "auto", "selection": {"factor": 2}}, "factor does not go with it"),
    ],
)
def test_a_wrong_field_in_a_file_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError, match=words) as caught:
        InterpolationRequest.from_json({**_USUAL.to_json(), **change})
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["", "[", "null", "[1]", '"text"', "[" * 5000, "{", b"\xff", "NaN"]
)
def test_what_is_no_request(text: str | bytes) -> None:
    with pytest.raises(RecordError) as caught:
        InterpolationRequest.from_text(text)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


def test_slices_as_text() -> None:
    assert format_slices((12, 59, 57, 58, 58)) == "12,57-59"
    for numbers in ((0,), (1, 2), (3, 5, 6, 7, 20)):
        assert parse_slices(format_slices(numbers)) == numbers


def test_contradictions_are_refused() -> None:
    for wrong in (
        {"factor": 2, "z_size": 10},
        {"between": (0, 2), "damaged": (1,)},
        {"z_size": -1},
        {"z_size": float("nan")},
        {"z_size": float("inf")},
    ):
        with pytest.raises(TsainError):  # before there is a stack
            SliceSelection(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TsainError):
        SliceSelection(z_size=50).schedule(5, 40.0)
    with pytest.raises(TsainError, match="voxel size"):
        SliceSelection(z_size=10).schedule(5)
    assert SliceSelection(z_size=10).schedule(5, 40.0).step == Fraction(1, 4)
