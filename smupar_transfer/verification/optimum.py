"""Where the loss curves of a sweep have their minima, how sure that is, and when it cannot be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smupar_transfer.verification.cells import Cell, Floats
from smupar_transfer.verification.fit import LocalFit, Status, local_fit, parabola_vertex
from smupar_transfer.verification.noise import moderate, student

__all__ = ["Optimum", "Status", "complete", "estimate"]


@dataclass(frozen=True, eq=False)
class Optimum:
    """Estimate of one cell.

    Attributes:
        log2_value: of the minimum; NaN if nothing trained.
        low, high: 95 % interval, infinite on a side where the window ends first; NaN without a fit or with one seed.
        standard_error: of ``log2_value``, octaves; NaN as the interval. freedom: degrees of freedom behind it.
        curvature: second derivative of the loss there, nats per octave squared. curvature_error: its standard error.
        fitted_loss: minimum of the fitted curve, nats. These three are NaN without a fit.
        loss: mean validation loss (nats) at the best point of the grid; infinite if nothing trained.
        grid_log2_value: that point.
        parabola: what a plain parabola says, for comparison with other work; NaN if it says nothing.
        seeds: that entered. columns: of the cell that entered, being those where all these seeds ran.
        curve: the fit itself, None if there is none.
    """

    log2_value: float
    low: float
    high: float
    standard_error: float
    freedom: float
    curvature: float
    curvature_error: float
    fitted_loss: float
    loss: float
    grid_log2_value: float
    parabola: float
    status: Status
    seeds: tuple[int, ...]
    columns: tuple[int, ...]
    curve: LocalFit | None


def complete(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Rows (seeds) and columns (values) of a cell that enter an estimate: where every one of these seeds ran.

    Of the sets of seeds that some value has, the largest whose smallest mean loss does not lie at the edge of its
    values; if there is none, the one with most values. So a value that few seeds have does not cost the others theirs.
    """
    ran = ~np.isnan(cell.losses)
    best: tuple[tuple[bool, int, int], np.ndarray, np.ndarray] | None = None
    for pattern in np.unique(ran, axis=1).T:
        columns = np.flatnonzero(ran[pattern].all(axis=0))
        means = cell.losses[np.ix_(pattern, columns)].mean(axis=0)
        finite = np.flatnonzero(np.isfinite(means))
        inner = len(finite) > 0 and finite[0] < np.where(np.isfinite(means), means, np.inf).argmin() < finite[-1]
        sizes = (int(pattern.sum()), len(columns))
        rank = (inner, *(sizes if inner else sizes[::-1]))
        if best is None or rank > best[0]:
            best = rank, np.flatnonzero(pattern), columns
    assert best is not None, "a cell has a run"
    return best[1], best[2]


@dataclass(frozen=True, eq=False)
class _Bottom:
    """A cell, the seeds and values of it that enter, and the fit to their mean."""

    cell: Cell
    rows: np.ndarray
    columns: np.ndarray
    fit: LocalFit | None
    status: Status

    @property
    def losses(self) -> Floats:
        """Those that entered the fit, (seeds, points)."""
        assert self.fit is not None
        return np.asarray(self.cell.losses[np.ix_(self.rows, self.columns[self.fit.columns])])

    @property
    def noise(self) -> float:
        """Variance (nats**2) of a run beside its seed's own level, as the slope at the minimum sees it."""
        assert self.fit is not None
        slope = (self.fit.gradient(np.array([self.fit.vertex])) @ self.fit.maps)[0]
        return float((self.losses @ slope).var(ddof=1) / (slope @ slope))


def _bottom(cell: Cell) -> _Bottom:
    rows, columns = complete(cell)
    means = cell.losses[np.ix_(rows, columns)].mean(axis=0)
    return _Bottom(cell, rows, columns, *local_fit(cell.log2_values[columns], means))


def estimate(sweep: Sequence[Cell]) -> list[Optimum]:
    """The optimum of every cell, with intervals whose noise is estimated over all cells of the sweep.

    The interval holds the values at which the slope of the fitted curve is within Student's t of zero (Fieller 1954).
    The slope's variance is that of its mean over seeds, which takes out what a seed adds to all losses alike and keeps
    the correlation between values, plus that of the misfit that the residuals of the mean curve show.
    """
    bottoms = [_bottom(cell) for cell in sweep]
    several = [index for index, bottom in enumerate(bottoms) if bottom.fit is not None and len(bottom.rows) > 1]
    variances = np.maximum([bottoms[index].noise for index in several], 1e-24)  # losses without noise are no error
    freedom = np.array([len(bottoms[index].rows) - 1.0 for index in several])
    known = dict(zip(several, zip(*moderate(variances, freedom), strict=True), strict=True))
    return [_optimum(bottom, *known.get(index, (math.nan, math.nan))) for index, bottom in enumerate(bottoms)]


def _optimum(bottom: _Bottom, noise: float, freedom: float) -> Optimum:
    cell, fit, status = bottom.cell, bottom.fit, bottom.status
    means = cell.losses[np.ix_(bottom.rows, bottom.columns)].mean(axis=0)
    means = np.where(np.isfinite(means), means, np.inf)
    loss, where = float(means.min()), float(cell.log2_values[bottom.columns[means.argmin()]])
    value = where if status is not Status.NOTHING else math.nan
    low = high = error = curvature = curvature_error = fitted = math.nan
    if fit is not None:
        value, curvature, fitted = fit.log2_value, fit.curvature, fit.loss
        if not math.isnan(noise):
            noise = noise / len(bottom.rows)
            error, curvature_error, freedom = _errors(fit, noise, freedom)
            low, high = _interval(fit, noise, student(freedom))
            status = Status.FIT if math.isfinite(low) and math.isfinite(high) else Status.FLAT
    return Optimum(
        log2_value=value,
        low=low,
        high=high,
        standard_error=error,
        freedom=float(freedom),
        curvature=curvature,
        curvature_error=curvature_error,
        fitted_loss=fitted,
        loss=loss,
        grid_log2_value=where if status is not Status.NOTHING else math.nan,
        parabola=parabola_vertex(cell.log2_values[bottom.columns], means),
        status=status,
        seeds=tuple(cell.seeds[row] for row in bottom.rows),
        columns=tuple(int(column) for column in bottom.columns),
        curve=fit,
    )


def _variances(fit: LocalFit, weights: Floats, noise: float) -> Floats:
    """Of sums of losses with ``weights``, (..., points); ``noise`` is the variance of a mean over seeds."""
    return np.asarray((weights**2 * (noise + fit.misfit * fit.doubt)).sum(axis=-1))


def _errors(fit: LocalFit, noise: float, freedom: float) -> tuple[float, float, float]:
    """Standard errors of the minimum's place and of the curvature there, by first-order expansion, and their freedom.

    Noise and misfit are known with different degrees of freedom; those of their sum follow Welch and Satterthwaite, but
    are never more than those of the noise, since residuals of neighbouring points go together.
    """
    at = np.array([fit.vertex])
    slope, bend = ((fit.gradient(at, order) @ fit.maps)[0] for order in (1, 2))
    third = float((fit.gradient(at, 3) @ fit.coefficients)[0])
    moved = slope / fit.curvature
    place, curvature = _variances(fit, np.stack([moved, bend - third * moved]), noise)
    by_noise = float((moved**2).sum()) * noise
    by_misfit = float(place) - by_noise
    together = float(place) ** 2 / (by_noise**2 / freedom + by_misfit**2 / max(1, fit.freedom))
    return math.sqrt(place), math.sqrt(curvature), min(freedom, together)


def _interval(fit: LocalFit, noise: float, half_width: float) -> tuple[float, float]:
    """Where the slope is within ``half_width`` standard errors of zero; infinite where the window ends first."""
    steps = np.linspace(0, 1, 101)
    bounds = []
    for end in (fit.offsets[0], fit.offsets[-1]):
        at = fit.vertex + steps * (end - fit.vertex)
        gradient = fit.gradient(at)
        error = np.sqrt(_variances(fit, gradient @ fit.maps, noise))
        beyond = np.abs(gradient @ fit.coefficients) - half_width * error
        first = int((beyond > 0).argmax())
        if first == 0:  # nowhere, since at the minimum itself the slope is 0
            bounds.append(math.copysign(math.inf, end - fit.vertex))
            continue
        part = -beyond[first - 1] / (beyond[first] - beyond[first - 1])
        bounds.append(fit.origin + at[first - 1] + part * (at[first] - at[first - 1]))
    return float(bounds[0]), float(bounds[1])
