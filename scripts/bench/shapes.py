"""Smooth loss curves whose optimum is known, after cells of real sweeps, with the noise of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from smupar_transfer.statistics import Cell
from smupar_transfer.statistics.cell import Floats, levelled_means
from smupar_transfer.statistics.mean_curve import complete

VALLEY = 0.35  # nats above the smallest loss that shapes are fitted to


@dataclass(frozen=True)
class Shape:
    """A smooth curve of one real cell, its optimum at 0, and its noise.

    Attributes:
        source: the cell. loss: of log2 values. walk: variance per octave of a seed's random walk along the values.
        single: variance of a run at and below the optimum, nats**2; it grows fourfold an octave above.
    """

    source: Cell
    loss: Callable[[Floats], Floats]
    walk: float
    single: float


def exponentials(x: Floats, y: Floats) -> tuple[float, Callable[[Floats], Floats]]:
    """Optimum and curve of c + a exp(-k x) + b exp(l x), a and b positive, by least squares."""
    best: tuple[float, float, float, Floats] = (math.inf, 0.0, 0.0, np.zeros(3))
    for left in np.geomspace(0.05, 2.5, 30):
        for right in np.geomspace(0.05, 2.5, 30):
            basis = np.stack([np.ones_like(x), np.exp(-left * x), np.exp(right * x)], axis=1)
            coefficients = np.linalg.lstsq(basis, y, rcond=None)[0]
            squares = float(((basis @ coefficients - y) ** 2).sum())
            if coefficients[1] > 0 and coefficients[2] > 0 and squares < best[0]:
                best = (squares, left, right, coefficients)
    _, left, right, (c, a, b) = best
    optimum = math.log(a * left / (b * right)) / (left + right)
    return optimum, lambda at: c + a * np.exp(-left * at) + b * np.exp(right * at)


def hyperbola(x: Floats, y: Floats) -> tuple[float, Callable[[Floats], Floats]]:
    """Optimum and curve of c + b x + a sqrt((x - m)**2 + s**2), |b| < a, by least squares."""
    best: tuple[float, float, float, Floats] = (math.inf, 0.0, 0.0, np.zeros(3))
    for middle in np.linspace(x[0] - 1, x[-1] + 1, 60):
        for softness in np.geomspace(0.5, 6, 30):
            basis = np.stack([np.ones_like(x), x, np.hypot(x - middle, softness)], axis=1)
            coefficients = np.linalg.lstsq(basis, y, rcond=None)[0]
            squares = float(((basis @ coefficients - y) ** 2).sum())
            if abs(coefficients[1]) < coefficients[2] and squares < best[0]:
                best = (squares, middle, softness, coefficients)
    _, middle, softness, (c, b, a) = best
    optimum = middle - b * softness / math.sqrt(a * a - b * b)
    return optimum, lambda at: c + b * at + a * np.hypot(at - middle, softness)


def morse(x: Floats, y: Floats) -> tuple[float, Callable[[Floats], Floats]]:
    """Optimum and curve of c + a (1 - exp(-k (x - m)))**2, a positive and k of either sign, by least squares."""
    best: tuple[float, float, float, Floats] = (math.inf, 0.0, 0.0, np.zeros(2))
    for middle in np.linspace(x[0] - 1, x[-1] + 1, 80):
        for rate in (*np.geomspace(0.03, 1.0, 20), *-np.geomspace(0.03, 1.0, 20)):
            basis = np.stack([np.ones_like(x), (1 - np.exp(-rate * (x - middle))) ** 2], axis=1)
            coefficients = np.linalg.lstsq(basis, y, rcond=None)[0]
            squares = float(((basis @ coefficients - y) ** 2).sum())
            if coefficients[1] > 0 and squares < best[0]:
                best = (squares, middle, rate, coefficients)
    _, middle, rate, (c, a) = best
    return middle, lambda at: c + a * (1 - np.exp(-rate * (at - middle))) ** 2


FORMS = {"exponentials": exponentials, "hyperbola": hyperbola, "morse": morse}


def shapes(sweep: Sequence[Cell], form: str) -> list[Shape]:
    """A shape per cell whose smallest mean loss is not at the edge of its grid."""
    every_shape = []
    for cell in sweep:
        rows, columns = complete(cell)
        means = levelled_means(cell.losses[rows])
        means = np.where(np.isfinite(means), means, np.nan)
        keep = means < np.nanmin(means) + VALLEY
        if int(np.nanargmin(means)) in (0, len(means) - 1) or keep.sum() < 5 or len(rows) < 2:
            continue
        optimum, loss = FORMS[form](cell.log2_values[keep], means[keep])
        noisy = columns[keep[columns] & np.isfinite(cell.losses[np.ix_(rows, columns)]).all(axis=0)]
        walk, single = _noise(cell.log2_values[noisy] - optimum, cell.losses[np.ix_(rows, noisy)])
        every_shape.append(Shape(cell, _centred(loss, optimum), walk, single))
    return every_shape


def _centred(loss: Callable[[Floats], Floats], optimum: float) -> Callable[[Floats], Floats]:
    return lambda u: loss(u + optimum)


def _noise(u: Floats, losses: Floats) -> tuple[float, float]:
    """Walk and single-run variance of a cell, from differences between its values (the seeds' own levels drop out)."""
    deviations = (losses - losses.mean(axis=0)) * math.sqrt(len(losses) / (len(losses) - 1))
    rows, seen = [], []
    for i in range(len(u)):
        for j in range(i + 1, len(u)):
            rows.append([u[j] - u[i], 4 ** max(0.0, u[i]) + 4 ** max(0.0, u[j])])
            seen.append(float(((deviations[:, j] - deviations[:, i]) ** 2).mean()))
    basis, targets = np.array(rows), np.array(seen)
    weights = 1 / basis.sum(axis=1)  # pairs far above the optimum are the noisiest
    walk, single = np.linalg.lstsq(basis * weights[:, None], targets * weights, rcond=None)[0]
    if walk <= 0 or single <= 0:  # too few seeds to tell the two apart: halves
        walk = single = float((targets * weights).sum() / (basis.sum(axis=1) * weights).sum())
    return float(walk), float(single)
