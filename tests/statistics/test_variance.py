"""Noise from few seeds."""

from __future__ import annotations

import numpy as np
import pytest

from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.variance import draws, moderate, student


def observed(true: Floats, degrees_of_freedom: float, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return true * random.chisquare(degrees_of_freedom, len(true)) / degrees_of_freedom, np.full(
        len(true), degrees_of_freedom
    )


def test_cells_alike_share_their_noise() -> None:
    variances, degrees_of_freedom = observed(np.full(200, 4.0), 2.0)
    moderated, together = moderate(variances, degrees_of_freedom)
    assert moderated.std() < 0.2 * variances.std()
    assert moderated.mean() == pytest.approx(4.0, rel=0.2)
    assert together.min() > 10


def test_cells_unlike_keep_their_own() -> None:
    true = np.where(np.arange(200) % 2, 1e-4, 1e4)
    variances, degrees_of_freedom = observed(true, 2.0)
    moderated, together = moderate(variances, degrees_of_freedom)
    assert np.median(np.abs(np.log(moderated / variances))) < 0.5
    assert together.max() < 4


def test_the_prior_is_found_again() -> None:
    """Variances with a scaled inverse chi-squared prior of 6 degrees of freedom around 3 (Smyth 2004, equation 3)."""
    random = np.random.default_rng(1)
    true = 3.0 * 6 / random.chisquare(6, 4000)
    variances, degrees_of_freedom = observed(true, 4.0, seed=2)
    moderated, together = moderate(variances, degrees_of_freedom)
    assert together[0] - 4 == pytest.approx(6, rel=0.2)
    weight = 4 / together[0]
    assert (moderated[0] - weight * variances[0]) / (1 - weight) == pytest.approx(3, rel=0.1)
    assert np.log(moderated / true).std() < 0.8 * np.log(variances / true).std()


def test_two_cells_are_too_few_to_share() -> None:
    variances, degrees_of_freedom = np.array([1.0, 9.0]), np.array([2.0, 2.0])
    own, same = moderate(variances, degrees_of_freedom)
    assert own.tolist() == [1.0, 9.0]
    assert same.tolist() == [2.0, 2.0]


def test_degrees_of_freedom_never_exceed_what_the_cells_have() -> None:
    variances, degrees_of_freedom = np.array([1.0, 1.01, 0.99]), np.array([2.0, 4.0, 2.0])
    assert moderate(variances, degrees_of_freedom)[1].tolist() == [8.0, 8.0, 8.0]


def test_moderation_has_no_unit() -> None:
    variances, degrees_of_freedom = observed(np.geomspace(1, 10, 12), 2.0)
    plain, scaled = moderate(variances, degrees_of_freedom), moderate(1e-6 * variances, degrees_of_freedom)
    assert scaled[0] == pytest.approx(1e-6 * plain[0])
    assert scaled[1] == pytest.approx(plain[1])


@pytest.mark.parametrize(("degrees_of_freedom", "half_width"), [(2, 4.3027), (10, 2.2281), (1e9, 1.95996)])
def test_students_t_is_that_of_the_tables(degrees_of_freedom: float, half_width: float) -> None:
    assert student(degrees_of_freedom) == pytest.approx(half_width, rel=1e-4)


def test_draws_have_the_tails_of_students_t() -> None:
    errors = draws(np.array([1.0, 1.0, 3.0]), np.array([2.0, 1e6, 1e6]), count=20_000)
    outside = (np.abs(errors) > [student(2), student(1e6), 3 * student(1e6)]).mean(axis=0)
    assert outside == pytest.approx([0.05] * 3, abs=0.008)
    assert (np.abs(errors[:, 0]) > student(1e6)).mean() > 0.15, "a normal's tails would be too light"
    assert np.array_equal(errors, draws(np.array([1.0, 1.0, 3.0]), np.array([2.0, 1e6, 1e6]), count=20_000))
    assert abs(np.corrcoef(errors[:, 1], errors[:, 2])[0, 1]) < 0.05
