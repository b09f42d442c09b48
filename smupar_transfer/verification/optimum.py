"""Where a loss curve has its minimum, how sure that is, and when it cannot be said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from smupar_transfer.verification.cells import Cell, Floats

LOSS_WINDOW = 0.05
"""Points this close to the smallest mean loss (nats) enter the fit, beside the two neighbours of the smallest."""
RESAMPLES = 1000
CONFIDENCE = 0.95


class Status(StrEnum):
    """How an optimum was found."""

    FIT = "fit"
    """Vertex of the parabola."""
    EDGE = "edge"
    """Smallest point of the grid, which is at its edge: the optimum may lie beyond."""
    NOT_CONVEX = "not convex"
    """Smallest point of the grid: its neighbourhood is no parabola that opens upwards."""
    NOTHING = "all diverged"
    """No learning rate trained."""


@dataclass(frozen=True)
class Optimum:
    """Estimate of one cell.

    Attributes:
        log2_learning_rate: of the minimum; NaN if nothing trained. low, high: 95 % bootstrap interval over seeds,
            NaN with one seed.
        loss: mean validation loss (nats) at the best point of the grid; infinite if nothing trained.
        grid_log2_learning_rate: that point.
    """

    log2_learning_rate: float
    low: float
    high: float
    loss: float
    grid_log2_learning_rate: float
    status: Status


def vertex(log2_rates: Floats, losses: Floats) -> tuple[float, Status]:
    """Minimum of one mean loss curve.

    Args:
        log2_rates: increasing, (rates,).
        losses: nats, (rates,); points that are not finite are left out.

    Returns:
        log2 of the learning rate, and how it was found.
    """
    finite = np.isfinite(losses)
    rates, values = log2_rates[finite], losses[finite]
    if len(values) == 0:
        return float("nan"), Status.NOTHING
    best = int(values.argmin())
    if best in (0, len(values) - 1):
        return float(rates[best]), Status.EDGE
    window = values <= values[best] + LOSS_WINDOW
    window[best - 1 : best + 2] = True
    left, right = _contiguous(window, best)
    a, b, _ = np.polyfit(rates[left:right] - rates[best], values[left:right], 2)
    if a <= 0:
        return float(rates[best]), Status.NOT_CONVEX
    offset = -b / (2 * a)
    if not rates[left] <= rates[best] + offset <= rates[right - 1]:
        return float(rates[best]), Status.NOT_CONVEX
    return float(rates[best] + offset), Status.FIT


def _contiguous(window: np.ndarray, best: int) -> tuple[int, int]:
    """Bounds of the run of True around ``best``: a second dip far away is no part of this minimum."""
    left = right = best
    while left > 0 and window[left - 1]:
        left -= 1
    while right < len(window) - 1 and window[right + 1]:
        right += 1
    return left, right + 1


def resamples(seeds: int, count: int = RESAMPLES) -> np.ndarray:
    """Indices of bootstrap samples of ``seeds`` seeds, (count, seeds); the same at every call."""
    return np.random.default_rng(0).integers(seeds, size=(count, seeds))


def bootstrap_vertices(cell: Cell, samples: np.ndarray) -> Floats:
    """The minimum in every resample of the seeds, (count,); seeds stay paired across learning rates."""
    return np.array([vertex(cell.log2_learning_rates, cell.losses[rows].mean(axis=0))[0] for rows in samples])


@lru_cache(maxsize=1024)
def bootstrap(cell: Cell) -> Floats:
    """The minimum in ``RESAMPLES`` resamples; kept, since intervals of the optimum and of its drift both read it."""
    return bootstrap_vertices(cell, resamples(len(cell.seeds)))


def estimate(cell: Cell) -> Optimum:
    """The optimal learning rate of a cell, with its interval."""
    means = cell.mean_losses
    position, status = vertex(cell.log2_learning_rates, means)
    if status is Status.NOTHING:
        nan = float("nan")
        return Optimum(nan, nan, nan, float("inf"), nan, status)
    best = int(np.nanargmin(np.where(np.isfinite(means), means, np.nan)))
    low = high = float("nan")
    if len(cell.seeds) > 1:  # one seed tells no spread
        low, high = interval(bootstrap(cell))
    return Optimum(position, low, high, float(means[best]), float(cell.log2_learning_rates[best]), status)


def interval(values: Floats) -> tuple[float, float]:
    """Central 95 % of bootstrap values; NaN if a resample had no value."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
