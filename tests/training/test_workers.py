"""Independent jobs, in this process or in others."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from smupar_transfer.theory import InputError, parametrization
from smupar_transfer.training import run_jobs

# Spawned processes import what they run by name, and a test module is not importable everywhere.
MODULE = "smupar_jobs_of_a_test"
JOBS = """
import os, time
from pathlib import Path

from smupar_transfer.theory import InputError

def process_id(job):
    return job, os.getpid()

def wait_for(path):
    deadline = time.monotonic() + 60
    while path and not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path

def sleep_or_fail(seconds):
    if seconds == 0:
        raise InputError("a key", 7, "a problem", "a remedy")
    time.sleep(seconds)
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    name = f"{MODULE}_{tmp_path.name}"  # of each test its own: a pool that was ended may still pickle what it was given
    (tmp_path / f"{name}.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module(name)
    assert ended(), "a process was left behind"


def ended(seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not multiprocessing.active_children()


def test_one_worker_is_this_process_in_order_and_on_demand() -> None:
    started: list[int] = []

    def work(job: int) -> tuple[int, int]:
        started.append(job)
        return job, os.getpid()

    outcomes = run_jobs(work, [3, 1, 2], workers=1)
    assert started == []
    assert next(outcomes) == (3, os.getpid())
    assert started == [3], "a job must not start before the outcome of the one before was taken"
    assert [job for job, _ in outcomes] == [1, 2]


def test_a_single_job_needs_no_process() -> None:
    assert list(run_jobs(lambda _: os.getpid(), ["job"], workers=4)) == [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_jobs_have_no_outcomes(workers: int) -> None:
    assert list(run_jobs(parametrization, [], workers)) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(InputError, match=f"workers={workers}"):
        list(run_jobs(parametrization, ["sp"], workers))


def test_several_workers_are_other_processes(jobs: ModuleType) -> None:
    outcomes = list(run_jobs(jobs.process_id, range(6), workers=2))
    assert sorted(job for job, _ in outcomes) == list(range(6))
    processes = {process for _, process in outcomes}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2


def test_outcomes_come_as_they_are_ready(jobs: ModuleType, tmp_path: Path) -> None:
    signal_file = tmp_path / "go"
    outcomes = run_jobs(jobs.wait_for, [str(signal_file), ""], workers=2)
    assert next(outcomes) == ""
    signal_file.touch()
    assert list(outcomes) == [str(signal_file)]


def test_an_exception_in_this_process_ends_all() -> None:
    started: list[str] = []

    def work(name: str) -> None:
        started.append(name)
        parametrization(name)

    with pytest.raises(InputError, match="parametrization=nonsense"):
        list(run_jobs(work, ["sp", "nonsense", "mup"], workers=1))
    assert started == ["sp", "nonsense"]


def test_an_exception_in_a_process_arrives_as_it_was_and_ends_all(jobs: ModuleType) -> None:
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        list(run_jobs(jobs.sleep_or_fail, [0, 120, 120, 120], workers=2))
    assert time.monotonic() - started < 60
    error = caught.value
    assert (error.key, error.value, error.problem, error.remedy) == ("a key", 7, "a problem", "a remedy")
    assert ended()


def test_a_killed_process_is_an_input_error_and_no_hang() -> None:
    with pytest.raises(InputError, match=r"workers=2: one of the processes was killed.*use fewer"):
        list(run_jobs(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL], workers=2))
    assert ended()


def test_closing_the_iterator_ends_the_processes(jobs: ModuleType, tmp_path: Path) -> None:
    outcomes = run_jobs(jobs.wait_for, ["", str(tmp_path / "never"), str(tmp_path / "ever")], workers=2)
    assert next(outcomes) == ""
    assert len(multiprocessing.active_children()) == 2
    outcomes.close()
    assert ended()
