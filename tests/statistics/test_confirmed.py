"""The best of a few candidates, each trained with several seeds."""

from __future__ import annotations

import math

import pytest

from smupar_transfer.statistics.confirmed import Confirmed, tied_with, winner

FIRST = Confirmed(7, (2.0, 2.2, 2.4))
STEADY = Confirmed(3, (2.1, 2.1, 2.1))
BETTER = Confirmed(5, (1.9, 2.1, 2.3))
LOST = Confirmed(9, (1.0, 1.0, None))


def test_the_lowest_mean_wins_whatever_the_search_thought() -> None:
    assert winner([FIRST, STEADY, BETTER]) == BETTER or winner([FIRST, STEADY, BETTER]) == STEADY
    assert winner([FIRST, Confirmed(1, (2.0, 2.0, 2.0))]).trial == 1
    assert winner([Confirmed(1, (2.0, 2.0)), Confirmed(2, (2.0, 2.0))]).trial == 1, "of equal ones the first"


def test_what_diverged_with_one_seed_never_wins_unless_all_did() -> None:
    assert math.isinf(LOST.mean)
    assert LOST.standard_error is None
    assert winner([LOST, FIRST]) == FIRST
    assert winner([LOST, Confirmed(2, (None, None, None))]) == LOST


def test_the_standard_error_is_that_of_the_mean() -> None:
    assert FIRST.mean == pytest.approx(2.2)
    assert FIRST.standard_error == pytest.approx(0.2 / math.sqrt(3))
    assert Confirmed(1, (2.0,)).standard_error is None


def test_candidates_are_compared_seed_by_seed() -> None:
    """All seeds move both alike: a tenth is far, though each loss varies by more."""
    assert not FIRST.ties_with(BETTER)
    noisy = Confirmed(4, (2.3, 1.9, 2.2))
    assert noisy.ties_with(BETTER), "the control: as far in the mean, and not seed by seed"


def test_the_trials_that_tie_are_named_best_first() -> None:
    noisy = Confirmed(4, (2.3, 1.9, 2.2))
    assert tied_with(BETTER, [FIRST, noisy, BETTER, LOST]) == (4,)
    assert tied_with(BETTER, [BETTER]) == ()
    assert tied_with(Confirmed(1, (2.0,)), [Confirmed(1, (2.0,)), Confirmed(2, (2.0,))]) == (), "one seed cannot say"
