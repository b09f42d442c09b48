"""What runs take: by records of such runs made here, else by calibrated layers and a few measured steps."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.sweeps.equivalent_runs import computation
from smupar_transfer.training import (
    DataRequest,
    Estimate,
    Execution,
    estimate_step,
    load,
    machine_name,
    measure_steps,
    run_seconds,
    step_seconds,
)


@dataclass(frozen=True)
class RunGroup:
    """Runs that cost the same.

    Attributes:
        spec: One of the runs.
        runs: The number of runs in all.
        trainings: The number of these runs that compute something different.
        missing: The number of these runs that are to be trained.
        records: Records of these runs, made as the missing ones would be.
    """

    spec: RunSpec
    runs: int
    trainings: int
    missing: int
    records: tuple[RunRecord, ...] = ()


@dataclass(frozen=True)
class Priced:
    """A group of runs and what one of them takes, in seconds."""

    group: RunGroup
    estimate: Estimate
    step_seconds: float
    run_seconds: float


@dataclass(frozen=True)
class Price:
    """What runs take on this machine, one at a time.

    Attributes:
        groups: All runs.
        source: Where the times come from, in words.
    """

    groups: tuple[Priced, ...]
    source: str

    @property
    def seconds_left(self) -> float:
        """Seconds of the runs that are to be trained."""
        return sum(item.run_seconds * item.group.missing for item in self.groups)

    @property
    def seconds_anew(self) -> float:
        """Seconds of all runs, as if none had a record."""
        return sum(item.run_seconds * item.group.trainings for item in self.groups)


def comparable(records: Iterable[RunRecord], execution: Execution) -> dict[str, RunRecord]:
    """Records, by key, whose times tell how long such a run takes here: same machine, threads and backend.

    A name without processor numbers and cores, as records of earlier versions have it, fits more machines than one.
    """
    here = machine_name(execution.device), execution.device, execution.threads
    return {
        record.key: record
        for record in records
        for made in [record.environment]
        # one that diverged ended early; behind the colon stands what auto chose layer by layer
        if not record.diverged
        and (made.machine, made.device, made.threads) == here
        and made.backend.partition(":")[0] == execution.backend
    }


def group(planned: Sequence[RunSpec], missing: set[str], timed: dict[str, RunRecord]) -> list[RunGroup]:
    """Gather runs whose cost is the same.

    Args:
        planned: All runs.
        missing: The keys of those that are to be trained.
        timed: Records, by key, that tell how long a run takes here.
    """
    groups: dict[tuple[object, ...], list[RunSpec]] = {}
    for spec in planned:
        budget = replace(spec.budget, warmup_steps=0)  # a step of warm-up takes as long as any other
        groups.setdefault((spec.model, spec.sparsity, budget, spec.precision), []).append(spec)
    return [
        RunGroup(
            spec=members[0],
            runs=len(members),
            trainings=len(set(map(computation, members))),
            missing=sum(member.key in missing for member in members),
            records=tuple(timed[member.key] for member in members if member.key in timed),
        )
        for members in groups.values()
    ]


def price(groups: Sequence[RunGroup], data: DataRequest, execution: Execution) -> Price:
    """What a run of each group takes: by its records if there are any, else by calibration and a few real steps."""
    estimates = [estimate_step(group.spec, execution) for group in groups]
    unknown = [group.spec for group in groups if not group.records]
    measured = None
    sources = [f"{sum(len(group.records) for group in groups)} records"] if len(unknown) < len(groups) else []
    if unknown:
        smallest = min(unknown, key=lambda spec: spec.model.width)  # its steps are the quickest to measure
        measured = measure_steps(smallest, load(data), execution)
        sources.append(f"calibrated layers and {measured.spec.budget.steps} steps at width {measured.spec.model.width}")
    priced = []
    for group, estimate in zip(groups, estimates, strict=True):
        if measured is None or group.records:
            # medians: a run beside another job on the machine would move a mean
            step = statistics.median(record.step_seconds for record in group.records)
            whole = statistics.median(record.wall_seconds for record in group.records)
        else:
            step = step_seconds(group.spec, estimate, measured)
            whole = run_seconds(group.spec, step)
        priced.append(Priced(group, estimate, step, whole))
    return Price(tuple(priced), "from " + ", and from ".join(sources))
