"""Which runs a cell of a sweep needs to find its optimum: wide steps with one seed, then all seeds around the minimum.

A plan is a pure function of the losses: it is replayed from the first round, and later rounds see nothing but the
losses that earlier rounds asked for. Hence it is the same whatever else is known, and wherever a sweep was cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

GridPoint = tuple[int, int]
"""A point of the full grid, counted from 0, and a seed."""


@dataclass(frozen=True)
class CellSearch:
    """How one cell is searched.

    Attributes:
        points: The points of the full grid, evenly spaced.
        coarse: The number of points after which one is run first, with the first seed alone; at least 1.
        reach: The number of points on either side of the running optimum that are run with all seeds. With 0 the
            optimum never moves off the coarse points.
        seeds: The seeds; the first is the scout.
    """

    points: int
    coarse: int
    reach: int
    seeds: tuple[int, ...]


def planned(search: CellSearch, loss_at: Callable[[GridPoint], float | None]) -> list[GridPoint]:
    """All that was asked for so far, in order; nothing more will be once all of it has a loss.

    The optimum is where the mean loss is smallest. A point that the scout alone has seen is compared by the scout's
    loss, so that a lucky seed does not count. Around the optimum everything within reach is asked for; if the optimum
    has moved then, the same again, until it rests. Every round asks for something new, so there are at most as many as
    points.

    Args:
        search: How the cell is searched.
        loss_at: The final validation loss of a point, infinite where the run diverged, None where there is none yet.
    """
    asked: dict[GridPoint, float | None] = {}
    wanted = [(point, search.seeds[0]) for point in range(0, search.points, search.coarse)]
    best = (search.points - 1) // 2  # the middle, until a round says where the optimum is
    while any(grid_point not in asked for grid_point in wanted):
        asked |= {grid_point: loss_at(grid_point) for grid_point in wanted if grid_point not in asked}
        known = {grid_point: loss for grid_point, loss in asked.items() if loss is not None}
        optimum = _running_optimum(known, search, best)
        # a round is judged whole: else the order in which its runs end would decide what is asked for next
        if len(known) < len(asked) or optimum is None:
            break
        best = optimum
        window = range(max(0, best - search.reach), min(search.points, best + search.reach + 1))
        wanted = [(point, seed) for point in window for seed in search.seeds]
    return list(asked)


def _running_optimum(losses: Mapping[GridPoint, float], search: CellSearch, last: int) -> int | None:
    """The point with the smallest mean, of equal ones the nearest to the last optimum; None if nothing trained."""
    table: dict[int, dict[int, float]] = {}
    for (point, seed), loss in losses.items():
        table.setdefault(point, {})[seed] = loss
    # points of the scout alone are compared at its difference from the best point that all seeds ran
    whole = [row for row in table.values() if len(row) == len(search.seeds) and all(map(math.isfinite, row.values()))]
    reference = min(whole, key=lambda row: fmean(row.values()), default=dict.fromkeys(search.seeds, 0.0))
    means = {point: fmean(loss - reference[seed] for seed, loss in row.items()) for point, row in table.items()}
    # equal losses must not move the optimum to and fro, or a search would not rest
    best = min(means, default=None, key=lambda point: (means[point], abs(point - last), point))
    return best if best is not None and math.isfinite(means[best]) else None


def beside(search: CellSearch, position: float) -> list[GridPoint]:
    """The points on either side of a position of the grid, or the point there, with all seeds; nothing off the grid."""
    nearest = round(position)
    # values reach this through logarithms: one of the grid is off it by rounding
    exact = abs(position - nearest) < 1e-9
    points = [nearest] if exact else [math.floor(position), math.floor(position) + 1]
    if points[0] < 0 or points[-1] >= search.points:
        return []
    return [(point, seed) for point in points for seed in search.seeds]


def typical(search: CellSearch) -> list[GridPoint]:
    """What a cell of which nothing is known may ask for: of plans for a parabola at each point, the median in size."""

    def parabola(optimum: int) -> Callable[[GridPoint], float]:
        return lambda grid_point: float((grid_point[0] - optimum) ** 2)

    plans = [planned(search, parabola(optimum)) for optimum in range(search.points)]
    return sorted(plans, key=len)[len(plans) // 2]
