"""Averages over turned, mirrored and reversed views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.slice_models import pair, run, wrap
from tsain_core.cli.as_command import as_command
from tsain_core.errors import TsainError
from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model
from tsain_core.inference.ensemble import DihedralTransform, turns, views
from tsain_core.inference.models import InferenceSettings, TileDone, open_model
from tsain_core.interpolation.request import InterpolationRequest
from tsain_core.network import TSAIN
from tsain_core.volumes import open_volume, part_of


def test_views_differ_and_lead_with_the_pair_as_it_is() -> None:
    assert len(set(views(16))) == 16
    assert [turns(n) for n in (1, 2, 4, 8, 16)] == [1, 2, 4, 8, 8]
    assert views(1)[0].turn == DihedralTransform() and not views(1)[0].reversed
    for count in (2, 4, 8, 16):
        assert sum(view.reversed for view in views(count)) == count // 2


@pytest.mark.parametrize("view", views(8))
def test_turns_are_undone(view) -> None:  # type: ignore[no-untyped-def]
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    turned = view.turn.apply(image)
    assert (
        view.turn == DihedralTransform() or turned.shape != image.shape or (turned != image).any()
    )
    np.testing.assert_array_equal(view.turn.undo(turned), image)


def test_one_pass_is_the_plain_network(stirred_network: TSAIN) -> None:
    images = pair(64, 80)
    plain, _ = run(wrap(stirred_network).between(*images))
    one, _ = run(wrap(stirred_network, ensemble=1).between(*images))
    np.testing.assert_array_equal(one, plain)


def test_sixteen_passes_have_the_symmetries_of_tissue(stirred_network: TSAIN) -> None:
    """A turned, mirrored or swapped pair gives the same slice; not so with one pass."""
    before, after = pair(64, 96)
    for count, symmetric in ((16, True), (1, False)):
        model = wrap(stirred_network, ensemble=count)
        image, _ = run(model.between(before, after))
        swapped, _ = run(model.between(after, before))
        turned, _ = run(model.between(np.rot90(before).copy(), np.rot90(after).copy()))
        mirrored, _ = run(model.between(before[:, ::-1].copy(), after[:, ::-1].copy()))
        for other in (swapped, np.rot90(turned, -1), mirrored[:, ::-1]):
            assert np.allclose(image, other, atol=1e-5) == symmetric


@pytest.mark.parametrize("count", [2, 4])
def test_tiles_and_odd_sizes(stirred_network: TSAIN, count: int) -> None:
    images = pair(130, 201)
    whole, _ = run(wrap(stirred_network, ensemble=count, tile=256, halo=0).between(*images))
    tiled, steps = run(wrap(stirred_network, ensemble=count, tile=64).between(*images))
    assert steps[-1] == TileDone(len(steps), len(steps))  # every pass is a place to stop
    assert len(steps) % count == 0
    assert tiled.shape == (130, 201)
    inside = np.s_[:120, :192]  # what is padded lies on another side when turned
    np.testing.assert_allclose(tiled[inside], whole[inside], atol=1e-4)


def test_features_are_kept_for_every_turn(
    stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair(64, 64)
    model = wrap(stirred_network, ensemble=16)
    encoded = []
    encode = model._execution.encode
    monkeypatch.setattr(model._execution, "encode", lambda x: encoded.append(x) or encode(x))
    run(model.between(a, b))
    assert len(encoded) == 16  # two slices in eight turns; the reversed order needs no others
    run(model.between(b, a))
    assert len(encoded) == 16


def test_results_and_commands_say_so(stirred_network: TSAIN) -> None:
    assert wrap(stirred_network, ensemble=4).provenance()["ensemble"] == 4
    assert "ensemble" not in wrap(stirred_network).provenance()
    words = as_command(
        InterpolationRequest(
            "a.tif", "b.tif", model="tsain-lite", inference=InferenceSettings(ensemble=4)
        )
    )
    assert "--ensemble 4" in words


def test_other_numbers_of_passes() -> None:
    with pytest.raises(TsainError, match="1, 2, 4, 8 or 16"):
        InferenceSettings(ensemble=3)


@pytest.mark.em_data
@pytest.mark.slow
def test_it_pays_on_real_em(em_data: Path) -> None:
    volume = open_volume(em_data / "validate" / "sbem_050-059.tif")
    volume = part_of(volume, None, (256, 640, 256, 640))
    found = {}
    for count in (1, 4):
        model = open_model("tsain-lite", InferenceSettings("cpu", ensemble=count))
        (found[count],) = mean_by_model(evaluate(volume, [model], every=2)).values()
    assert found[4].psnr > found[1].psnr + 0.02
    assert found[4].structure > found[1].structure + 0.04
