"""Running many specifications: skip what exists, share the rest among workers, lose nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter
from pathlib import Path

from smupar_transfer.launchers import PROCESSES
from smupar_transfer.records import (
    CoordinateRecord,
    CoordinateStore,
    FailureStore,
    RunFailure,
    RunRecord,
    RunsFailedError,
    RunSpec,
    RunStore,
    lacks_memory,
    memory_reason,
)
from smupar_transfer.sweeps.equivalent_runs import computation
from smupar_transfer.sweeps.progress import Watch, Watcher, unwatched
from smupar_transfer.sweeps.sharing import Crew, SharedRuns, clear_claims, given_up
from smupar_transfer.theory import InputError
from smupar_transfer.training import DataRequest, Execution, Tracking, load, measure, run
from smupar_transfer.training.kernel_fallback import resolved

Elsewhere = Callable[[], Mapping[Hashable, RunRecord]]
"""Reads the records of other results, by what they compute."""
RunPlan = Callable[[Mapping[str, RunRecord]], Sequence[RunSpec]]
"""From records, by key, to all runs that are needed as far as these tell."""


@dataclass(frozen=True)
class RunContext:
    """How to run, and where records go.

    Attributes:
        data: The data to load.
        execution: How every run is carried out.
        folder: The folder of the result.
        workers: The number of processes.
        elsewhere: Gives the records of other results by what they compute, so that they are copied; it is asked only
            where something is missing.
        watch: Makes the watcher that is told how far the runs are.
        tracking: Who keeps the curves of the runs.
        launcher: The name of the launcher that starts the workers.
    """

    data: DataRequest
    execution: Execution
    folder: Path
    workers: int
    elsewhere: Elsewhere = dict
    watch: Watch = unwatched
    tracking: Tracking = field(default_factory=Tracking)
    launcher: str = PROCESSES

    def crew(self, watcher: Watcher) -> Crew:
        """Who carries out the runs."""
        return Crew(self.workers, self.launcher, watcher.waiting)


@dataclass(frozen=True)
class TrainJob:
    """One run in a worker process."""

    spec: RunSpec
    data: DataRequest
    execution: Execution
    folder: Path
    tracking: Tracking


def _job(spec: RunSpec, execution: Execution, context: RunContext) -> TrainJob:
    return TrainJob(spec, context.data, execution, context.folder, context.tracking)


def _train(job: TrainJob) -> RunRecord | RunFailure:
    try:
        record = run(job.spec, load(job.data), job.execution, tracking=job.tracking)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        # as where the kernel kills a worker: the other runs may well fit
        return given_up(job, memory_reason(error))
    RunStore(job.folder).put(record)
    return record


def _measure(job: TrainJob) -> CoordinateRecord | RunFailure:
    try:
        record = measure(job.spec, load(job.data), job.execution, job.tracking)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        return given_up(job, memory_reason(error))
    CoordinateStore(job.folder).put(record)
    return record


@dataclass(frozen=True)
class Todo:
    """What is planned, and what of it is left to do.

    Attributes:
        folder: The folder of the result.
        planned: All runs.
        exist: The keys of the planned runs that have a record.
        missing: The runs to train, one of those that compute the same.
        bound: What an adaptive sweep may come to, in words.
    """

    folder: Path
    planned: Sequence[RunSpec]
    exist: set[str]
    missing: Sequence[RunSpec]
    bound: str = ""

    @property
    def shared(self) -> int:
        """Runs without a record that need no training, because another run or result computes the same."""
        return len(self.planned) - len(self.exist) - len(self.missing)

    def __str__(self) -> str:
        sharing = f", {self.shared} compute the same as another run" if self.shared else ""
        tokens = sum(spec.budget.tokens for spec in self.missing)
        return (
            f"{len(self.planned)} runs{self.bound}, {len(self.exist)} of them exist in {self.folder}{sharing}\n"
            f"to do: {len(self.missing)} runs, {tokens:,} tokens"
        )


def what_to_do(
    folder: Path, planned: Sequence[RunSpec], records: Mapping[str, RunRecord], elsewhere: Elsewhere, bound: str = ""
) -> Todo:
    """What of the planned runs is to be trained; what other results have needs no training."""
    absent = [spec for spec in planned if spec.key not in records]
    known = {computation(record.spec) for record in records.values()} | elsewhere().keys() if absent else set()
    missing = [members[0] for what, members in by_computation(absent).items() if what not in known]
    return Todo(folder, planned, {spec.key for spec in planned} & records.keys(), missing, bound)


def train_missing(title: str, specs: Sequence[RunSpec], context: RunContext) -> list[RunRecord]:
    """Train those of ``specs`` that have no record in the folder; return the records of all, in their order."""
    return train_planned(title, lambda _: specs, len(specs), context)


def train_planned(
    title: str, plan: RunPlan, expected: int, context: RunContext, records: Mapping[str, RunRecord] | None = None
) -> list[RunRecord]:
    """Train what ``plan`` asks for and has no record, ask it again, and so on until nothing is missing.

    Args:
        title: The title of the progress bar.
        plan: What is to be trained, given the records so far. It never drops what it once asked for, while records only
            grow in number.
        expected: The number of runs in all, as far as one can tell beforehand.
        context: How to train, and where to store.
        records: The records of the folder, by key, where they have been read already.

    Returns:
        The records of all runs of the last plan, in its order.

    Raises:
        RunsFailedError: some runs were given up; all others have records.
    """
    store, failed_before = RunStore(context.folder), FailureStore(context.folder).keys()
    records = {record.key: record for record in store} if records is None else dict(records)
    failures: dict[str, RunFailure] = {}
    specs = plan(records)
    with context.watch(title, max(expected, len(specs)), sum(spec.key in records for spec in specs)) as watcher:
        # runs that were given up have no record either, and would be begun for ever
        while missing := [spec for spec in specs if spec.key not in records and spec.key not in failures]:
            for outcome in _round(missing, records, failed_before, context, watcher):
                if isinstance(outcome, RunFailure):
                    failures[outcome.key] = outcome
                    watcher.failed(outcome)
                else:
                    records[outcome.key] = outcome
                    watcher.finished(outcome)
            specs = plan(records)
            watcher.expect(max(expected, len(specs)))
        watcher.expect(len(specs))
    finish(store)
    if failures:
        raise RunsFailedError(list(failures.values()), len(specs))
    return [records[spec.key] for spec in specs]


def _round(
    missing: Sequence[RunSpec],
    existing: Mapping[str, RunRecord],
    failed_before: set[str],
    context: RunContext,
    watcher: Watcher,
) -> Iterator[RunRecord | RunFailure]:
    """What came of all that is missing, stored; of runs that compute the same one is trained."""
    store = RunStore(context.folder)
    known = set(existing)
    # this folder's own last: they count before those of other results
    trained = {**context.elsewhere(), **{computation(record.spec): record for record in existing.values()}}
    groups = by_computation(missing)
    for shared in groups.keys() & trained.keys():
        yield from _copies(trained[shared], groups.pop(shared), store)
    if not groups:
        return
    execution = resolved(context.execution)
    jobs = {what: _job(specs[0], execution, context) for what, specs in groups.items()}
    of_key = {job.spec.key: what for what, job in jobs.items()}
    runs = SharedRuns(jobs, _computation_of, store, known, failed_before)
    for outcome in runs.outcomes(_train, context.crew(watcher)):
        if isinstance(outcome, RunFailure):
            yield from (replace(outcome, key=spec.key) for spec in groups[of_key[outcome.key]])
            continue
        group = groups[_computation_of(outcome)]
        # a record of another command may be of a run that is not planned here and computes the same
        if any(spec.key == outcome.key for spec in group):
            yield outcome
        yield from _copies(outcome, (spec for spec in group if spec.key != outcome.key), store)


def _computation_of(record: RunRecord) -> Hashable:
    return computation(record.spec)


def by_computation(specs: Iterable[RunSpec]) -> dict[Hashable, list[RunSpec]]:
    """Runs, in their order, gathered by what they compute."""
    groups: dict[Hashable, list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault(computation(spec), []).append(spec)
    return groups


def other_trainings(folder: Path) -> Elsewhere:
    """Records of the results beside ``folder``, read when first asked for; those that cannot be read are left out."""

    @cache
    def read() -> dict[Hashable, RunRecord]:
        trainings: dict[Hashable, RunRecord] = {}
        for other in sorted(folder.parent.glob("*")):
            if other.is_dir() and other != folder:
                with contextlib.suppress(InputError):
                    trainings |= {computation(record.spec): record for record in RunStore(other)}
        return trainings

    return read


def _copies(record: RunRecord, specs: Iterable[RunSpec], store: RunStore) -> Iterator[RunRecord]:
    for spec in specs:
        origin = record.same_as or record.key  # a copy of a copy names the run that was trained
        copy = replace(record, key=spec.key, spec=spec, same_as=None if spec.key == origin else origin)
        store.put(copy)
        yield copy


def finish(store: RunStore | CoordinateStore) -> None:
    """Gather the records of a folder, and clear away what commands left of which the last moment was cut off."""
    clear_claims(store)
    # at the end: until then each run has a file of its own, which no other process writes
    store.compact()


def measure_missing(title: str, specs: Sequence[RunSpec], context: RunContext) -> None:
    """Measure the coordinates of those of ``specs`` that have no record in the folder.

    Raises:
        RunsFailedError: some runs were given up; all others have records.
    """
    store, failed_before = CoordinateStore(context.folder), FailureStore(context.folder).keys()
    existing = store.keys()
    missing = [spec for spec in specs if spec.key not in existing]
    # only where something is trained: this may build kernels (decision 6)
    execution = resolved(context.execution) if missing else context.execution
    jobs: dict[Hashable, TrainJob] = {spec.key: _job(spec, execution, context) for spec in missing}
    failures = []
    with context.watch(title, len(specs), len(specs) - len(missing)) as watcher:
        runs = SharedRuns(jobs, attrgetter("key"), store, existing, failed_before)
        for outcome in runs.outcomes(_measure, context.crew(watcher)):
            if isinstance(outcome, RunFailure):
                failures.append(outcome)
                watcher.failed(outcome)
            else:
                watcher.finished(outcome)
    finish(store)
    if failures:
        raise RunsFailedError(failures, len(specs))
