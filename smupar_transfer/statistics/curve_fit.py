"""The bottom of one loss curve: a weighted polynomial in log2 of the swept hyperparameter, and its minimum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from smupar_transfer.statistics.cell import Floats

WINDOW = 0.15
"""Points within this part of the smallest loss above it, without a gap, enter the fit."""
SOFTNESS = 0.0075
"""A point this part of the smallest loss above it counts half: 1 / (1 + (distance / softness)**2)."""
ENOUGH_SEEDS = 2 / 3
"""Share of the seeds that has to have run a point for it to be the best: one seed may be lucky."""
PARABOLA_WINDOW = 0.05
"""Nats above the smallest loss of the plain parabola that other work fits."""


class Status(StrEnum):
    """How an optimum was found."""

    FIT = "fit"
    """Minimum of the fitted curve."""
    EDGE = "edge"
    """Smallest point, at the edge of what was run or of what trained: the optimum may lie beyond."""
    NOT_CONVEX = "not convex"
    """Smallest point of the grid: its neighbourhood has no minimum within."""
    FLAT = "flat"
    """Minimum of the fitted curve, but the noise allows others up to an end of what was run."""
    NOTHING = "all diverged"
    """No value trained."""


@dataclass(frozen=True, eq=False)
class LocalFit:
    """A curve fitted around the smallest point of a mean loss curve.

    A loss curve rises faster on one side, and the vertex of a parabola is off by about f''' h**2 / (6 f'') for points h
    apart; so the polynomial has a cubic term from four points on. Weights fall with the height above the smallest
    point: the farther up, the less a cubic is to be believed.

    Attributes:
        columns: The indices, among the curve's values, of the points that entered, (points,).
        origin: The log2 value of the smallest point.
        offsets: The log2 values less ``origin``, (points,).
        doubt: How little a point counts, (height above the smallest / softness)**2, (points,).
        support: The share of the seeds that a point is the mean of, (points,).
        maps: The map from losses to coefficients of 1, x, x**2 (, x**3), (coefficients, points).
        coefficients: The coefficients of 1, x, x**2 (, x**3), (coefficients,).
        vertex: The log2 of the hyperparameter at the minimum, counted from ``origin``.
        misfit: The variance (nats**2) at ``doubt`` 1 that the residuals show, noise included; 0, or that of other fits,
            where there are none.
        misfit_degrees_of_freedom: The degrees of freedom behind it, at least 1.
    """

    columns: np.ndarray
    origin: float
    offsets: Floats
    doubt: Floats
    support: Floats
    maps: Floats
    coefficients: Floats
    vertex: float
    misfit: float
    misfit_degrees_of_freedom: float

    @property
    def degrees_of_freedom(self) -> int:
        """Points more than coefficients: degrees of freedom of the residuals."""
        return len(self.columns) - len(self.coefficients)

    @property
    def log2_value(self) -> float:
        """The log2 of the hyperparameter at the minimum."""
        return self.origin + self.vertex

    @property
    def loss(self) -> float:
        """The loss at the minimum, nats."""
        return float(np.polyval(self.coefficients[::-1], self.vertex))

    @property
    def curvature(self) -> float:
        """Second derivative at the minimum, nats per octave squared; positive."""
        return float(self.gradient(np.array([self.vertex]), order=2)[0] @ self.coefficients)

    def gradient(self, at: Floats, order: int = 1) -> Floats:
        """Weights of the coefficients in a derivative of the curve at offsets ``at``, (at, coefficients)."""
        derivatives = np.zeros((len(at), len(self.coefficients)))
        for power in range(order, len(self.coefficients)):
            derivatives[:, power] = math.perm(power, order) * at ** (power - order)
        return derivatives


def local_fit(log2_values: Floats, losses: Floats, support: Floats | None = None) -> tuple[LocalFit | None, Status]:
    """Fit one mean loss curve around its smallest point.

    Args:
        log2_values: The log2 of the swept hyperparameter's values, increasing, (values,).
        losses: The mean losses in nats, (values,); infinite where a run diverged: a wall that no fit reaches across.
        support: The share of the seeds that a point is the mean of, (values,); 1 if left out.

    Returns:
        The fit and ``Status.FIT``, or None and the reason why there is none.
    """
    support = np.ones(len(losses)) if support is None else support
    best = smallest(losses, support)
    if not np.isfinite(losses[best]):
        return None, Status.NOTHING
    if _at_edge(losses, best):
        return None, Status.EDGE
    # a part of the loss, not nats: estimates are the same in any unit. The weights below make its end soft, so that no
    # optimum jumps because one point crosses it (decision 16)
    columns = _window(losses, best, WINDOW * losses[best])
    origin = float(log2_values[best])
    offsets = log2_values[columns] - origin
    doubt = (np.maximum(losses[columns] - losses[best], 0) / (SOFTNESS * losses[best])) ** 2
    powers = np.vander(offsets, min(4, len(columns)), increasing=True)  # three points still make a parabola
    # a mean over fewer seeds has more noise, in proportion
    seen = support[columns]
    weights = seen / (1 + doubt)
    weighted = powers.T * weights
    maps = np.linalg.solve(weighted @ powers, weighted)
    coefficients = maps @ losses[columns]
    vertex = _minimum(coefficients)
    # NaN, for no minimum, fails this comparison as well; beyond its points a cubic may do anything
    if not offsets[0] <= vertex <= offsets[-1]:
        return None, Status.NOT_CONVEX
    left = np.eye(len(columns)) - powers @ maps
    # by how much a variance of 1 at each point raises the squares of the residuals
    share = np.diag(left.T @ (left * weights[:, None]))
    squares = float(((left @ losses[columns]) ** 2 * weights).sum())
    misfit = squares / float((share * doubt).sum()) if len(columns) > len(coefficients) else 0.0
    degrees_of_freedom = max(1.0, float(len(columns) - len(coefficients)))
    return LocalFit(
        columns, origin, offsets, doubt, seen, maps, coefficients, vertex, misfit, degrees_of_freedom
    ), Status.FIT


def smallest(losses: Floats, support: Floats) -> int:
    """Index of the smallest loss among the points that most seeds ran; of all if none of these trained."""
    most = np.where((support >= ENOUGH_SEEDS) & np.isfinite(losses), losses, np.inf)  # what few seeds ran may be luck
    every = np.where(np.isfinite(losses), losses, np.inf)
    return int(most.argmin() if np.isfinite(most).any() else every.argmin())


def _at_edge(losses: Floats, best: int) -> bool:
    """Whether there is no point on one side of the best, or one that diverged."""
    return best in (0, len(losses) - 1) or not np.isfinite(losses[[best - 1, best + 1]]).all()


def _window(losses: Floats, best: int, height: float) -> np.ndarray:
    """Columns up to ``height`` above the best, its neighbours included; a dip beyond higher points is no part of it."""
    inside = losses <= losses[best] + height
    # however steep: a minimum takes three points, and callers have seen that there is one on either side
    inside[best - 1 : best + 2] = True
    outside = np.flatnonzero(~inside)
    left = outside[outside < best].max(initial=-1) + 1
    return np.arange(left, outside[outside > best].min(initial=len(losses)))


def _minimum(coefficients: Floats) -> float:
    """Offset of the minimum of a parabola or cubic that is convex at 0; NaN if it has none."""
    _, b, c, d = np.pad(coefficients, (0, 4 - len(coefficients)))
    # b + 2 c x + 3 d x**2 = 0, solved in the form that divides by no d: it stays exact as the cubic becomes a parabola
    under = 4 * c * c - 12 * b * d
    if under < 0 or 2 * c + math.sqrt(under) <= 0:
        return math.nan
    return float(-2 * b / (2 * c + math.sqrt(under)))  # the root where the second derivative is + sqrt(under)


def parabola_vertex(log2_values: Floats, losses: Floats, support: Floats | None = None) -> float:
    """Vertex of the plain parabola through the points within ``PARABOLA_WINDOW``, for comparison with other work.

    NaN where the smallest point is at the edge, or the parabola has no minimum within its points.
    """
    best = smallest(losses, np.ones(len(losses)) if support is None else support)
    if _at_edge(losses, best):
        return math.nan
    window = _window(losses, best, PARABOLA_WINDOW)
    x = log2_values[window] - log2_values[best]
    c, b, _ = np.polyfit(x, losses[window], 2)
    vertex = -b / (2 * c) if c > 0 else math.nan
    return float(log2_values[best] + vertex) if x[0] <= vertex <= x[-1] else math.nan
