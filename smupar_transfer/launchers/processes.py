"""Independent jobs on the processes of one machine."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from typing import TypeVar

from smupar_transfer.launchers.plugins import import_plugins
from smupar_transfer.theory import InputError

Job = TypeVar("Job")
JobResult = TypeVar("JobResult")

ENDING_SECONDS = 5.0
"""For processes that were told to end."""


def run_jobs(work: Callable[[Job], JobResult], jobs: Iterable[Job], workers: int) -> Generator[JobResult, None, None]:
    """Carry out jobs and yield their outcomes as they come.

    One worker means this process, in order. More mean fresh processes (never forks: torch's thread pools do not
    survive them), so ``work`` is a module's function and jobs can be pickled. The first exception ends all; closing the
    iterator, or Ctrl-C, ends the processes at once. They end with this process, too, however it ends.

    Args:
        work: What is done with a job.
        jobs: The jobs, each taken when a worker is free for it, so that they may depend on outcomes.
        workers: The number of processes.

    Raises:
        InputError: ``workers`` is less than 1, or a process was killed from outside (most often for its memory).
    """
    if workers < 1:
        raise InputError("workers", workers, "must be at least 1")
    if workers == 1:
        yield from map(work, jobs)
        return
    rest = iter(jobs)
    first = list(itertools.islice(rest, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    yield from _in_processes(work, itertools.chain(first, rest), workers)


def _in_processes(
    work: Callable[[Job], JobResult], jobs: Iterable[Job], workers: int
) -> Generator[JobResult, None, None]:
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    ended = False

    def start(job: Job) -> Future[JobResult]:
        with _interrupts_blocked():  # a pool starts its processes when it is given jobs
            return executor.submit(work, job)

    try:
        pending = {start(job) for job in itertools.islice(jobs, workers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            pending |= {start(job) for job in itertools.islice(jobs, workers - len(pending))}
        ended = True
    except BrokenProcessPool as error:
        raise InputError(
            "workers",
            workers,
            "one of the processes was killed",
            "if memory ran out, use fewer; run again to resume",
        ) from error
    finally:
        executor.shutdown(wait=ended, cancel_futures=True)
        if not ended:
            _end_children()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Have processes that are started here born deaf to Ctrl-C.

    A terminal sends it to all processes of a command. This one answers it and ends the others; one that is still
    importing when it comes would print a traceback of its own. It is delivered to this process after the block.
    """
    resource_tracker.ensure_running()  # a pool starts it with its first process, and doing so lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # blocked until here: what came meanwhile is dropped
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _end_with_parent()
    import_plugins()


def _end_with_parent() -> None:
    """Have this process end when the one that started it does: nobody else could tell it to, after a ``kill -9``."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _end_children() -> None:
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(ENDING_SECONDS)
        if child.is_alive():
            child.kill()
