"""Running a schedule: order, real slices, progress, laziness."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from tsain_core.inference.intensity import Scaling
from tsain_core.inference.models import BaselineModel, NetworkModel, TileDone
from tsain_core.interpolation.interpolate import SliceReady, TileProgress, interpolate
from tsain_core.interpolation.schedule import by_factor, by_step, evaluations
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.network import TSAIN

STACK = np.random.default_rng(0).integers(0, 255, (6, 20, 24), np.uint8)
MEAN = BaselineModel("mean")


class Counting:
    """An array that counts how often each slice is read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.reads = data, [0] * len(data)
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, z: int) -> np.ndarray:
        self.reads[z] += 1
        image: np.ndarray = self.data[z]
        return image


class Middle:
    """Computes means, but like a network only in the middle; counts how often."""

    name, any_position, scaling, detail = "middle", False, Scaling((0.0, 100.0)), 0.0
    mix_shares = None
    brightness_slices = 1
    calls = 0

    def between(self, before, after, fraction=Fraction(1, 2)):  # type: ignore[no-untyped-def]
        assert fraction == Fraction(1, 2)
        self.calls += 1
        return (yield from MEAN.between(before, after))

    def provenance(self) -> dict[str, object]:
        return {}


def finished(events) -> list[SliceReady]:  # type: ignore[no-untyped-def]
    return [e for e in events if isinstance(e, SliceReady)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_real_slices_are_the_very_values(dtype: str) -> None:
    values = STACK.astype(np.float64) * 100 - 5000
    data = values.clip(0 if dtype == "uint16" else -5000, 255 if dtype == "uint8" else 20500)
    data = data.astype(dtype)
    slices = finished(interpolate(data, by_factor(6, 4), MEAN))
    assert [s.index for s in slices] == list(range(21))
    for s in slices:
        assert s.image.dtype == data.dtype
        assert s.synthetic == bool(s.index % 4)
        if not s.synthetic:
            np.testing.assert_array_equal(s.image, data[s.index // 4])


def test_halving_reaches_what_the_mean_reaches_directly() -> None:
    model = Middle()
    for schedule in (by_factor(6, 8), by_factor(6, 2, [2, 3]), by_step(6, Fraction(3, 8))):
        model.calls = 0
        halved = finished(interpolate(STACK, schedule, model))
        direct = finished(interpolate(STACK, schedule, MEAN))
        assert model.calls == evaluations(schedule)
        for a, b in zip(halved, direct, strict=True):
            assert np.abs(a.image.astype(int) - b.image).max() <= 1


def test_progress_rises_to_the_total() -> None:
    schedule = by_factor(6, 1, [1, 3, 4])
    steps = [e for e in interpolate(STACK, schedule, Middle()) if isinstance(e, TileProgress)]
    done = [s.done for s in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total == evaluations(schedule) == 6


class StartsAgain(Middle):
    """Runs out of memory after two of four tiles, and goes on with twelve smaller ones."""

    def between(self, before, after, fraction=Fraction(1, 2)):  # type: ignore[no-untyped-def]
        for total, last in ((4, 2), (12, 12)):
            for i in range(last):
                yield TileDone(i + 1, total)
        return before


def test_progress_never_falls() -> None:
    steps = [
        e for e in interpolate(STACK, by_factor(6, 4), StartsAgain()) if isinstance(e, TileProgress)
    ]
    done = [s.done for s in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total == 15


def test_slices_are_read_when_needed_and_not_again() -> None:
    volume = Counting(STACK)
    events = interpolate(volume, by_factor(6, 2), MEAN, None)
    next(events)
    sampled = list(volume.reads)  # the intensity range looks at some slices
    finished(events)
    reads = [a - b for a, b in zip(volume.reads, sampled, strict=True)]
    assert max(reads) <= 1  # as it is and to compute from


def test_closing_stops_at_once() -> None:
    model = Middle()
    events = interpolate(STACK, by_factor(6, 2), model)
    for event in events:
        if isinstance(event, TileProgress):
            break
    events.close()  # type: ignore[attr-defined]
    assert model.calls == 1


def test_features_are_shared_along_a_stack(stirred_network: TSAIN) -> None:
    """Each real slice is encoded once for both its pairs."""
    info = ModelInfo("small", stirred_network.settings)
    model = NetworkModel(stirred_network, info, torch.device("cpu"))
    seen: list[object] = []
    handle = stirred_network.encoder.register_forward_hook(lambda *_: seen.append(_))
    finished(interpolate(STACK, by_factor(6, 2), model))
    handle.remove()
    assert len(seen) == 6


def test_features_of_real_slices_serve_both_gaps(
    stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice of the stack and each one that is computed from is encoded once."""
    settings = stirred_network.settings
    model = NetworkModel(stirred_network, ModelInfo("n", settings), torch.device("cpu"))
    encoded = []
    encode = model._execution.encode
    monkeypatch.setattr(model._execution, "encode", lambda x: encoded.append(x) or encode(x))
    stack = np.random.default_rng(0).integers(0, 255, (4, 32, 32), np.uint8)
    list(interpolate(stack, by_factor(4, 4), model))
    assert len(encoded) == 4 + 3  # four real slices, and the middle of three gaps
