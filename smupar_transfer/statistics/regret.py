"""What it costs to transfer a hyperparameter instead of tuning it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smupar_transfer.statistics.cell import Cell, Floats


@dataclass(frozen=True)
class Regret:
    """Loss of a cell at a transferred value, less a best loss.

    Attributes:
        log2_value: The log2 of the transferred value.
        nats: The mean over seeds, in nats; infinite if a run diverged there, NaN if the value is not in the cell's
            grid.
        percent: The same in percent of the best loss.
        standard_error: The standard error of ``nats``, over seeds, paired; NaN with fewer than two.
    """

    log2_value: float
    nats: float
    percent: float
    standard_error: float

    @property
    def standard_errors(self) -> float:
        """How many standard errors it is; NaN where there is none."""
        return self.nats / self.standard_error if self.standard_error > 0 else math.nan


def losses_at(cell: Cell, log2_value: float) -> Floats:
    """Loss of every seed at a value, (seeds,): linear in log2 between its own neighbouring runs.

    The chord of a convex curve lies above it, so this is too much rather than too little. Infinite if a neighbour
    diverged, NaN outside of what the seed ran.
    """
    return np.array([_between(cell.log2_values, row, log2_value) for row in cell.losses])


def _between(grid: Floats, row: Floats, at: float) -> float:
    ran = np.flatnonzero(~np.isnan(row))
    x, losses = grid[ran], row[ran]
    if len(x) == 0 or not x[0] - 1e-9 <= at <= x[-1] + 1e-9:  # 1e-9 octaves are rounding
        return math.nan
    right = min(int(np.searchsorted(x, at - 1e-9)), len(x) - 1)
    if right == 0 or x[right] - at <= 1e-9:
        return float(losses[right])
    part = (at - x[right - 1]) / (x[right] - x[right - 1])
    return float((1 - part) * losses[right - 1] + part * losses[right])


def transferred_regret(cell: Cell, log2_value: float, best_losses: Floats) -> Regret:
    """Regret of a cell at ``log2_value``.

    Args:
        cell: The target.
        log2_value: The log2 of the value that is used without tuning.
        best_losses: The losses that tuning reaches, per seed of the cell, (seeds,); NaN for seeds that do not count.
    """
    transferred = losses_at(cell, log2_value)
    known = ~np.isnan(transferred) & ~np.isnan(best_losses)
    transferred, best = transferred[known], best_losses[known]
    if len(transferred) == 0:
        return Regret(log2_value, math.nan, math.nan, math.nan)
    # a person who trains once may be the one who diverges: the other seeds do not make good for it
    if not np.isfinite(transferred).all():
        return Regret(log2_value, math.inf, math.inf, math.nan)
    nats, error = paired(transferred, best)
    return Regret(log2_value, nats, 100 * nats / float(best.mean()), error)


def paired(losses: Floats, references: Floats) -> tuple[float, float]:
    """Mean difference of paired losses and its standard error, which is NaN with one pair."""
    difference = losses - references
    error = math.nan if len(difference) < 2 else float(difference.std(ddof=1) / math.sqrt(len(difference)))
    return float(difference.mean()), error
