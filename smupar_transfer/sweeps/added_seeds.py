"""Which seeds a coordinate check adds where those planned leave a verdict open.

Looking at more and more seeds until an interval decides would let chance decide more often than intervals say. So there
are at most ``LOOKS`` looks at added seeds, and the intervals of these, each wider, hold for all of them at once. What
that amounts to is argued in docs/coordinates.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from smupar_transfer.records import CoordinateRecord, RunSpec
from smupar_transfer.statistics.coordinate_slopes import LOOKS
from smupar_transfer.statistics.coordinate_verdicts import Judgement, judge


@dataclass(frozen=True)
class Extension:
    """Seeds that a parametrization got, and why.

    Attributes:
        judgement: The judgement that was open without them.
        seeds: The seeds that were added at this look, ascending.
    """

    judgement: Judgement
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SeedPlan:
    """The runs that a check needs, as far as the records tell.

    Attributes:
        specs: All runs, planned ones first.
        added: Parametrization to the seeds that were added to it; those that need none are missing.
        extensions: How it came to that, one after the other.
    """

    specs: tuple[RunSpec, ...]
    added: dict[str, tuple[int, ...]] = field(default_factory=dict)
    extensions: tuple[Extension, ...] = ()


def numbers_of_seeds(planned: int, most: int) -> tuple[int, ...]:
    """At how many seeds a parametrization is judged until it is decided: (3, 12) -> (3, 6, 12).

    A single seed was fixed by a person, who gets no other.
    """
    if planned < 2 or planned >= most:
        return (planned,)
    # the middle one is as many times the first as the last is the middle one
    return tuple(sorted({planned, round(math.sqrt(planned * most)), most}))[: 1 + LOOKS]


def plan_seeds(
    planned: Sequence[RunSpec],
    records: Mapping[str, CoordinateRecord],
    axis: str,
    required: Collection[str],
    most: int,
) -> SeedPlan:
    """Judge the planned runs, then those with added seeds, and so on, as far as there are records.

    It is done once every run of ``specs`` has a record and it adds no more. Equal arguments give equal plans, so that a
    check that was interrupted goes on where it was.

    Args:
        planned: The runs of the check as its file has it.
        records: The records that there are, by key.
        axis: The scale along which the runs differ, "sparsity" or "width".
        required: The parametrizations that may get seeds.
        most: The number of seeds that a parametrization may have.
    """
    plan = SeedPlan(tuple(planned))
    for look in range(1, LOOKS + 1):
        # judged with some of them missing, the same check could end otherwise the next time
        if any(spec.key not in records for spec in plan.specs):
            break
        judgements = judge([records[spec.key] for spec in plan.specs], axis, plan.added)
        added, extensions = dict(plan.added), []
        for item in judgements:
            counts = numbers_of_seeds(len(_seeds(planned, item.parametrization)), most)
            if item.parametrization in required and item.seeds_would_decide and look < len(counts):
                before = added.get(item.parametrization, ())
                seeds = _new_seeds(planned, counts[look] - counts[0])
                added[item.parametrization] = seeds
                extensions.append(Extension(item, seeds[len(before) :]))
        if not extensions:
            break
        plan = SeedPlan((*planned, *_added_runs(planned, added)), added, (*plan.extensions, *extensions))
    return plan


def _seeds(planned: Sequence[RunSpec], name: str) -> set[int]:
    return {spec.seed for spec in planned if spec.parametrization == name}


def _new_seeds(planned: Sequence[RunSpec], count: int) -> tuple[int, ...]:
    """The next ones, the same for every parametrization, so that differences stay paired."""
    # beyond all planned ones, also of other parametrizations, which may have had more
    first = 1 + max(spec.seed for spec in planned)
    return tuple(range(first, first + count))


def _added_runs(planned: Sequence[RunSpec], added: Mapping[str, Sequence[int]]) -> list[RunSpec]:
    """At every scale of a parametrization, with every seed that was added to it."""
    return [
        replace(spec, seed=seed)
        for name, seeds in added.items()
        for seed in seeds
        # one seed for all, so that every scale is there once
        for spec in dict.fromkeys(replace(spec, seed=0) for spec in planned if spec.parametrization == name)
    ]
