from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.cells import Cell, Result
from bench.numbers import (
    Setting,
    Spread,
    crossover,
    crossovers,
    curves,
    in_words,
    milliseconds,
    of_setting,
    settings,
    shares,
    sparse_variant,
    speed_up,
    spread,
    state_ratio,
    tokens_per_second,
    variants,
)

Make = Callable[..., Result]


def test_spread_is_median_and_quartiles() -> None:
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(2, 3, 4)
    assert spread([7.0]) == Spread(7, 7, 7)


def test_turns_are_paired_before_the_median_is_taken(results: list[Result]) -> None:
    """A machine that is slow for a round is slow for all: ratios do not show it, ratios of medians would not either."""
    result = results[0]
    ratio = speed_up(result, "auto", "textbook")
    assert ratio is not None
    assert [ratio.low, ratio.high] == pytest.approx([2190 / 1248] * 2)
    assert milliseconds(result.variants["auto"]).low < 1248
    slow_rounds = replace(result.variants["auto"], seconds=(1.0, 4.0, 1.0))
    rival = replace(result.variants["textbook"], seconds=(2.0, 8.0, 4.0))
    both = replace(result, variants={"textbook": rival, "auto": slow_rounds})
    assert speed_up(both, "auto", "textbook") == Spread(2, 2, 3)  # of medians it would be 4


def test_what_was_not_measured_has_no_number(results: list[Result]) -> None:
    assert speed_up(results[0], "native", "textbook") is None
    assert speed_up(results[0], "auto", "native") is None
    assert state_ratio(results[0], "native") is None
    assert crossover(results, "native", "dense", 1024) is None


def test_threads_are_counted_in_words() -> None:
    assert [in_words(threads) for threads in (1, 2)] == ["1 thread", "2 threads"]


def test_tokens_a_second(results: list[Result]) -> None:
    assert tokens_per_second(results[0], "dense") == pytest.approx(1024 / 1.86)


def test_state_is_compared_whole(results: list[Result]) -> None:
    assert state_ratio(results[-1], "auto") == pytest.approx(1 / 0.016)


def test_settings_are_ordered_by_tokens_then_threads(make_result: Make) -> None:
    shapes = [(16, 256, 1), (4, 256, 2), (4, 256, 1), (1, 256, 1)]
    results = [make_result(Cell(64, 0.5, *shape), {"textbook": 1.0}) for shape in shapes]
    assert settings(results) == [Setting("1x256", 1), Setting("4x256", 1), Setting("4x256", 2), Setting("16x256", 1)]
    assert of_setting(results, Setting("4x256", 2)) == [results[1]]


def test_curves_rise_in_sparsity_whatever_the_order_of_measuring(results: list[Result]) -> None:
    (curve,) = (each for each in curves(results[::-1]) if each.variant == "auto")
    assert curve.sparsities == (0.5, 0.75, 0.875, 0.984)
    assert [each.middle for each in curve.speed_ups] == pytest.approx([2190 / t for t in (1248, 863, 481, 262)])
    assert {each.variant for each in curves(results)} == set(variants(results))


def test_a_power_law_crosses_where_algebra_says(make_result: Make) -> None:
    """Time proportional to density to the power 1/2 meets the rival's 100 ms at density 0.16."""
    cells = [
        make_result(
            Cell(64, sparsity, 4, 256, 1), {"textbook": 200.0, "dense": 100.0, "csr": 250 * (1 - sparsity) ** 0.5}
        )
        for sparsity in (0.984, 0.5, 0.75, 0.9375)
    ]
    crossing = crossover(cells, "csr", "dense", 64)
    assert crossing is not None
    assert crossing.sparsity == pytest.approx(0.84)
    assert crossing.speed_up == pytest.approx(2.0)
    assert not crossing.is_bound


def test_always_and_never_ahead_are_told_apart(results: list[Result]) -> None:
    crossings = {(each.variant, each.rival): each for each in crossovers(results)}
    assert crossings["auto", "dense"].is_bound
    assert crossings["auto", "dense"].sparsity == 0.5
    assert crossings["auto", "dense_bf16"].sparsity == pytest.approx(0.68, abs=0.02)
    assert crossover(results[:2], "csr", "dense", 1024) is not None
    assert crossover(results[:2], "csr", "dense", 1024).sparsity is None  # type: ignore[union-attr]
    assert set(crossings) == {(name, rival) for name in ("csr", "auto") for rival in ("dense", "dense_bf16")}


def test_what_multiplies_by_zeros_crosses_nothing(make_result: Make) -> None:
    cell = make_result(Cell(64, 0.5, 4, 256, 1), {"textbook": 200.0, "dense": 100.0, "masked": 99.0, "auto": 50.0})
    assert [each.variant for each in crossovers([cell])] == ["auto"]


def test_ahead_means_ahead_up_to_the_sparsest(make_result: Make) -> None:
    """Ahead, behind and ahead again: the last crossing counts."""
    times = {0.5: 90.0, 0.75: 110.0, 0.875: 90.0}
    cells = [
        make_result(Cell(64, sparsity, 4, 256, 1), {"textbook": 200.0, "dense": 100.0, "csr": taken})
        for sparsity, taken in times.items()
    ]
    crossing = crossover(cells, "csr", "dense", 64)
    assert crossing is not None
    assert crossing.sparsity is not None
    assert 0.75 < crossing.sparsity < 0.875


def test_the_variant_shown_by_part_is_the_best_there_is(results: list[Result]) -> None:
    assert sparse_variant(results) == "auto"
    less = [replace(each, variants={name: each.variants[name] for name in ("textbook", "csr")}) for each in results]
    assert sparse_variant(less) == "csr"
    none = [replace(each, variants={"textbook": each.variants["textbook"]}) for each in results]
    assert sparse_variant(none) is None


def test_shares_sum_to_one(results: list[Result]) -> None:
    parts = shares(results[0].variants["auto"])
    assert math.fsum(parts.values()) == pytest.approx(1)
    assert list(parts.values()) == pytest.approx([number / 28 for number in range(1, 8)])
