"""Independent jobs, in this process or in others."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smupar_transfer.launchers import LATER, Care, Later, register_launcher, registry, run_available_jobs, run_jobs
from smupar_transfer.launchers import jobs as jobs_module
from smupar_transfer.launchers.processes import ProcessWorker
from smupar_transfer.theory import InputError, parametrization

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

def tell_and_wait(job):
    print(os.getpid(), flush=True)
    time.sleep(60)

def die_once(path):
    if path and not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), 9)
    return path

def die(job):
    if job == "deadly":
        os.kill(os.getpid(), 9)
    return job

def begin(job):
    what, path = job.split()
    if what == "wait":
        with open(Path(path).parent / "begun", "a") as file:
            file.write("wait\\n")
        wait_for(path)
    elif not Path(path).exists():
        wait_for(Path(path).parent / "begun")
        Path(path).touch()
        os.kill(os.getpid(), 9)
    return job

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
    before = multiprocessing.active_children()  # of other tests, whose engines may keep workers for a while
    module = importlib.import_module(name)
    module.others = before  # type: ignore[attr-defined]
    yield module
    assert left_behind(before) == []


def left_behind(before: Sequence[BaseProcess] = (), seconds: float = 20) -> list[BaseProcess]:
    """Children of this process that were not there before and do not end."""
    deadline = time.monotonic() + seconds
    while left := [child for child in multiprocessing.active_children() if child not in before]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


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


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_may_depend_on_the_outcomes_before(jobs: ModuleType, workers: int) -> None:
    """As those of a search do, which are no more once everything has an outcome."""
    done: list[int] = []
    taken: list[int] = []

    def needed() -> Iterator[int]:
        while len(done) < 5:
            taken.append(len(done))
            yield len(done)

    for job, _ in run_jobs(jobs.process_id, needed(), workers):
        done.append(job)
    assert taken[:workers] == [0] * workers, "nothing was known when each worker took its first"
    assert all(job <= place for place, job in enumerate(done)), "no job knows of outcomes that come after it"
    assert workers > 1 or done == sorted(done)
    assert 5 <= len(done) < 5 + workers
    assert max(done) > 0
    assert sorted(done) == taken


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
    assert left_behind(jobs.others) == []


def test_a_killed_process_is_an_input_error_and_no_hang() -> None:
    before = multiprocessing.active_children()
    with pytest.raises(InputError, match=r"workers=2: a job was given up: .*killed by SIGKILL.*3 times; .*use fewer"):
        list(run_jobs(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL], workers=2))
    assert left_behind(before) == []


def test_a_dead_worker_is_replaced_and_its_job_tried_again(jobs: ModuleType, tmp_path: Path) -> None:
    """The death of one of them used to end all."""
    work = [str(tmp_path / "once"), "", "", ""]
    assert sorted(run_jobs(jobs.die_once, work, workers=2)) == sorted(work)
    assert (tmp_path / "once").exists()


def test_a_job_that_always_kills_its_worker_is_given_up_and_the_others_are_done(jobs: ModuleType) -> None:
    def failed(job: str, reason: str) -> str:
        return f"{job}: {reason}"

    outcomes = list(run_jobs(jobs.die, ["a", "deadly", "b", "c", "d"], workers=2, failed=failed))
    assert sorted(outcomes)[:4] == ["a", "b", "c", "d"]
    assert sorted(outcomes)[4].startswith("deadly: its process was killed by SIGKILL")
    assert sorted(outcomes)[4].endswith(", 3 times")


def test_a_job_that_killed_a_process_before_kills_no_command_that_does_its_jobs_itself(jobs: ModuleType) -> None:
    care: Care[str, str] = Care("{}: {}".format, lambda job: job == "deadly")
    work: list[str | Later] = ["a", "deadly", "b"]
    first, given_up, last = (it for it in run_available_jobs(jobs.die, work, 1, care=care) if it is not LATER)
    assert (first, last) == ("a", "b")
    assert str(given_up).startswith("deadly: its process was killed by SIGKILL")
    assert str(given_up).endswith(", 3 times")


def test_the_death_of_a_worker_ends_no_job_of_another(jobs: ModuleType, tmp_path: Path) -> None:
    """It would be trained a second time."""
    work = [f"wait {tmp_path / 'go'}", f"die {tmp_path / 'go'}"]
    assert sorted(run_jobs(jobs.begin, work, workers=2)) == sorted(work)
    assert (tmp_path / "begun").read_text().splitlines() == ["wait"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_may_come_later(jobs: ModuleType, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "PAUSE_SECONDS", 0.01)
    ticks = 0

    def some() -> Iterator[int | Later]:
        yield 0
        while ticks < 3:
            yield LATER
        yield 1

    done = []
    for outcome in run_available_jobs(jobs.process_id, some(), workers):
        if isinstance(outcome, Later):
            ticks += 1
        else:
            done.append(outcome[0])
    assert done == [0, 1]
    assert ticks >= 3


def test_a_launcher_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=r"^launcher=proceses: is no launcher; did you mean processes\?"):
        list(run_jobs(parametrization, ["sp"], 1, "proceses"))
    with pytest.raises(InputError, match=r"^launcher=submitit: starts whole commands"):
        list(run_jobs(parametrization, ["sp"], 1, "submitit"))


def test_a_launcher_of_ones_own_starts_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LAUNCHERS", dict(registry._LAUNCHERS))
    register_launcher("here", Here)
    register_launcher("here", Here)  # as when its module is imported again
    assert list(run_jobs(os.path.basename, ["a/b", "c/d"], 1, "here")) == ["b", "d"]
    with pytest.raises(ValueError, match="another launcher 'here'"):
        register_launcher("here", ProcessWorker)
    with pytest.raises(ValueError, match="either starts workers or submits"):
        register_launcher("nothing")


class Here:
    """A worker in this process."""

    def submit(self, work: Callable[[Any], Any], job: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(job))
        return future

    def why_dead(self) -> str:
        return ""

    def close(self) -> None:
        pass

    def kill(self) -> None:
        pass


def test_closing_the_iterator_ends_the_processes(jobs: ModuleType, tmp_path: Path) -> None:
    before = multiprocessing.active_children()  # of other tests, whose engines may keep workers for a while
    outcomes = run_jobs(jobs.wait_for, ["", str(tmp_path / "never"), str(tmp_path / "ever")], workers=2)
    assert next(outcomes) == ""
    assert len([child for child in multiprocessing.active_children() if child not in before]) == 2
    outcomes.close()
    assert left_behind(jobs.others) == []


START = """
from smupar_transfer.launchers import run_jobs
import {module} as jobs

if __name__ == "__main__":
    for _ in run_jobs(jobs.tell_and_wait, ["a", "b"], 2):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1])
def test_processes_end_with_the_one_that_started_them(jobs: ModuleType, tmp_path: Path, number: signal.Signals) -> None:
    """They used to wait for jobs for ever."""
    script = tmp_path / "start.py"
    script.write_text(START.format(module=jobs.__name__))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        assert all(alive(worker) for worker in workers)
        process.send_signal(number)
        process.wait()
        deadline = time.monotonic() + 20
        while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(alive(worker) for worker in workers)


SLOW_START = (
    "import os\n"
    + START
    + """
else:
    os.write(1, b"importing\\n")  # whole lines, of two processes at once
    jobs.wait_for({go!r})
"""
)


def test_ctrl_c_reaches_no_process_that_is_still_importing(jobs: ModuleType, tmp_path: Path) -> None:
    """It used to print a traceback of its own beside the one line of the command."""
    script = tmp_path / "start.py"
    script.write_text(SLOW_START.format(module=jobs.__name__, go=str(tmp_path / "go")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["importing\n"] * 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1, errors
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
