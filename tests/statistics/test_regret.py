"""What it costs to carry a value over, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from smupar_transfer.statistics import Cell, transferred_regret
from smupar_transfer.statistics.regret import losses_at, paired

MakeCell = Callable[..., Cell]


def test_regret_is_the_loss_at_the_transferred_value_less_the_best(make_cell: MakeCell) -> None:
    cell = make_cell([[3.0, 2.0, 2.5], [3.4, 2.2, 2.3], [3.2, 2.1, 2.7]])
    regret = transferred_regret(cell, -6.0, np.array([2.0, 2.2, 2.1]))
    # differences 0.5, 0.1, 0.6: mean 0.4, standard deviation sqrt(0.07), over a best of 2.1
    assert regret.log2_value == -6.0
    assert regret.nats == pytest.approx(0.4)
    assert regret.percent == pytest.approx(100 * 0.4 / 2.1)
    assert regret.standard_error == pytest.approx(math.sqrt(0.07 / 3))
    assert regret.standard_errors == pytest.approx(0.4 / math.sqrt(0.07 / 3))


@pytest.mark.parametrize(("at", "loss"), [(-8.0, 3.0), (-7.75, 2.75), (-7.0, 2.0), (-6.5, 2.25), (-6.0, 2.5)])
def test_between_points_the_loss_lies_on_the_chord(make_cell: MakeCell, at: float, loss: float) -> None:
    assert losses_at(make_cell([[3.0, 2.0, 2.5]]), at).tolist() == [loss]


@pytest.mark.parametrize("at", [-8.1, -5.9, math.nan])
def test_beyond_the_grid_nothing_is_known(make_cell: MakeCell, at: float) -> None:
    assert np.isnan(losses_at(make_cell([[3.0, 2.0, 2.5]]), at)).all()
    assert math.isnan(transferred_regret(make_cell([[3.0, 2.0, 2.5]]), at, np.array([2.0])).nats)


def test_each_seed_is_interpolated_between_its_own_runs(make_cell: MakeCell) -> None:
    cell = make_cell([[3.0, 2.0, 2.4, 2.8], [3.2, math.nan, 2.6, math.nan]])
    assert losses_at(cell, -7.0).tolist() == [2.0, pytest.approx(2.9)]
    assert losses_at(cell, -5.5)[0] == pytest.approx(2.6)
    assert math.isnan(losses_at(cell, -5.5)[1])
    regret = transferred_regret(cell, -5.5, np.array([2.0, 2.6]))
    assert regret.nats == pytest.approx(0.6)
    assert math.isnan(regret.standard_error), "one seed is left"


def test_seeds_are_paired_in_the_standard_error(make_cell: MakeCell) -> None:
    cell = make_cell([[2.5, 2.0], [3.5, 3.0], [9.5, 9.0]])
    assert transferred_regret(cell, -8.0, cell.losses[:, 1]).standard_error == pytest.approx(0.0)
    shuffled = transferred_regret(cell, -8.0, cell.losses[[1, 2, 0], 1])
    assert shuffled.nats == pytest.approx(0.5)
    assert shuffled.standard_error > 1


def test_a_value_that_diverged_costs_infinitely_much(make_cell: MakeCell) -> None:
    cell = make_cell([[2.1, 2.0, 2.2], [2.1, 2.0, math.inf]])
    for at in (-6.0, -6.5):
        regret = transferred_regret(cell, at, cell.losses[:, 1])
        assert (regret.nats, regret.percent) == (math.inf, math.inf)
        assert math.isnan(regret.standard_error)
    assert transferred_regret(cell, -7.0, cell.losses[:, 1]).nats == 0


def test_a_single_pair_has_no_error() -> None:
    difference, error = paired(np.array([2.0]), np.array([1.5]))
    assert difference == 0.5
    assert math.isnan(error)
