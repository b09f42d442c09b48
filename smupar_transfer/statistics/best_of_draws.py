"""Which points may be the best of a search that draws some of them, and how likely: exactly, without drawing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from smupar_transfer.statistics.cell import Floats


@dataclass(frozen=True, eq=False)
class BestSets:
    """Which points may be the best of a search, and how likely.

    Attributes:
        members: Ranks of points, best first, a row a set, (sets, size).
        chances: The probability that the set is the best of k points drawn, (sets, lengths).
    """

    members: np.ndarray
    chances: Floats


@cache
def best_sets(points: int, size: int, lengths: tuple[int, ...]) -> BestSets:
    """The sets of ``size`` best of k points drawn without replacement from ``points``, for each k of ``lengths``.

    Ranks a < b < c are the best of k if the other k - size points come from the points - 1 - c that are worse: with
    probability C(points - 1 - c, k - size) / C(points, k).
    """
    members = np.array(list(combinations(range(points), size)))
    taken = np.array(lengths)
    worse = points - 1 - members[:, -1]
    chances = np.exp(_log_choose(worse[:, None], taken - size) - _log_choose(np.array(points), taken))
    return BestSets(members, chances)


def _log_choose(items: np.ndarray, taken: np.ndarray) -> Floats:
    """Logarithm of the binomial coefficient; minus infinity where there is no way to take so many."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, items.max() + 1)))])  # of factorials
    left = items - taken
    possible = left >= 0
    value = logs[items] - logs[np.where(possible, taken, 0)] - logs[np.where(possible, left, items)]
    return np.asarray(np.where(possible, value, -np.inf))
