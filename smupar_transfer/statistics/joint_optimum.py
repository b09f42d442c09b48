"""Loss over two hyperparameters at once, and where its joint minimum lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import Delaunay

from smupar_transfer.records import Design
from smupar_transfer.statistics.cell import Floats, Setup, apart, grouped
from smupar_transfer.statistics.curve_fit import SOFTNESS, WINDOW, Status
from smupar_transfer.statistics.labels import Setting, label
from smupar_transfer.statistics.variance import moderate, student
from smupar_transfer.statistics.varying import without_unit_scale

QUADRATIC = 6  # coefficients of a quadratic in two variables


@dataclass(frozen=True, eq=False)
class Surface(Setup):
    """Runs that differ in seed and in two swept hyperparameters only.

    Attributes:
        swept: The names of the two hyperparameters.
        log2_values: The log2 of the values of each, increasing, (first,) and (second,).
        seeds: The seeds in increasing order.
        losses: Validation losses in nats, (seeds, first, second); infinite where diverged, NaN where not run.
    """

    swept: tuple[str, str]
    log2_values: tuple[Floats, Floats]
    seeds: tuple[int, ...]
    losses: Floats

    @property
    def mean_losses(self) -> Floats:
        """Mean over seeds, (first, second); infinite where a seed diverged, NaN where one is missing."""
        return np.asarray(self.losses.mean(axis=0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class JointOptimum:
    """Minimum of a surface.

    Attributes:
        log2_values: The log2 of both hyperparameters there; the grid's best point unless ``status`` is FIT, NaN if
            nothing trained.
        low: The lower end of the 95 % interval of each by itself; NaN without a fit or with one seed.
        high: The upper end of that interval, likewise.
        covariance: The covariance of ``log2_values``, (2, 2), octaves squared; NaN as the intervals.
        radius: The radius of the joint 95 % region: all p with (p - log2_values)' covariance^-1 (p - log2_values) <=
            radius**2.
        loss: The mean validation loss at the grid's best point, nats.
        status: How the minimum was found, or why there is none.
    """

    log2_values: tuple[float, float]
    low: tuple[float, float]
    high: tuple[float, float]
    covariance: Floats
    radius: float
    loss: float
    status: Status

    def ellipse(self, points: int = 73) -> Floats:
        """Outline of the joint region, (points, 2); NaN where there is none."""
        if not np.isfinite(self.covariance).all():
            return np.full((points, 2), np.nan)
        angles = np.linspace(0, 2 * math.pi, points)
        circle = self.radius * np.stack([np.cos(angles), np.sin(angles)])
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray((vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)).T + self.log2_values)


def surfaces(runs: pd.DataFrame, design: Design) -> list[Surface]:
    """The surfaces of a table of runs, in the order of ``cells``.

    Args:
        runs: The table of runs, as ``runs_table`` makes it.
        design: The design of the sweep, with two swept hyperparameters.

    Raises:
        InputError: as ``cells``.
    """
    first, second = design.swept
    every_surface = []
    for settings, group in grouped(runs, design.swept):
        x, y = (np.unique(group[name].to_numpy(dtype=np.float64)) for name in (first, second))
        seeds = np.unique(group["seed"].to_numpy())
        losses = np.full((len(seeds), len(x), len(y)), np.nan)
        where = (
            np.searchsorted(seeds, group["seed"]),
            np.searchsorted(x, group[first]),
            np.searchsorted(y, group[second]),
        )
        losses[where] = group["validation_loss"].where(~group["diverged"], np.inf)
        name = str(group["parametrization"].iloc[0])
        axes = (np.log2(x), np.log2(y))
        every_surface.append(Surface(name, settings, (first, second), axes, tuple(int(seed) for seed in seeds), losses))
    return every_surface


@dataclass(frozen=True, eq=False)
class _Bowl:
    """A quadratic through the points near the minimum of a surface.

    Attributes:
        at: The log2 of both hyperparameters at its minimum, (2,).
        moves: The weights of the points' losses in ``at``, to first order, (2, points).
        losses: The losses of the points, (seeds, points).
        doubt: How little a point counts, as in ``LocalFit``, (points,).
        misfit: The variance (nats**2) that the residuals show at ``doubt`` 1, noise of the mean included.
    """

    at: Floats
    moves: Floats
    losses: Floats
    doubt: Floats
    misfit: float

    @property
    def noise(self) -> float:
        """Variance (nats**2) of a run beside its seed's own level, as both coordinates see it."""
        return float(((self.losses @ self.moves.T).var(axis=0, ddof=1) / (self.moves**2).sum(axis=1)).mean())


def _bowl(surface: Surface) -> tuple[_Bowl | None, Status, tuple[int, int]]:
    means = np.where(np.isfinite(surface.mean_losses), surface.mean_losses, np.inf)
    row, column = np.unravel_index(means.argmin(), means.shape)
    best = int(row), int(column)
    if not np.isfinite(means[best]):
        return None, Status.NOTHING, best
    around = (slice(max(best[0] - 1, 0), best[0] + 2), slice(max(best[1] - 1, 0), best[1] + 2))
    if means[around].shape != (3, 3) or not np.isfinite(means[around]).all():
        return None, Status.EDGE, best
    inside = means <= means[best] * (1 + WINDOW)
    inside[around] = True  # however high they lie: without them there may be too few points
    connected, _ = ndimage.label(inside, np.ones((3, 3)))  # a dip beyond higher points is no part of the valley
    i, j = np.nonzero(connected == connected[best])
    centre = np.array([surface.log2_values[0][best[0]], surface.log2_values[1][best[1]]])
    offsets = np.stack([surface.log2_values[0][i], surface.log2_values[1][j]]) - centre[:, None]
    bowl = _fit(offsets, surface.losses[:, i, j])
    if bowl is None or Delaunay(offsets.T).find_simplex(bowl.at) < 0:  # outside of the points that were run
        return None, Status.NOT_CONVEX, best
    return _Bowl(bowl.at + centre, bowl.moves, bowl.losses, bowl.doubt, bowl.misfit), Status.FIT, best


def _fit(offsets: Floats, losses: Floats) -> _Bowl | None:
    """Weighted least squares; None where it does not open upwards in every direction."""
    x, y = offsets
    means = losses.mean(axis=0)
    doubt = ((means - means.min()) / (SOFTNESS * means.min())) ** 2
    powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    weighted = powers.T / (1 + doubt)
    if len(x) < QUADRATIC or np.linalg.matrix_rank(powers) < QUADRATIC:
        return None
    maps = np.linalg.solve(weighted @ powers, weighted)
    _, b, c, d, e, f = maps @ means
    bend = np.array([[2 * d, e], [e, 2 * f]])
    if not (np.linalg.eigvalsh(bend) > 0).all():
        return None
    at = -np.linalg.solve(bend, np.array([b, c]))
    gradient = np.array([[0, 1, 0, 2 * at[0], at[1], 0], [0, 0, 1, 0, at[0], 2 * at[1]]])
    left = np.eye(len(x)) - powers @ maps
    squares = float(((left @ means) ** 2 / (1 + doubt)).sum())
    # what the weighted squares would come to at a misfit of 1, as the variance of a point grows with its doubt
    degrees_of_freedom = float((np.diag(left.T @ (left / (1 + doubt)[:, None])) * doubt).sum())
    misfit = squares / degrees_of_freedom if len(x) > QUADRATIC and degrees_of_freedom > 0 else 0.0
    return _Bowl(at, -np.linalg.solve(bend, gradient @ maps), losses, doubt, misfit)


def joint_optima(surfaces: Sequence[Surface]) -> list[JointOptimum]:
    """The joint minimum of every surface, with noise shared over all of them as in ``estimate``.

    Points with a missing or diverged seed do not enter. The quadratic has no skew, so the misfit that its residuals
    show is part of the interval, noise of the mean included.
    """
    bowls = [_bowl(surface) for surface in surfaces]
    several = [n for n, (bowl, _, _) in enumerate(bowls) if bowl is not None and len(surfaces[n].seeds) > 1]
    # losses without noise are no error, but have no logarithm either
    variances = np.array([max(bowl.noise, 1e-24) for n in several if (bowl := bowls[n][0]) is not None])
    degrees_of_freedom = np.array([2.0 * (len(surfaces[n].seeds) - 1) for n in several])  # two coordinates
    known = dict(zip(several, zip(*moderate(variances, degrees_of_freedom), strict=True), strict=True))
    return [_joint(surface, *bowls[n], *known.get(n, (math.nan, math.nan))) for n, surface in enumerate(surfaces)]


def _joint(
    surface: Surface, bowl: _Bowl | None, status: Status, best: tuple[int, int], noise: float, degrees_of_freedom: float
) -> JointOptimum:
    nothing = np.full((2, 2), np.nan)
    loss = math.inf if status is Status.NOTHING else float(surface.mean_losses[best])
    grid = np.array([axis[index] for axis, index in zip(surface.log2_values, best, strict=True)])
    # without a fit the best point of the grid stands in, and the status says so
    at = bowl.at if bowl is not None else np.full(2, np.nan) if status is Status.NOTHING else grid
    covariance, radius, half_widths = nothing, math.nan, np.full(2, np.nan)
    if bowl is not None and not math.isnan(noise):
        variances = noise / len(surface.seeds) + bowl.misfit * bowl.doubt
        covariance = (bowl.moves * variances) @ bowl.moves.T
        # 2 F(2, freedom) at 95 %, where F(2, m) has the closed form m / 2 (p**(-2 / m) - 1)
        radius = math.sqrt(degrees_of_freedom * (0.05 ** (-2 / degrees_of_freedom) - 1))
        half_widths = student(degrees_of_freedom) * np.sqrt(np.diag(covariance))
    low, high = at - half_widths, at + half_widths
    pair = [(float(values[0]), float(values[1])) for values in (at, low, high)]
    return JointOptimum(pair[0], pair[1], pair[2], covariance, radius, loss, status)


def surface_table(surfaces: Sequence[Surface], design: Design) -> pd.DataFrame:
    """``contours.csv``: one row a point of a surface, with its mean loss over ``seeds``."""
    rows: list[dict[str, Setting]] = []
    for surface, name in zip(surfaces, _labels(surfaces, design), strict=True):
        first, second = (f"log2_{swept}" for swept in surface.swept)
        for i, x in enumerate(surface.log2_values[0]):
            for j, y in enumerate(surface.log2_values[1]):
                losses = surface.losses[:, i, j]
                values = {first: float(x), second: float(y), "loss": float(losses.mean())}
                ran = int((~np.isnan(losses)).sum())
                rows.append({"family": name, "parametrization": surface.parametrization, **surface.settings, **values})
                rows[-1]["seeds"] = ran
    return without_unit_scale(pd.DataFrame(rows))


def joint_table(surfaces: Sequence[Surface], optima: Sequence[JointOptimum], design: Design) -> pd.DataFrame:
    """``joint_optimum.csv``: one row a surface."""
    rows: list[dict[str, Setting]] = []
    for surface, optimum, name in zip(surfaces, optima, _labels(surfaces, design), strict=True):
        row: dict[str, Setting] = {"family": name, "parametrization": surface.parametrization, **surface.settings}
        row |= {"seeds": len(surface.seeds), "status": str(optimum.status), "loss": optimum.loss}
        for n, swept in enumerate(surface.swept):
            row |= {f"log2_{swept}": optimum.log2_values[n], f"low_{swept}": optimum.low[n]}
            row[f"high_{swept}"] = optimum.high[n]
        rows.append(row)
    return without_unit_scale(pd.DataFrame(rows))


def _labels(surfaces: Sequence[Surface], design: Design) -> list[str]:
    return [
        label(surface.parametrization, settings)
        for surface, settings in zip(surfaces, apart(surfaces, design), strict=True)
    ]
