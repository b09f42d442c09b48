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
class Batch:
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
    """A batch and what one of its runs takes, in seconds."""

    batch: Batch
    estimate: Estimate
    step_seconds: float
    run_seconds: float


@dataclass(frozen=True)
class Price:
    """What runs take on this machine, one at a time.

    Attributes:
        batches: All runs.
        source: Where the times come from, in words.
    """

    batches: tuple[Priced, ...]
    source: str

    @property
    def seconds_left(self) -> float:
        """Of the runs that are to be trained."""
        return sum(item.run_seconds * item.batch.missing for item in self.batches)

    @property
    def seconds_anew(self) -> float:
        """Of all, as if none had a record."""
        return sum(item.run_seconds * item.batch.trainings for item in self.batches)


def comparable(records: Iterable[RunRecord], execution: Execution) -> dict[str, RunRecord]:
    """Records, by key, whose times tell how long such a run takes here: same machine, threads and backend.

    A name without processor numbers and cores, as records of earlier versions have it, fits more machines than one.
    """
    here = machine_name(execution.device), execution.device, execution.threads
    return {
        record.key: record
        for record in records
        for made in [record.environment]
        if not record.diverged
        and (made.machine, made.device, made.threads) == here
        and made.backend.partition(":")[0] == execution.backend
    }


def group(planned: Sequence[RunSpec], missing: set[str], timed: dict[str, RunRecord]) -> list[Batch]:
    """Gather runs whose cost is the same.

    Args:
        planned: all runs.
        missing: keys of those that are to be trained.
        timed: records, by key, that tell how long a run takes here.
    """
    groups: dict[tuple[object, ...], list[RunSpec]] = {}
    for spec in planned:
        budget = replace(spec.budget, warmup_steps=0)
        groups.setdefault((spec.model, spec.sparsity, budget, spec.precision), []).append(spec)
    return [
        Batch(
            spec=members[0],
            runs=len(members),
            trainings=len(set(map(computation, members))),
            missing=sum(member.key in missing for member in members),
            records=tuple(timed[member.key] for member in members if member.key in timed),
        )
        for members in groups.values()
    ]


def price(batches: Sequence[Batch], data: DataRequest, execution: Execution) -> Price:
    """What a run of each batch takes: by its records if there are any, else by calibration and a few real steps."""
    estimates = [estimate_step(batch.spec, execution) for batch in batches]
    unknown = [batch.spec for batch in batches if not batch.records]
    measured = None
    sources = [f"{sum(len(batch.records) for batch in batches)} records"] if len(unknown) < len(batches) else []
    if unknown:
        smallest = min(unknown, key=lambda spec: spec.model.width)
        measured = measure_steps(smallest, load(data), execution)
        sources.append(f"calibrated layers and {measured.spec.budget.steps} steps at width {measured.spec.model.width}")
    priced = []
    for batch, estimate in zip(batches, estimates, strict=True):
        if measured is None or batch.records:
            step = statistics.median(record.step_seconds for record in batch.records)
            whole = statistics.median(record.wall_seconds for record in batch.records)
        else:
            step = step_seconds(batch.spec, estimate, measured)
            whole = run_seconds(batch.spec, step)
        priced.append(Priced(batch, estimate, step, whole))
    return Price(tuple(priced), "from " + ", and from ".join(sources))
