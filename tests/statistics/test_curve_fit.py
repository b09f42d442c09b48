"""The bottom of one loss curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.statistics import Status
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.curve_fit import LocalFit, local_fit, parabola_vertex

GRID = np.arange(-8.0, -1.75, 0.5)
inside = st.floats(float(GRID[1]) + 0.01, float(GRID[-2]) - 0.01)
quick = settings(deadline=None, max_examples=60)


def valley(optimum: float, curvature: float = 0.1, skew: float = 0.0, lowest: float = 2.0) -> Floats:
    offset = GRID - optimum
    return lowest + curvature / 2 * offset**2 + skew * offset**3


def fitted(x: Floats, losses: Floats) -> LocalFit:
    fit, status = local_fit(x, losses)
    assert status is Status.FIT
    assert fit is not None
    return fit


@quick
@given(inside, st.floats(0.02, 2.0), st.floats(1.0, 6.0))
def test_a_parabola_is_recovered_exactly(optimum: float, curvature: float, lowest: float) -> None:
    fit = fitted(GRID, valley(optimum, curvature, lowest=lowest))
    assert fit.log2_value == pytest.approx(optimum, abs=1e-6)
    assert fit.loss == pytest.approx(lowest)
    assert fit.curvature == pytest.approx(curvature, rel=1e-5)


@quick
@given(st.floats(-6.5, -3.5), st.floats(-0.004, 0.004))
def test_skew_moves_a_plain_parabola_and_not_the_fit(optimum: float, skew: float) -> None:
    losses = valley(optimum, skew=skew)
    assert fitted(GRID, losses).log2_value == pytest.approx(optimum, abs=1e-6)
    if abs(skew) > 0.001:
        assert abs(parabola_vertex(GRID, losses) - optimum) > 1e-3


def test_a_quartic_is_not_recovered_and_the_residuals_say_so() -> None:
    offset = GRID + 4.8
    fit = fitted(GRID, valley(-4.8) + 0.01 * offset**4 + 0.02 * offset**3)
    assert abs(fit.log2_value + 4.8) > 1e-4
    assert fit.misfit > 1e-9
    assert fitted(GRID, valley(-4.8)).misfit == pytest.approx(0.0, abs=1e-12)


@quick
@given(inside, st.floats(-4.0, 4.0), st.floats(0.0, 4.0))
def test_shifting_the_grid_shifts_the_minimum(optimum: float, along: float, up: float) -> None:
    losses = valley(optimum) + 0.01 * np.cos(3 * GRID)
    fit, status = local_fit(GRID, losses)
    moved, same = local_fit(GRID + along, losses)
    assert same is status
    if fit is not None and moved is not None:
        assert moved.log2_value == pytest.approx(fit.log2_value + along, abs=1e-6)
        assert moved.curvature == pytest.approx(fit.curvature)
    scaled, again = local_fit(GRID, losses * (1 + up))
    assert again is status
    if fit is not None and scaled is not None:
        assert scaled.log2_value == pytest.approx(fit.log2_value, abs=1e-6), "the window is a part of the loss"


def test_only_the_neighbourhood_of_the_minimum_counts() -> None:
    losses = valley(-4.8)
    far = losses > 1.16 * losses.min()
    assert far.sum() >= 2
    kept = fitted(GRID, losses)
    assert fitted(GRID, losses + 5 * far).log2_value == pytest.approx(kept.log2_value, abs=1e-9)
    near = fitted(GRID, losses + 0.01 * (GRID > -4.3))
    assert abs(near.log2_value - kept.log2_value) > 1e-3


def test_points_high_above_the_minimum_count_little() -> None:
    losses = valley(-4.8)
    low, high = losses.copy(), losses.copy()
    low[np.abs(GRID + 4.0).argmin()] += 0.01
    high[np.abs(GRID + 6.5).argmin()] += 0.01
    moved = [abs(fitted(GRID, curve).log2_value + 4.8) for curve in (low, high)]
    assert moved[0] > 10 * moved[1]


def test_a_second_dip_far_away_is_no_part_of_the_minimum() -> None:
    losses = np.array([2.1, 2.0, 2.1, 2.9, 2.9, 2.11, 2.02, 2.13])
    fit = fitted(np.arange(8.0), losses)
    assert fit.columns.tolist() == [0, 1, 2]
    assert fit.log2_value == pytest.approx(1.0)


def test_three_points_make_a_parabola() -> None:
    # By hand: the vertex of the parabola through them. The outer two are beyond the window, but neighbours.
    fit = fitted(np.array([0.0, 1.0, 2.0]), np.array([3.0, 2.0, 5.0]))
    assert fit.log2_value == pytest.approx(0.75)
    assert fit.curvature == pytest.approx(4.0)
    assert fit.degrees_of_freedom == 0


@pytest.mark.parametrize(("optimum", "edge"), [(-9.0, -8.0), (0.0, -2.0)])
def test_a_minimum_at_the_edge_is_said_to_be_there(optimum: float, edge: float) -> None:
    assert local_fit(GRID, valley(optimum)) == (None, Status.EDGE)
    assert math.isnan(parabola_vertex(GRID, valley(optimum)))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_points_are_all_edge(count: int) -> None:
    assert local_fit(GRID[:count], valley(-8.0)[:count]) == (None, Status.EDGE)


def test_a_dent_in_a_hill_is_not_convex() -> None:
    assert local_fit(np.arange(5.0), np.array([2.001, 2.05, 1.999, 2.05, 2.0]))[1] is Status.NOT_CONVEX


@quick
@given(st.floats(-7.0, -5.5), st.integers(1, 4), st.sampled_from([math.inf, math.nan]))
def test_diverged_and_missing_points_are_left_out(optimum: float, lost: int, value: float) -> None:
    losses = valley(optimum)
    losses[-lost:] = value
    assert fitted(GRID, losses).log2_value == pytest.approx(optimum, abs=1e-6)


def test_next_to_diverged_points_the_optimum_is_at_the_edge() -> None:
    losses = valley(-4.0)
    losses[GRID > -4.5] = math.inf
    assert local_fit(GRID, losses) == (None, Status.EDGE)
    assert local_fit(GRID, np.full(len(GRID), math.inf)) == (None, Status.NOTHING)


def test_no_fit_reaches_across_a_run_that_diverged() -> None:
    """Guards against a minimum that is placed on the far side of a wall."""
    losses = valley(-4.0)
    losses[np.abs(GRID + 5.5) < 0.1] = math.inf
    fit = fitted(GRID, losses)
    assert (GRID[fit.columns] > -5.5).all()
    assert fit.log2_value == pytest.approx(-4.0, abs=1e-6)
    losses[np.abs(GRID + 3.5) < 0.1] = math.inf
    assert local_fit(GRID, losses) == (None, Status.EDGE)
    assert math.isnan(parabola_vertex(GRID, losses))


def test_a_point_that_few_seeds_ran_counts_less() -> None:
    losses, support = valley(-4.8) + 0.01 * np.cos(3 * GRID), np.where(np.arange(len(GRID)) % 2, 1.0, 2 / 3)
    fit, _ = local_fit(GRID, losses, support)
    assert fit is not None
    weights = support[fit.columns] / (1 + fit.doubt)
    by_numpy = np.polyfit(fit.offsets, losses[fit.columns], 3, w=np.sqrt(weights))[::-1]
    assert fit.coefficients == pytest.approx(by_numpy)


def test_the_best_point_is_one_that_most_seeds_ran() -> None:
    """One seed far off may be lucky."""
    losses, support = valley(-4.8), np.ones(len(GRID))
    losses[0], support[0] = 1.5, 1 / 3
    assert fitted(GRID, valley(-4.8)).log2_value == pytest.approx(-4.8)
    fit, status = local_fit(GRID, losses, support)
    assert status is Status.FIT
    assert fit is not None
    assert fit.log2_value == pytest.approx(-4.8, abs=0.01)
    assert parabola_vertex(GRID, losses, support) == pytest.approx(-4.8)
    assert local_fit(GRID, losses) == (None, Status.EDGE)


def test_the_plain_parabola_is_the_one_of_other_work() -> None:
    losses = valley(-4.8)
    assert parabola_vertex(GRID, losses) == pytest.approx(-4.8)
    far = losses > losses.min() + 0.055
    assert parabola_vertex(GRID, losses + far) == pytest.approx(-4.8)
