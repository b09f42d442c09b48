"""Which seeds and values of a cell enter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smupar_transfer.statistics import Cell
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.mean_curve import complete

MakeCell = Callable[..., Cell]
GRID = np.arange(-8.0, -1.75, 0.5)


def valley(optimum: float) -> Floats:
    return 2.0 + 0.03 * (GRID - optimum) ** 2


def test_a_seed_that_has_hardly_begun_does_not_cost_the_others_their_grid(make_cell: MakeCell) -> None:
    losses = np.stack([valley(-4.8)] * 3)
    losses[2, 3:] = np.nan
    rows, columns = complete(make_cell(losses, rates=GRID))
    assert (rows.tolist(), len(columns)) == ([0, 1], len(GRID))
    losses[2, 3:] = losses[1, 3:]
    assert complete(make_cell(losses, rates=GRID))[0].tolist() == [0, 1, 2]


def test_at_the_edge_of_all_that_was_run_the_most_seeds_count(make_cell: MakeCell) -> None:
    losses = np.stack([valley(-9.0)] * 2)
    losses[1, 4:] = np.nan
    rows, columns = complete(make_cell(losses, rates=GRID))
    assert (rows.tolist(), len(columns)) == ([0, 1], 4)
    losses[1, 2:] = np.nan
    rows, columns = complete(make_cell(losses, rates=GRID))
    assert (rows.tolist(), len(columns)) == ([0], len(GRID)), "two values are too few"
