"""How far optima lie apart, honestly: the range of noisy numbers is larger than the range of what they estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.variance import CONFIDENCE

STEPS = 16
"""Of bisection: what is left of a range, a 65,536th, is far less than noise leaves undecided."""


@dataclass(frozen=True)
class Spread:
    """Range of several estimates.

    Attributes:
        value: The largest estimate less the smallest.
        low: The lower end of the 95 % interval of the range of what they estimate; NaN without errors.
        high: The upper end of that interval; NaN without errors.
        noise: The median range if there were no difference at all; NaN without errors.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    noise: float = math.nan


@dataclass(frozen=True)
class Slope:
    """The slope of a straight line through estimates, by least squares.

    Attributes:
        value: The slope.
        low: The lower end of its 95 % interval; NaN without errors.
        high: The upper end of that interval; NaN without errors.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Errors:
    """The errors of several estimates.

    Attributes:
        drawn: Simulated errors, each an estimate less what it estimates, (draws, estimates).
        below: The factor by which an error may be larger where what is estimated lies below the estimate, (estimates,).
        above: The factor by which an error may be larger where what is estimated lies above the estimate, (estimates,).
    """

    drawn: Floats
    below: Floats
    above: Floats

    @property
    def widest(self) -> Floats:
        """The errors, larger by both factors."""
        return self.stretched(np.True_, np.True_)

    def stretched(self, upwards: np.ndarray | np.bool, downwards: np.ndarray | np.bool) -> Floats:
        """The errors, larger by ``above`` for estimates ``upwards``, and by ``below`` for those ``downwards``.

        An error below 0 means that the estimate lies too low: what is estimated is above it.
        """
        above, below = np.where(upwards, self.above, 1.0), np.where(downwards, self.below, 1.0)
        return np.asarray(self.drawn * np.where(self.drawn < 0, above, below))


def spread(estimates: Floats, errors: Errors | None) -> Spread:
    """The range of estimates and its interval.

    The interval is a test turned round: of all configurations that look like the estimates but are stretched to a range
    of r, it holds those r at which the range that was observed is neither among the smallest nor the largest 2.5 %. For
    its lower end estimates may err inwards as far as their own intervals reach, for its upper end outwards.

    Args:
        estimates: The estimates, (estimates,).
        errors: Their errors; None where there are none.
    """
    value = float(np.ptp(estimates))
    if errors is None:
        return Spread(value)
    # the pattern that was seen, at a range of 1: the test only asks how far it may be stretched (decision 18)
    shape = (estimates - estimates.mean()) / value if value > 0 else np.zeros(len(estimates))
    tail, upper = (1 - CONFIDENCE) / 2, shape > 0
    inward, outward = errors.stretched(~upper, upper), errors.stretched(upper, ~upper)

    def quantile(drawn: Floats, width: float, level: float) -> float:
        return float(np.quantile(np.ptp(width * shape + drawn, axis=1), level))

    # at such a width even the largest error that was drawn leaves more than the range that was seen
    most = value + max(float(np.ptp(drawn, axis=1).max()) for drawn in (inward, outward))
    low, high = 0.0, value
    # otherwise noise alone shows such a range often enough: the interval begins at 0
    if quantile(inward, 0.0, 1 - tail) < value:
        low = _crossing(lambda width: quantile(inward, width, 1 - tail) - value, most)
    if quantile(outward, value, tail) < value:
        high = max(value, _crossing(lambda width: quantile(outward, width, tail) - value, most))
    return Spread(value, low, high, quantile(errors.drawn, 0.0, 0.5))


def _crossing(rising: Callable[[float], float], most: float) -> float:
    """Where a rising function of a width in [0, most] becomes positive, by bisection."""
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def slope(positions: Floats, values: Floats, errors: Floats | None) -> Slope:
    """Least-squares slope of ``values`` over ``positions``, (estimates,) each, and its interval.

    ``errors`` are simulated ones of ``values``, (draws, estimates).
    """
    centred = positions - positions.mean()
    if not centred.any():
        return Slope(math.nan)
    weights = centred / (centred**2).sum()
    value = float(weights @ values)
    if errors is None:
        return Slope(value)
    # from the errors that were drawn, since each estimate has tails of its own (Student, of its own degrees of freedom)
    half_width = float(np.quantile(np.abs(errors @ weights), CONFIDENCE))
    return Slope(value, value - half_width, value + half_width)
