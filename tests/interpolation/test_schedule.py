"""Which slices come out, where they lie, and from what they are computed."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import (
    Schedule,
    between,
    by_factor,
    by_step,
    evaluations,
    halvings,
    parse_slices,
)


def rows(schedule: Schedule) -> list[tuple[str, int, int, str]]:
    return [(str(s.position), s.before, s.after, str(s.fraction)) for s in schedule.slices]


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("depth", [2, 3, 30])
def test_factor(depth: int, factor: int) -> None:
    schedule = by_factor(depth, factor)
    assert len(schedule.slices) == (depth - 1) * factor + 1
    assert schedule.step == Fraction(1, factor)
    real = [i for i, s in enumerate(schedule.slices) if not s.synthetic]
    assert real == list(range(0, len(schedule.slices), factor))
    assert [schedule.slices[i].before for i in real] == list(range(depth))
    assert schedule.synthetic == tuple(i for i in range(len(schedule.slices)) if i % factor)
    assert schedule.largest_shift == 0
    assert evaluations(schedule) == len(schedule.synthetic)


@pytest.mark.parametrize("factor", range(2, 17))
def test_every_factor(factor: int) -> None:
    """Exact where the model reaches any position; elsewhere each slice has a place of its own."""
    exact, halved = (by_factor(3, factor, exact=exact) for exact in (True, False))
    fractions = [Fraction(i, factor) for i in range(factor)]
    assert [s.fraction for s in exact.slices] == [*fractions, *fractions, 0]
    assert exact.largest_shift == 0
    assert evaluations(exact, any_position=True) == 2 * (factor - 1)
    assert len({s.before + s.fraction for s in halved.slices}) == len(halved.slices)
    assert halved.largest_shift <= 1 / 16


def test_runs_of_damaged_slices_are_filled_at_their_own_positions() -> None:
    assert rows(by_factor(6, 1, [1, 3, 4])) == [
        ("0", 0, 0, "0"),
        ("1", 0, 2, "1/2"),
        ("2", 2, 2, "0"),
        ("3", 2, 5, "3/8"),  # a third, to the nearest eighth
        ("4", 2, 5, "5/8"),
        ("5", 5, 5, "0"),
    ]
    assert rows(by_factor(6, 1, [3, 4], exact=True))[3] == ("3", 2, 5, "1/3")
    assert by_factor(6, 1, [3, 4]).largest_shift == pytest.approx(3 / 24)


@pytest.mark.parametrize(("run", "factor"), [(9, 1), (20, 1), (9, 4)])
def test_slices_of_long_runs_are_all_different(run: int, factor: int) -> None:
    schedule = by_factor(run + 2, factor, range(1, run + 1))
    fractions = [s.fraction for s in schedule.slices if s.synthetic]
    assert fractions == sorted(set(fractions))
    assert schedule.largest_shift <= (run + 1) / 16


def test_damaged_and_finer() -> None:
    schedule = by_factor(4, 2, [1])
    assert rows(schedule)[:5] == [
        ("0", 0, 0, "0"),
        ("1/2", 0, 2, "1/4"),
        ("1", 0, 2, "1/2"),
        ("3/2", 0, 2, "3/4"),
        ("2", 2, 2, "0"),
    ]


@pytest.mark.parametrize("step", ["2/5", "1/3", "7/8", "1/8", "3/10", "99/100", "31/32"])
def test_step(step: str) -> None:
    first, last = Fraction(1, 16), Fraction(15, 16)  # beside a real slice
    schedule = by_step(11, Fraction(step))
    assert [s.position for s in schedule.slices] == [
        i * Fraction(step) for i in range(len(schedule.slices))
    ]
    assert 10 - Fraction(step) < schedule.slices[-1].position <= 10
    assert schedule.largest_shift <= 1 / 16
    for s in schedule.slices:
        assert s.synthetic == (s.position.denominator != 1)
        assert s.fraction.denominator in (1, 2, 4, 8) or s.fraction in (first, last)
        assert s.synthetic == (0 < s.fraction < 1)
    assert by_step(11, Fraction(step), exact=True).largest_shift == 0


def test_between_keeps_all_real_slices() -> None:
    assert rows(between(30, 12, 14, 2)) == [
        ("12", 12, 12, "0"),
        ("25/2", 12, 13, "1/2"),
        ("13", 13, 13, "0"),
        ("27/2", 13, 14, "1/2"),
        ("14", 14, 14, "0"),
    ]
    for factor in (2, 3, 4, 8, 16):
        made = between(30, 4, 7, factor)
        assert made.step == Fraction(1, factor) and len(made.slices) == 3 * factor + 1
        assert [s.before for s in made.slices if not s.synthetic] == [4, 5, 6, 7]


def test_halvings() -> None:
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert halvings(half) == [(0, half, 1)]
    assert halvings(Fraction(3, 8)) == [
        (0, half, 1),
        (0, quarter, half),
        (quarter, Fraction(3, 8), half),
    ]
    assert halvings(Fraction(1, 3), any_position=True) == [(0, Fraction(1, 3), 1)]
    assert evaluations(by_factor(6, 1, [3, 4])) == 5  # 1/2; 1/4, 3/8; 3/4, 5/8
    assert evaluations(by_factor(6, 1, [3, 4], exact=True), any_position=True) == 2


@pytest.mark.parametrize("fraction", [Fraction(0), Fraction(1), Fraction(1, 3), Fraction(9, 8)])
def test_fractions_that_halving_never_reaches(fraction: Fraction) -> None:
    with pytest.raises(ValueError, match="not reached by halving"):
        halvings(fraction)


@pytest.mark.parametrize("run", [1, 2, 5, 13, 20])
def test_no_slice_of_a_run_is_far_from_its_place(run: int) -> None:
    """Nor is it a copy of a real one, however long the run."""
    schedule = by_factor(run + 2, 1, range(1, run + 1))
    assert schedule.largest_shift <= (run + 1) / 16
    fractions = [s.fraction for s in schedule.slices if s.synthetic]
    assert len(fractions) == run
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= fractions[-1] < 1
    assert all(s.position == i for i, s in enumerate(schedule.slices))


@pytest.mark.parametrize(
    ("text", "slices"),
    [("12", (12,)), ("12,57-59", (12, 57, 58, 59)), (" 3 , 1-2,2", (1, 2, 3)), ("5-5", (5,))],
)
def test_parse(text: str, slices: tuple[int, ...]) -> None:
    assert parse_slices(text) == slices


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "5-3", "1;2", "1.5", "1-2-3", "\u00b2"])
def test_parse_errors(text: str) -> None:
    with pytest.raises(TsainError, match="write them like 12,57-59"):
        parse_slices(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: by_factor(5, 17), "from 2 to 16"),
        (lambda: by_factor(1, 2), "at least 2"),
        (lambda: by_factor(5, 1, [0]), "crop the volume"),
        (lambda: by_factor(5, 1, [4]), "crop the volume"),
        (lambda: by_factor(5, 1, [5]), "slices 0 to 4"),
        (lambda: by_factor(5, 1, [-1]), "slices 0 to 4"),
        (lambda: by_step(5, Fraction(1)), "1/16 to less"),
        (lambda: by_step(5, Fraction(1, 17)), "1/16 to less"),
        (lambda: between(5, 3, 3, 2), "two different ones"),
        (lambda: between(5, 3, 5, 2), "0 to 4"),
        (lambda: between(5, 4, 3, 2), "in order"),
    ],
)
def test_impossible_schedules(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TsainError, match=message):
        make()
