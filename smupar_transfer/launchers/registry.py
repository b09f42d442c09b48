"""Where jobs run, by name: one seam for processes of this machine, joblib, Ray, submitit, and what people register."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from smupar_transfer.launchers.jobs import Care, Later, Worker, here, on_workers
from smupar_transfer.launchers.other_engines import JoblibWorker, RayWorker, submit_with_submitit
from smupar_transfer.launchers.plugins import origin_of
from smupar_transfer.launchers.processes import ProcessWorker
from smupar_transfer.theory import OWN_NAME_HINT, InputError, did_you_mean

Job = TypeVar("Job")
JobResult = TypeVar("JobResult")

PROCESSES = "processes"
"""The launcher that needs nothing but this machine."""
StartWorker = Callable[[], Worker]
"""Starts a worker that a command gives jobs to and waits for."""
Submit = Callable[[Callable[[], int], int, Path], str]
"""Has a batch system run a function a number of times, with a folder for its files, and says what it submitted."""


@dataclass(frozen=True)
class Launcher:
    """A way to run jobs: one of the two.

    Attributes:
        start_worker: Starts a worker that the command gives jobs to and waits for.
        submit: Has whole commands run elsewhere, which find work by themselves; nothing waits for them.
    """

    start_worker: StartWorker | None = None
    submit: Submit | None = None


_LAUNCHERS: dict[str, Launcher] = {
    PROCESSES: Launcher(ProcessWorker),
    "joblib": Launcher(JoblibWorker),
    "ray": Launcher(RayWorker),
    "submitit": Launcher(submit=submit_with_submitit),
}


def launcher_names() -> list[str]:
    """All names that ``launcher=`` takes."""
    return list(_LAUNCHERS)


def register_launcher(name: str, start_worker: StartWorker | None = None, submit: Submit | None = None) -> None:
    """Make a launcher of one's own usable by name, as ``launcher=NAME``.

    Args:
        name: What it is chosen by.
        start_worker: Starts a worker (see ``Worker``); a class whose instances are workers does.
        submit: In the place of workers: has a batch system run a function so many times, which need not run at the same
            time nor all of them; gets a folder for its files, and returns a line on what it did.

    Raises:
        ValueError: there is another one of that name, or not exactly one of the two functions is given.
    """
    if (start_worker is None) == (submit is None):
        raise ValueError("a launcher either starts workers or submits commands")
    launcher = Launcher(start_worker, submit)
    known = _LAUNCHERS.setdefault(name, launcher)
    if origin_of(known.start_worker or known.submit) != origin_of(start_worker or submit):
        raise ValueError(f"there is another launcher {name!r} already")


def find_launcher(name: str) -> Launcher:
    """The launcher of a name.

    Raises:
        InputError: none has that name.
    """
    if name not in _LAUNCHERS:
        otherwise = f"there are {', '.join(launcher_names())}; {OWN_NAME_HINT}"
        raise InputError("launcher", name, "is no launcher", did_you_mean(name, launcher_names(), otherwise))
    return _LAUNCHERS[name]


def run_jobs(
    work: Callable[[Job], JobResult],
    jobs: Iterable[Job],
    workers: int,
    launcher: str = PROCESSES,
    failed: Callable[[Job, str], JobResult] | None = None,
) -> Generator[JobResult, None, None]:
    """Carry out jobs and yield their outcomes as they come.

    One worker of this machine means this process, in order. Otherwise ``work`` is a module's function and jobs can be
    pickled. A worker that dies (most often for its memory) is replaced, and its job is tried twice again. The first
    exception ends all; closing the iterator, or Ctrl-C, ends the workers at once. They end with this process, too,
    however it ends.

    Args:
        work: What is done with a job.
        jobs: The jobs, each taken when a worker is free for it, so that they may depend on outcomes.
        workers: The number of workers.
        launcher: The name of the launcher that starts workers.
        failed: Makes an outcome of a job whose worker died each time, and of the reason; without it, that is an error.

    Raises:
        InputError: ``workers`` is less than 1, there is no such launcher, it starts no workers, or its package is not
            installed; or a job was given up.
    """
    with closing(run_available_jobs(work, jobs, workers, launcher, Care(failed))) as outcomes:
        for outcome in outcomes:
            if not isinstance(outcome, Later):
                yield outcome


def run_available_jobs(
    work: Callable[[Job], JobResult],
    jobs: Iterable[Job | Later],
    workers: int,
    launcher: str = PROCESSES,
    care: Care[Job, JobResult] | None = None,
) -> Generator[JobResult | Later, None, None]:
    """As ``run_jobs``, where jobs come and go: ``LATER`` among the jobs means that there is none for now.

    Yields:
        Outcomes as they come, and now and then ``LATER``, so that a caller who waits can look around.
    """
    if workers < 1:
        raise InputError("workers", workers, "must be at least 1")
    start_worker = find_launcher(launcher).start_worker
    if start_worker is None:
        problem = "starts whole commands, which this one cannot wait for"
        raise InputError("launcher", launcher, problem, f"use launcher={PROCESSES}")
    rest, care = iter(jobs), care or Care()
    if launcher == PROCESSES:
        # two, to see whether there is more than one: a single job is done here, without waiting for a process to start
        first = list(itertools.islice(rest, 0 if workers == 1 else 2))
        rest = itertools.chain(first, rest)
        if workers == 1 or len(first) < 2:
            yield from here(work, rest, start_worker, care)
            return
    yield from on_workers(work, rest, workers, start_worker, care)
