"""How far optima lie apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.drift import Errors, slope, spread
from smupar_transfer.statistics.variance import draws

FREEDOM = np.full(5, 20.0)
NORMAL = draws(np.full(5, 0.1), FREEDOM)


def errors(drawn: Floats, below: float = 1.0, above: float = 1.0) -> Errors:
    """Of estimates of which the last may lie farther off on either side."""
    ones = np.ones(drawn.shape[1])
    last = np.arange(len(ones)) == len(ones) - 1
    return Errors(drawn, np.where(last, below, ones), np.where(last, above, ones))


ERRORS, FEW = errors(NORMAL), errors(NORMAL[:300])


def test_without_errors_there_is_no_interval() -> None:
    estimate = spread(np.array([1.0, 3.5, 2.0]), None)
    assert estimate.value == 2.5
    assert np.isnan([estimate.low, estimate.high, estimate.noise]).all()


def test_without_noise_the_interval_is_the_value() -> None:
    estimate = spread(np.array([1.0, 3.5, 2.0]), errors(np.zeros((50, 3))))
    assert [estimate.low, estimate.high, estimate.noise] == pytest.approx([2.5, 2.5, 0.0], abs=1e-3)


def test_a_range_within_the_noise_may_be_none_at_all() -> None:
    estimate = spread(np.array([0.0, 0.1, 0.15, 0.05, 0.2]), ERRORS)
    assert estimate.low == 0.0
    assert estimate.value < estimate.noise < 0.3, "noise of 0.1 makes a range of 0.23 on average"
    assert spread(np.array([0.0, 0.3, 0.6, 0.9, 1.2]), ERRORS).low > 0.7


@settings(deadline=None, max_examples=12)
@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.floats(-10, 10))
def test_the_interval_holds_the_value_and_does_not_care_where(positions: list[float], along: float) -> None:
    plain, moved = (spread(np.array(positions) + by, FEW) for by in (0.0, along))
    assert 0 <= plain.low <= plain.value + 1e-3
    assert plain.value <= plain.high
    assert [moved.low, moved.high] == pytest.approx([plain.low, plain.high], abs=1e-3)


@pytest.mark.parametrize("drift", [0.0, 0.3, 2.0])
def test_the_interval_holds_the_truth(drift: float) -> None:
    """Also where there is no drift: the range of what was measured is then never 0."""
    truths = np.linspace(0, drift, 5)
    random = np.random.default_rng(int(10 * drift))
    held, plain = [], []
    for _ in range(60):
        positions = truths + 0.1 * random.standard_normal(5)
        estimate = spread(positions, FEW)
        held.append(estimate.low <= drift + 1e-3 and drift <= estimate.high)
        bootstrap = np.ptp(positions + NORMAL[:300], axis=1)
        plain.append(np.quantile(bootstrap, 0.025) <= drift)
    assert np.mean(held) >= 0.9
    if drift == 0:
        assert np.mean(plain) < 0.5, "the percentile bootstrap is biased upwards and never holds 0"


def test_a_shifted_optimum_shows_as_drift() -> None:
    positions = np.array([0.0, 0.02, -0.03, 0.01, 0.0])
    assert spread(positions, ERRORS).low == 0
    positions[4] += 1.0
    assert spread(positions, ERRORS).low > 0.5


def test_an_estimate_that_may_lie_farther_out_makes_a_larger_drift_possible_and_no_smaller_one() -> None:
    positions = np.array([0.0, 0.1, 0.0, 0.1, 2.0])
    plain, out, inwards = (spread(positions, errors(NORMAL, *reach)) for reach in ((1, 1), (1, 10), (10, 1)))
    assert out.high > plain.high + 1
    assert out.low == pytest.approx(plain.low, abs=1e-3)
    assert inwards.low < plain.low - 1
    assert inwards.high == pytest.approx(plain.high, abs=1e-3)
    assert plain.noise == out.noise == inwards.noise


def test_a_slope_is_that_of_least_squares_with_its_error() -> None:
    positions = np.array([0.0, -1.0, -2.0, -3.0, -4.0])
    fitted = slope(positions, 1.5 * positions - 7, NORMAL)
    assert fitted.value == pytest.approx(1.5)
    half_width = 2.086 * 0.1 / math.sqrt(10)  # t with 20 degrees of freedom; sum of squares of the places is 10
    assert fitted.high - fitted.value == pytest.approx(half_width, rel=0.1)
    assert fitted.value - fitted.low == pytest.approx(fitted.high - fitted.value)
    assert math.isnan(slope(positions, positions, None).low)
    assert math.isnan(slope(np.zeros(5), positions, NORMAL).value)
