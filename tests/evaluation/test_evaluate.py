"""Leave-one-out scores of chosen slices."""

from __future__ import annotations

import pytest

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model, spread_slices
from tsain_core.inference.models import BaselineModel
from tsain_core.sample_data.phantom import em_phantom


def test_chosen_slices_score_as_in_the_whole_stack() -> None:
    stack = em_phantom((8, 96, 80))
    models = [BaselineModel("mean"), BaselineModel("optical-flow")]
    whole = {(r.z, r.model): r.scores for r in evaluate(stack, models, crop=64)}
    chosen = list(evaluate(stack, models, crop=64, slices=[5, 2]))
    assert [(r.z, r.model) for r in chosen] == [
        (5, "mean"), (5, "optical-flow"), (2, "mean"), (2, "optical-flow"),
    ]  # fmt: skip
    assert all(r.scores == whole[r.z, r.model] for r in chosen)
    ie = [whole[z, "mean"].ie for z in (5, 2)]
    assert mean_by_model(chosen)["mean"].ie == pytest.approx(sum(ie) / 2)


@pytest.mark.parametrize("depth", [2, 3, 4, 12, 13, 385])
@pytest.mark.parametrize("most", [1, 4, 10, 400])
def test_spread_slices_are_inner_distinct_and_even(depth: int, most: int) -> None:
    slices = spread_slices(depth, most)
    assert len(slices) == min(most, depth - 2)
    assert all(1 <= z <= depth - 2 for z in slices)
    gaps = [b - a for a, b in zip(slices, slices[1:], strict=False)]
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)
    if slices:  # neither end is nearer than the other by more than rounding
        assert abs((slices[0] - 1) - (depth - 2 - slices[-1])) <= 1
