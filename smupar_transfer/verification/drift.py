"""How far optima lie apart, honestly: the range of noisy numbers is larger than the range of what they estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smupar_transfer.verification.cells import Floats
from smupar_transfer.verification.noise import CONFIDENCE

STEPS = 16


@dataclass(frozen=True)
class Spread:
    """Range of several estimates.

    Attributes:
        value: largest less smallest. low, high: 95 % interval of the range of what they estimate; NaN without errors.
        noise: median range if there were no difference at all; NaN without errors.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    noise: float = math.nan


@dataclass(frozen=True)
class Slope:
    """Of a straight line through estimates, by least squares. low, high: 95 % interval; NaN without errors."""

    value: float
    low: float = math.nan
    high: float = math.nan


def spread(positions: Floats, errors: Floats | None) -> Spread:
    """The range of estimates and its interval.

    The interval is a test turned round: of all configurations that look like the estimates but are stretched to a range
    of r, it holds those r at which the range that was observed is neither among the smallest nor the largest 2.5 %.

    Args:
        positions: estimates, (estimates,).
        errors: of them, simulated, (draws, estimates); None where there are none.
    """
    value = float(np.ptp(positions))
    if errors is None:
        return Spread(value)
    shape = (positions - positions.mean()) / value if value > 0 else np.zeros(len(positions))
    tail = (1 - CONFIDENCE) / 2

    def quantile(width: float, level: float) -> float:
        return float(np.quantile(np.ptp(width * shape + errors, axis=1), level))

    most = value + float(np.ptp(errors, axis=1).max())
    low = 0.0 if quantile(0.0, 1 - tail) >= value else _crossing(lambda w: quantile(w, 1 - tail) - value, most)
    high = value if quantile(value, tail) >= value else _crossing(lambda w: quantile(w, tail) - value, most)
    return Spread(value, low, max(high, value), quantile(0.0, 0.5))


def _crossing(rising: Callable[[float], float], most: float) -> float:
    """Where a rising function of a width in [0, most] becomes positive, by bisection."""
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def slope(places: Floats, values: Floats, errors: Floats | None) -> Slope:
    """Least-squares slope of ``values`` on ``places`` (estimates,), and its interval from simulated ``errors``."""
    centred = places - places.mean()
    if not centred.any():
        return Slope(math.nan)
    weights = centred / (centred**2).sum()
    value = float(weights @ values)
    if errors is None:
        return Slope(value)
    half_width = float(np.quantile(np.abs(errors @ weights), CONFIDENCE))
    return Slope(value, value - half_width, value + half_width)
