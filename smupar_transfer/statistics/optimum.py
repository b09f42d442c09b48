"""Where the loss curves of a sweep have their minima, how sure that is, and when it cannot be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from smupar_transfer.statistics.cell import Cell, Floats
from smupar_transfer.statistics.curve_fit import LocalFit, Status, local_fit, parabola_vertex
from smupar_transfer.statistics.mean_curve import MeanCurve, beside_edge, clearly_worse, residual_variance
from smupar_transfer.statistics.variance import moderate, student

__all__ = ["Optimum", "Status", "estimate"]


@dataclass(frozen=True, eq=False)
class Optimum:
    """Estimate of one cell.

    Attributes:
        log2_value: The log2 of the hyperparameter at the minimum; NaN if nothing trained.
        low: The lower end of the 95 % interval, infinite where neither the fit nor a clearly worse run ends it; of an
            optimum at the edge, clearly worse runs alone; NaN if not convex or with one seed.
        high: The upper end of that interval, likewise.
        standard_error: The standard error of ``log2_value``, octaves, to first order; NaN as the interval.
        degrees_of_freedom: The degrees of freedom behind it.
        curvature: The second derivative of the loss there, nats per octave squared; NaN without a fit.
        curvature_error: Its standard error; NaN without a fit.
        fitted_loss: The minimum of the fitted curve, nats; NaN without a fit.
        loss: The mean validation loss (nats) at the best point of the grid; infinite if nothing trained.
        grid_log2_value: The log2 of the hyperparameter at that point.
        parabola: The log2 of the hyperparameter at the minimum of a plain parabola, for comparison with other work; NaN
            if it has none.
        status: How the minimum was found, or why there is none.
        seeds: The seeds that entered.
        curve: The fit itself, None if there is none.
    """

    log2_value: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    curvature: float
    curvature_error: float
    fitted_loss: float
    loss: float
    grid_log2_value: float
    parabola: float
    status: Status
    seeds: tuple[int, ...]
    curve: LocalFit | None


@dataclass(frozen=True, eq=False)
class _Bottom:
    """A mean curve and the fit to its bottom."""

    curve: MeanCurve
    fit: LocalFit | None
    status: Status

    @property
    def noise(self) -> float:
        """Variance (nats**2) of a run beside its seed's own level, as the slope at the minimum sees it; NaN if unseen.

        Only values that all seeds ran say something about it.
        """
        assert self.fit is not None
        curve = self.curve
        fitted = curve.values[self.fit.columns]
        whole = np.isin(fitted, curve.columns)
        slope = (self.fit.gradient(np.array([self.fit.vertex])) @ self.fit.maps)[0, whole]
        if len(curve.rows) < 2:
            return math.nan
        # no difference is left to see noise in: that of the whole curve stands in for it
        if len(slope) < 2:
            return residual_variance(curve.cell.losses[np.ix_(curve.rows, curve.columns)])[0]
        # the weights of the whole fit sum to zero, those of some of its points need not: without this, what a seed adds
        # to all of its losses would count as noise
        slope = slope - slope.mean()
        losses = curve.cell.losses[np.ix_(curve.rows, fitted[whole])]
        return float((losses @ slope).var(ddof=1) / (slope @ slope))


def _bottom(cell: Cell) -> _Bottom:
    curve = MeanCurve.of(cell)
    return _Bottom(curve, *local_fit(cell.log2_values[curve.values], curve.means, curve.support))


def estimate(sweep: Sequence[Cell]) -> list[Optimum]:
    """The optimum of every cell, with intervals whose noise is estimated over all cells of the sweep.

    The interval holds the values at which the slope of the fitted curve is within Student's t of zero (Fieller 1954).
    The slope's variance is that of its mean over seeds, which takes out what a seed adds to all losses alike and keeps
    the correlation between values, plus that of the misfit that the residuals of the mean curve show. Cells of the same
    losses, as parametrizations have them where they agree, count once.
    """
    # dense cells are the same runs under several names; counted again, they would pretend to confirm each other
    losses = [(cell.seeds, cell.log2_values.tobytes(), cell.losses.tobytes()) for cell in sweep]
    different = list(dict(zip(losses, sweep, strict=True)).values())
    optima = dict(zip(dict.fromkeys(losses), _estimate(different), strict=True))
    return [optima[key] for key in losses]


def _estimate(sweep: Sequence[Cell]) -> list[Optimum]:
    bottoms = [_bottom(cell) for cell in sweep]
    noises = [math.nan if bottom.fit is None else bottom.noise for bottom in bottoms]
    several = [index for index, noise in enumerate(noises) if not math.isnan(noise)]
    variances = np.maximum([noises[index] for index in several], 1e-24)  # losses without noise are no error
    degrees_of_freedom = np.array([len(bottoms[index].curve.rows) - 1.0 for index in several])
    known = dict(zip(several, zip(*moderate(variances, degrees_of_freedom), strict=True), strict=True))
    bottoms = _with_misfit(bottoms)
    return [_optimum(bottom, *known.get(index, (math.nan, math.nan))) for index, bottom in enumerate(bottoms)]


def _with_misfit(bottoms: Sequence[_Bottom]) -> list[_Bottom]:
    """Lend fits of as many points as coefficients, which cannot show their misfit, the median of the others'."""
    shown = [bottom.fit for bottom in bottoms if bottom.fit is not None and bottom.fit.degrees_of_freedom > 0]
    if not shown:
        return list(bottoms)
    # not the mean: one curve that no cubic fits would widen every interval of the sweep
    lent, degrees_of_freedom = (
        float(np.median([fit.misfit for fit in shown])),
        float(sum(fit.degrees_of_freedom for fit in shown)),
    )
    return [
        replace(bottom, fit=replace(bottom.fit, misfit=lent, misfit_degrees_of_freedom=degrees_of_freedom))
        if bottom.fit is not None and bottom.fit.degrees_of_freedom == 0
        else bottom
        for bottom in bottoms
    ]


def _optimum(bottom: _Bottom, noise: float, degrees_of_freedom: float) -> Optimum:
    curve, fit, status = bottom.curve, bottom.fit, bottom.status
    log2_values = curve.cell.log2_values[curve.values]
    loss, where = float(curve.means[curve.best]), float(log2_values[curve.best])
    value = where if status is not Status.NOTHING else math.nan
    low = high = error = curvature = curvature_error = fitted = math.nan
    if fit is not None:
        value, curvature, fitted = fit.log2_value, fit.curvature, fit.loss
        if not math.isnan(noise):
            noise = noise / len(curve.rows)  # from one run to the mean over seeds
            error, curvature_error, degrees_of_freedom = _errors(fit, noise, degrees_of_freedom)
            low, high = _interval(fit, noise, student(degrees_of_freedom))
            # the last resort: a run that is clearly worse bounds the optimum whatever the fit believes (decision 17)
            if not math.isfinite(high - low):
                low, high = _bracket(bottom, low, high, noise, degrees_of_freedom)
            status = Status.FIT if math.isfinite(low) and math.isfinite(high) else Status.FLAT
    elif status is Status.EDGE:
        low, high = beside_edge(curve)
    return Optimum(
        log2_value=value,
        low=low,
        high=high,
        standard_error=error,
        degrees_of_freedom=float(degrees_of_freedom),
        curvature=curvature,
        curvature_error=curvature_error,
        fitted_loss=fitted,
        loss=loss,
        grid_log2_value=where if status is not Status.NOTHING else math.nan,
        parabola=parabola_vertex(log2_values, curve.means, curve.support),
        status=status,
        seeds=tuple(curve.cell.seeds[row] for row in curve.rows),
        curve=fit,
    )


def _variances(fit: LocalFit, weights: Floats, noise: float) -> Floats:
    """Variances of sums of losses with ``weights``, (..., points); ``noise`` is that of a mean over all seeds."""
    return np.asarray((weights**2 * (noise / fit.support + fit.misfit * fit.doubt)).sum(axis=-1))


def _errors(fit: LocalFit, noise: float, degrees_of_freedom: float) -> tuple[float, float, float]:
    """Standard errors of the minimum and of the curvature there, to first order, and their degrees of freedom.

    Noise and misfit are known with different degrees of freedom; those of their sum follow Welch and Satterthwaite, but
    are never more than those of the noise, since residuals of neighbouring points go together.
    """
    at = np.array([fit.vertex])
    slope, bend = ((fit.gradient(at, order) @ fit.maps)[0] for order in (1, 2))
    # the curvature errs by its own noise and because the minimum moves to where it is another; both come from the same
    # losses, so their weights are added before they are squared
    third = float((fit.gradient(at, 3) @ fit.coefficients)[0])
    moved = slope / fit.curvature
    variance, curvature = _variances(fit, np.stack([moved, bend - third * moved]), noise)
    by_noise = float((moved**2 / fit.support).sum()) * noise
    by_misfit = float(variance) - by_noise
    together = float(variance) ** 2 / (by_noise**2 / degrees_of_freedom + by_misfit**2 / fit.misfit_degrees_of_freedom)
    return math.sqrt(variance), math.sqrt(curvature), min(degrees_of_freedom, together)


def _interval(fit: LocalFit, noise: float, half_width: float) -> tuple[float, float]:
    """Where the slope is within ``half_width`` standard errors of zero; infinite where the window ends first."""
    steps = np.linspace(0, 1, 101)  # between two of them the end is interpolated
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


def _bracket(bottom: _Bottom, low: float, high: float, noise: float, degrees_of_freedom: float) -> tuple[float, float]:
    """Close an interval's open ends at points that are clearly worse than the best one, if there are any.

    A loss curve falls and then rises: its minimum is not on the far side of such a point.
    """
    assert bottom.fit is not None
    curve = bottom.curve
    worse = clearly_worse(curve, noise * len(curve.rows), degrees_of_freedom)  # back to the noise of one run
    best = float(curve.cell.log2_values[curve.values[curve.best]])
    nearest, farthest = sorted((best, bottom.fit.log2_value))
    if low == -math.inf:
        low = float(worse[worse < nearest].max(initial=-math.inf))
    if high == math.inf:
        high = float(worse[worse > farthest].min(initial=math.inf))
    return low, high
