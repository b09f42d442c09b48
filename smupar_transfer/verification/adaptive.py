"""Which runs a cell of a sweep needs to find its optimum: wide steps with one seed, then all seeds around the minimum.

A plan is a pure function of the losses: it is replayed from the first round, and later rounds see nothing but the
losses that earlier rounds asked for. Hence it is the same whatever else is known, and wherever a sweep was cut off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

Place = tuple[int, int]
"""A point of the full grid, counted from 0, and a seed."""


@dataclass(frozen=True)
class Search:
    """How one cell is searched.

    Attributes:
        points: of the full grid, evenly spaced.
        coarse: every so many points is run first, with the first seed alone; at least 1.
        reach: so many points on either side of the running optimum are run with all seeds. With 0 the optimum never
            moves off the coarse points.
        seeds: the first is the scout.
    """

    points: int
    coarse: int
    reach: int
    seeds: tuple[int, ...]


def planned(search: Search, losses: Mapping[Place, float]) -> list[Place]:
    """All that was asked for so far, in order; nothing more will be once all of it has a loss.

    The optimum is where the mean loss is smallest. A point that the scout alone has seen is compared by the scout's
    loss, so that a lucky seed does not count. Around the optimum everything within reach is asked for; if the optimum
    has moved then, the same again, until it rests. Every round asks for something new, so there are at most as many as
    points.

    Args:
        search: the cell.
        losses: final validation losses, infinite where a run diverged; places that were not asked for are ignored.
    """
    asked = dict.fromkeys((point, search.seeds[0]) for point in range(0, search.points, search.coarse))
    best = (search.points - 1) // 2
    while all(place in losses for place in asked):
        found = _running_optimum({place: losses[place] for place in asked}, search, best)
        if found is None:
            break
        best = found
        window = range(max(0, best - search.reach), min(search.points, best + search.reach + 1))
        wanted = [(point, seed) for point in window for seed in search.seeds]
        if all(place in asked for place in wanted):
            break
        asked.update(dict.fromkeys(wanted))
    return list(asked)


def _running_optimum(losses: Mapping[Place, float], search: Search, last: int) -> int | None:
    """The point with the smallest mean, of equal ones the nearest to the last optimum; None if nothing trained."""
    table: dict[int, dict[int, float]] = {}
    for (point, seed), loss in losses.items():
        table.setdefault(point, {})[seed] = loss
    whole = [row for row in table.values() if len(row) == len(search.seeds) and all(map(math.isfinite, row.values()))]
    reference = min(whole, key=lambda row: fmean(row.values()), default=dict.fromkeys(search.seeds, 0.0))
    means = {point: fmean(loss - reference[seed] for seed, loss in row.items()) for point, row in table.items()}
    best = min(means, key=lambda point: (means[point], abs(point - last), point))
    return best if math.isfinite(means[best]) else None


def typical(search: Search) -> list[Place]:
    """What a cell of which nothing is known may ask for: of plans for a parabola at each point, the median in size."""
    everywhere = [(point, seed) for point in range(search.points) for seed in search.seeds]
    plans = [
        planned(search, {place: float((place[0] - optimum) ** 2) for place in everywhere})
        for optimum in range(search.points)
    ]
    return sorted(plans, key=len)[len(plans) // 2]
