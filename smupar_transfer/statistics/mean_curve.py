"""The mean loss curve of a cell: which of its seeds enter, and which of its values are clearly worse than the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smupar_transfer.statistics.cell import Cell, Floats, levelled_means
from smupar_transfer.statistics.curve_fit import smallest
from smupar_transfer.statistics.variance import student

ENOUGH_VALUES = 3
"""Values in common that a set of seeds needs: a minimum between two others takes three."""


def complete(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Rows (seeds) and columns (values) of a cell that every one of these seeds ran.

    The most seeds whose common values, three at least, of which two trained, hold a minimum: between two others, or at
    the edge of all that was run. Where there are none, the set of seeds with most values in common. So neither a seed
    that has hardly begun nor one that diverged at all values but one costs the others theirs.
    """
    ran = ~np.isnan(cell.losses)
    # candidates are the sets of seeds that ran, or that trained, at some value: as many as there are values, not all
    # 2**seeds
    seeds_at = np.concatenate([ran, np.isfinite(cell.losses)], axis=1)
    patterns = [pattern for pattern in np.unique(seeds_at, axis=1).T if pattern.any()]
    assert patterns, "a cell has a run"
    edges = np.flatnonzero(ran.any(axis=0))[[0, -1]]
    choices = [(np.flatnonzero(pattern), np.flatnonzero(ran[pattern].all(axis=0))) for pattern in patterns]
    good = [choice for choice in choices if _holds_a_minimum(cell.losses[np.ix_(*choice)], choice[1], edges)]
    if good:
        # seeds before values: they are the degrees of freedom of the noise, and values that some of them lack enter the
        # curve anyway
        return max(good, key=lambda choice: (len(choice[0]), len(choice[1])))
    return max(choices, key=lambda choice: (len(choice[1]), len(choice[0])))


def _holds_a_minimum(losses: Floats, columns: np.ndarray, edges: np.ndarray) -> bool:
    means = losses.mean(axis=0)
    if len(columns) < ENOUGH_VALUES or np.isfinite(means).sum() < 2:
        return False
    best = columns[np.where(np.isfinite(means), means, np.inf).argmin()]
    return bool(columns[0] < best < columns[-1] or best in edges)


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """The mean loss curve of a cell.

    Attributes:
        cell: The cell.
        rows: The indices, among the cell's seeds, of those that ``complete`` chooses.
        columns: The indices, among the cell's values, of those that ``complete`` chooses.
        values: The indices, among the cell's values, of all that some of these seeds ran.
        means: The mean loss at these, nats, as of ``levelled_means``; infinite where a run diverged, (values,).
        support: The share of the seeds behind each, (values,).
    """

    cell: Cell
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    means: Floats
    support: Floats

    @classmethod
    def of(cls, cell: Cell) -> MeanCurve:
        """The mean curve of a cell that has a run."""
        rows, columns = complete(cell)
        ran = ~np.isnan(cell.losses[rows])
        values = np.flatnonzero(ran.any(axis=0))
        means = levelled_means(cell.losses[rows])[values]
        return cls(cell, rows, columns, values, means, ran.mean(axis=0)[values])

    @property
    def best(self) -> int:
        """Index of the best of ``values``."""
        return smallest(self.means, self.support)


def residual_variance(losses: Floats) -> tuple[float, float]:
    """Variance of runs (seeds, values) beside the levels of their seeds and values, and its degrees of freedom.

    NaN with one seed, or if fewer than two values trained.
    """
    losses = losses[:, np.isfinite(losses).all(axis=0)]
    seeds, values = losses.shape
    if seeds < 2 or values < 2:
        return math.nan, math.nan
    # both ways: what a seed adds at every value moves no optimum, and what a value does to every seed is the curve
    residuals = losses - losses.mean(axis=0) - losses.mean(axis=1, keepdims=True) + losses.mean()
    degrees_of_freedom = float((seeds - 1) * (values - 1))
    return float((residuals**2).sum()) / degrees_of_freedom, degrees_of_freedom


def beside_edge(curve: MeanCurve) -> tuple[float, float]:
    """An optimum at the edge lies between the clearly worse points beside it; NaN where the noise is not known."""
    noise, degrees_of_freedom = residual_variance(curve.cell.losses[np.ix_(curve.rows, curve.columns)])
    if math.isnan(noise):
        return math.nan, math.nan
    worse = clearly_worse(curve, noise, degrees_of_freedom)
    best = curve.cell.log2_values[curve.values[curve.best]]
    return float(worse[worse < best].max(initial=-math.inf)), float(worse[worse > best].min(initial=math.inf))


def clearly_worse(curve: MeanCurve, noise: float, degrees_of_freedom: float) -> Floats:
    """log2 values that are worse than the best beyond chance; ``noise`` is the variance of one run.

    All values count, also those that a single seed has seen. Seeds are paired; two runs have the variance of two. As
    the best is compared with every other value, half widths are Bonferroni's.
    """
    best = curve.values[curve.best]
    losses = curve.cell.losses[np.isfinite(curve.cell.losses[:, best])]  # differences need the seed's run at the best
    above = losses - losses[:, [best]]
    count = (~np.isnan(above)).sum(axis=0)
    mean = np.nan_to_num(above, nan=0.0, posinf=np.inf).sum(axis=0) / np.maximum(count, 1)
    half_width = student(degrees_of_freedom, comparisons=max(1, len(curve.values) - 1))
    return np.asarray(curve.cell.log2_values[mean > half_width * np.sqrt(2 * noise / np.maximum(count, 1))])
