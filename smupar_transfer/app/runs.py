"""Running many specifications: skip what exists, share the rest among workers, lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.app.show import loss, progress_bar
from smupar_transfer.records import RunRecord, RunSpec, RunStore
from smupar_transfer.training import DataRequest, Execution, load, run, run_jobs


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
    existing = store.keys()
    missing = [spec for spec in specs if spec.key not in existing]
    jobs = [TrainJob(spec, data, execution, folder) for spec in missing]
    with progress_bar(title, len(specs), len(specs) - len(missing)) as bar:
        for record in run_jobs(_train, jobs, workers):
            bar.advance(f"{record.spec.parametrization} loss {loss(record.validation_loss)}")
    store.compact()
    records = {record.key: record for record in store}
    return [records[spec.key] for spec in specs]
