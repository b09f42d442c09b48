"""Where a loss curve has its minimum, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.verification import Cell, Status, estimate
from smupar_transfer.verification.cells import Floats
from smupar_transfer.verification.optimum import (
    bootstrap_vertices,
    interval,
    resamples,
    vertex,
)

MakeCell = Callable[..., Cell]
GRID = np.arange(-8.0, -1.75, 0.5)
inside = st.floats(float(GRID[1]) - 0.2, float(GRID[-2]) + 0.2)
curvatures = st.floats(0.01, 2.0)
quick = settings(deadline=None, max_examples=60)


def parabola(optimum: float, curvature: float = 0.1, lowest: float = 2.0, rates: Floats = GRID) -> Floats:
    return lowest + curvature * (rates - optimum) ** 2


def fitted(rates: Floats, losses: Floats) -> float:
    found, status = vertex(rates, losses)
    assert status is Status.FIT
    return found


@quick
@given(inside, curvatures, st.floats(1.0, 6.0))
def test_a_parabola_is_recovered_exactly(optimum: float, curvature: float, lowest: float) -> None:
    assert fitted(GRID, parabola(optimum, curvature, lowest)) == pytest.approx(optimum, abs=1e-6)


@quick
@given(inside)
def test_a_curve_that_is_no_parabola_is_not(optimum: float) -> None:
    skewed = parabola(optimum) + 0.02 * (GRID - optimum) ** 3
    found, _ = vertex(GRID, skewed)
    assert abs(found - optimum) > 1e-6


@quick
@given(inside, curvatures, st.floats(-4.0, 4.0), st.floats(-1.0, 4.0))
def test_shifting_the_curve_shifts_the_minimum(optimum: float, curvature: float, along: float, up: float) -> None:
    losses = parabola(optimum, curvature) + 0.01 * np.cos(3 * GRID)
    before, status = vertex(GRID, losses)
    after, same = vertex(GRID + along, losses + up)
    assert same is status
    assert after == pytest.approx(before + along, abs=1e-6)


def test_only_the_neighbourhood_of_the_minimum_counts() -> None:
    losses = parabola(-4.8)
    far = losses > losses.min() + 0.055
    assert far.sum() == len(GRID) - 3
    assert vertex(GRID, losses + 0.1 * far)[0] == pytest.approx(-4.8, abs=1e-6)
    assert vertex(GRID, losses - 0.03 * far)[0] != pytest.approx(-4.8, abs=1e-3), "now some of them are within 0.05"
    assert vertex(GRID, losses + 0.005 * (GRID > -4.8))[0] != pytest.approx(-4.8, abs=1e-3)


def test_a_second_dip_far_away_is_no_part_of_the_minimum() -> None:
    rates = np.arange(8.0)
    losses = np.array([2.1, 2.0, 2.1, 2.9, 2.9, 2.11, 2.02, 2.13])
    assert fitted(rates, losses) == pytest.approx(1.0)


def test_both_neighbours_count_even_where_the_valley_is_steep() -> None:
    # Three points, none but the lowest within the window: the vertex of the parabola through them, by hand.
    assert fitted(np.array([0.0, 1.0, 2.0]), np.array([3.0, 2.0, 5.0])) == pytest.approx(0.75)


@pytest.mark.parametrize(("optimum", "edge"), [(-9.0, -8.0), (-8.0, -8.0), (0.0, -2.0)])
def test_a_minimum_at_the_edge_is_said_to_be_there(optimum: float, edge: float) -> None:
    assert vertex(GRID, parabola(optimum)) == (edge, Status.EDGE)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_points_are_all_edge(count: int) -> None:
    assert vertex(GRID[:count], parabola(-8.0)[:count]) == (-8.0, Status.EDGE)


@pytest.mark.parametrize(
    "losses",
    [
        [2.00, 2.04, 2.045, 2.04, 1.999, 2.04],  # a hill between two dips
        [2.045, 2.04, 2.03, 2.02, 2.01, 2.005, 2.0, 1.99, 1.985, 1.98, 1.975, 1.976],  # the vertex lies beyond
    ],
)
def test_a_neighbourhood_that_is_no_valley_falls_back_to_the_grid(losses: list[float]) -> None:
    rates = np.arange(float(len(losses)))
    assert vertex(rates, np.array(losses)) == (float(np.argmin(losses)), Status.NOT_CONVEX)


@quick
@given(st.floats(-7.5, -5.5), st.integers(1, 4), st.sampled_from([math.inf, math.nan]))
def test_diverged_and_missing_points_are_left_out(optimum: float, lost: int, value: float) -> None:
    losses = parabola(optimum)
    losses[-lost:] = value
    assert fitted(GRID, losses) == pytest.approx(optimum, abs=1e-6)


def test_next_to_diverged_points_the_optimum_is_at_the_edge() -> None:
    losses = parabola(-4.0)
    losses[GRID > -4.5] = math.inf
    assert vertex(GRID, losses) == (-4.5, Status.EDGE)


def test_where_nothing_trained_there_is_no_optimum(make_cell: MakeCell) -> None:
    found = estimate(make_cell([[math.inf] * 3, [math.inf] * 3]))
    assert found.status is Status.NOTHING
    assert found.loss == math.inf
    assert all(map(math.isnan, (found.log2_learning_rate, found.low, found.high, found.grid_log2_learning_rate)))


def test_an_estimate_says_where_the_grid_was_best(make_cell: MakeCell) -> None:
    found = estimate(make_cell([parabola(-4.8) - 0.5, parabola(-4.8) + 0.5], rates=GRID))
    assert found.status is Status.FIT
    assert found.log2_learning_rate == pytest.approx(-4.8)
    assert found.grid_log2_learning_rate == -5.0
    assert found.loss == pytest.approx(2.0 + 0.1 * 0.2**2)


def test_one_seed_has_no_interval(make_cell: MakeCell) -> None:
    """Guards against an interval without width, which reads as certainty."""
    found = estimate(make_cell([parabola(-4.8)], rates=GRID))
    assert found.log2_learning_rate == pytest.approx(-4.8)
    assert np.isnan([found.low, found.high]).all()


def test_seeds_are_paired_over_learning_rates(make_cell: MakeCell) -> None:
    offsets = np.array([0.3, -0.2, 0.1, 0.0, -0.4])
    paired = estimate(make_cell([parabola(-5.2) + offset for offset in offsets], rates=GRID))
    assert paired.high - paired.low < 1e-6
    independent = [
        parabola(-5.2) + np.random.default_rng(seed).permutation(np.resize(offsets, 13)) for seed in range(5)
    ]
    unpaired = estimate(make_cell(independent, rates=GRID))
    assert unpaired.high - unpaired.low > 0.1


def noisy(make_cell: MakeCell, optimum: float, noise: float, seed: int) -> Cell:
    draws = np.random.default_rng(seed).normal(size=(5, len(GRID)))
    return make_cell(parabola(optimum) + noise * draws, rates=GRID)


def test_the_interval_holds_the_truth_most_of_the_time(make_cell: MakeCell) -> None:
    samples, hits, near = resamples(5, 200), 0, 0
    for seed in range(30):
        low, high = interval(bootstrap_vertices(noisy(make_cell, -5.2, 0.01, seed), samples))
        hits += low <= -5.2 <= high
        near += low <= -4.9 <= high
    # Percentile intervals of 5 seeds are too narrow: about 85 % instead of 95 %.
    assert hits >= 20
    assert near <= 10, "an interval that holds anything says nothing"


def test_the_interval_shrinks_with_the_noise(make_cell: MakeCell) -> None:
    widths = []
    for noise in (0.002, 0.01, 0.03):
        found = estimate(noisy(make_cell, -5.2, noise, seed=0))
        assert found.low <= found.log2_learning_rate <= found.high
        widths.append(found.high - found.low)
    assert 0 < widths[0] < widths[1] < widths[2]


def test_resamples_are_the_same_at_every_call() -> None:
    samples = resamples(3)
    assert samples.shape == (1000, 3)
    assert set(samples.ravel().tolist()) == {0, 1, 2}
    assert np.array_equal(samples, resamples(3))


def test_the_interval_holds_the_middle_95_percent() -> None:
    assert list(interval(np.arange(1001.0))) == pytest.approx([25.0, 975.0])
    assert all(map(math.isnan, interval(np.array([1.0, math.nan, 2.0]))))
