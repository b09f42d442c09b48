"""``smupar status NAME``: how far a sweep, a check or a study is, and who is at work on it. It changes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import console
from smupar_transfer.records import (
    MANIFEST_FILE,
    CoordinateStore,
    FailureStore,
    FileClaims,
    RunFailure,
    RunStore,
    read_manifest,
    result_names,
    trained_runs,
)
from smupar_transfer.reporting.number_format import loss
from smupar_transfer.sweeps.files import sweep_name
from smupar_transfer.sweeps.sharing import CLAIMS_FOLDER
from smupar_transfer.sweeps.sweep import COORDINATES
from smupar_transfer.theory import InputError, did_you_mean

STUDY_FILE = "study.db"


@dataclass(frozen=True)
class Worker:
    """Who is at work.

    Attributes:
        task: The run or the place in the plan that they are at.
        where: The machine and the process.
        begun: When they began, in seconds since 1970; None if that is not known.
    """

    task: str
    where: str
    begun: float | None


def run(config: DictConfig) -> None:
    """Print what is done, running, left and failed, and when it is expected to end.

    Raises:
        InputError: there is neither a result nor a study of that name.
    """
    results = Path(config.results_dir)
    if OmegaConf.is_missing(config, "sweep"):
        names = _names(results)
        there = f"name one: {', '.join(names)}" if names else f"there are none yet in {results}"
        raise InputError("sweep", "", "names neither a result nor a study", there)
    name = sweep_name(config.sweep)
    folder = results / name
    if config.storage is not None or (folder / STUDY_FILE).is_file():
        _study(folder, name, config.storage)
    elif (folder / MANIFEST_FILE).exists():
        _sweep(folder, name)
    else:
        names = _names(results)
        hint = did_you_mean(name, names, f"there are {', '.join(names) or 'none yet'}")
        raise InputError("sweep", name, f"has neither runs nor trials in {folder}", hint)


def _names(results: Path) -> list[str]:
    """The names of all results and studies in a folder, sorted."""
    studies = {path.name for path in results.glob("*") if (path / STUDY_FILE).is_file()}
    return sorted({*result_names(results), *studies})


def _sweep(folder: Path, name: str) -> None:
    manifest = read_manifest(folder)
    keys = set(manifest.keys)
    if manifest.kind == COORDINATES:
        checks = [record for record in CoordinateStore(folder) if record.key in keys]
        done, seconds = {record.key for record in checks}, [record.wall_seconds for record in checks]
    else:
        runs = [record for record in RunStore(folder) if record.key in keys]
        done, seconds = {record.key for record in runs}, [record.wall_seconds for record in trained_runs(runs)]
    claims = [claim for claim, alive in FileClaims(folder / CLAIMS_FOLDER).all() if alive and claim.name not in done]
    workers = [
        Worker(claim.name[:12], f"{claim.host}, process {_number(claim.process)}", claim.begun) for claim in claims
    ]
    # one that somebody is at is tried again: it counts as running
    failures = [item for item in FailureStore(folder) if item.key in keys - done - {claim.name for claim in claims}]
    left = len(keys) - len(done) - len(failures) - len(workers)
    command = COORDINATES if manifest.kind == COORDINATES else "sweep"
    _summary(name, "runs", (len(done), len(workers), max(0, left), len(failures)), "")
    _who("run", workers)
    _failed("run", [replace(item, key=item.key[:12]) for item in failures])
    _expect(f"smupar {command} {name}", seconds, left, workers, failed=bool(failures))


def _study(folder: Path, name: str, storage: str | None) -> None:
    from smupar_transfer.tuning.progress import read_only_url, study_progress

    progress = study_progress(storage or read_only_url(folder / STUDY_FILE), name)
    workers = [
        Worker(str(claim.ordinal), f"process {_number(claim.process)}", begun) for claim, begun in progress.running
    ]
    counts = (len(progress.seconds), len(workers), progress.left, len(progress.failures))
    best = "" if progress.best is None else f"; lowest validation loss {loss(progress.best)} nats"
    _summary(name, "trials", counts, best)
    _who("place", workers)
    _failed("training", progress.failures)
    _expect("smupar tune", progress.seconds, progress.left, workers, failed=bool(progress.failures))


def _summary(name: str, what: str, counts: tuple[int, int, int, int], more: str) -> None:
    done, running, left, failed = counts
    console.line(f"{name}: {done} {what} done, {running} running, {left} left, {failed} failed{more}")


def _who(task: str, workers: Sequence[Worker]) -> None:
    if workers:
        rows = [[item.task, item.where, "" if item.begun is None else _clock(item.begun)] for item in workers]
        console.terminal().print(console.table("running", [task, "where", "since"], rows))


def _failed(task: str, failures: Sequence[RunFailure]) -> None:
    if failures:
        rows = [[item.key, item.host, _clock(item.ended), item.reason] for item in failures]
        console.terminal().print(console.table("failed", [task, "machine", "since", "why"], rows))


def _expect(command: str, seconds: Sequence[float], left: int, workers: Sequence[Worker], *, failed: bool) -> None:
    """Print when all will be done, if those who are at work go on."""
    if left + len(workers) == 0:
        console.line(f"nothing is left but what failed: {command} tries it again" if failed else "nothing is left")
    elif not workers:
        console.line(f"nobody is at work: {command} goes on")
    elif not seconds:
        console.line("expected end: not known before something is done")
    else:
        now, mean = time.time(), sum(seconds) / len(seconds)
        # who has taken longer than the mean may end at any moment, and is not expected in the past
        rest = sum(max(0.0, mean - max(0.0, now - (worker.begun or now))) for worker in workers)
        wait = (left * mean + rest) / len(workers)
        told = f"in {console.seconds(wait)}, at {_clock(now + wait)}"
        console.line(f"expected end: {told} (a mean of {console.seconds(mean)} each, {len(workers)} at work)")


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _number(process: str) -> str:
    return process.rpartition("/")[0].rpartition("/")[2] or "unknown"
