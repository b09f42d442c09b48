"""Running many specifications: skip what exists, share the rest among workers, lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from smupar_transfer.app.show import loss, progress_bar
from smupar_transfer.records import CoordinateRecord, CoordinateStore, RunRecord, RunSpec, RunStore, Store
from smupar_transfer.training import DataRequest, Execution, load, measure, run, run_jobs


@dataclass(frozen=True)
class TrainJob:
    """One run in a worker process."""

    spec: RunSpec
    data: DataRequest
    execution: Execution
    folder: Path


def _train(job: TrainJob) -> RunRecord:
    record = run(job.spec, load(job.data), job.execution)
    RunStore(job.folder).put(record)
    return record


def _measure(job: TrainJob) -> CoordinateRecord:
    record = measure(job.spec, load(job.data), job.execution)
    CoordinateStore(job.folder).put(record)
    return record


def train_missing(
    title: str,
    specs: Sequence[RunSpec],
    data: DataRequest,
    execution: Execution,
    folder: Path,
    workers: int,
) -> list[RunRecord]:
    """Train those of ``specs`` that have no record in ``folder``; return the records of all, in their order."""
    store = RunStore(folder)
    jobs = [TrainJob(spec, data, execution, folder) for spec in specs]
    _do_missing(title, jobs, store, workers, _train, lambda record: f"loss {loss(record.validation_loss)}")
    records = {record.key: record for record in store}
    return [records[spec.key] for spec in specs]


def measure_missing(
    title: str,
    specs: Sequence[RunSpec],
    data: DataRequest,
    execution: Execution,
    folder: Path,
    workers: int,
) -> None:
    """Measure the coordinates of those of ``specs`` that have no record in ``folder``."""
    jobs = [TrainJob(spec, data, execution, folder) for spec in specs]
    _do_missing(title, jobs, CoordinateStore(folder), workers, _measure, lambda record: f"{record.wall_seconds:.1f} s")


R = TypeVar("R", RunRecord, CoordinateRecord)


def _do_missing(
    title: str,
    jobs: Sequence[TrainJob],
    store: Store[R],
    workers: int,
    work: Callable[[TrainJob], R],
    say: Callable[[R], str],
) -> None:
    existing = store.keys()
    missing = [job for job in jobs if job.spec.key not in existing]
    with progress_bar(title, len(jobs), len(jobs) - len(missing)) as bar:
        for record in run_jobs(work, missing, workers):
            bar.advance(f"{record.spec.parametrization} {say(record)}")
    store.compact()
