"""Independent jobs on the processes of one machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from smupar_transfer.theory import InputError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


def run_jobs(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Carry out jobs and yield their outcomes as they come.

    One worker means this process, in order. More mean fresh processes (never forks: torch's thread pools do not
    survive them), so ``work`` is a module's function and jobs can be pickled. The first exception ends all; closing the
    iterator, or Ctrl-C, ends the processes at once.

    Raises:
        InputError: ``workers`` is less than 1, or a process was killed from outside (most often for its memory).
    """
    if workers < 1:
        raise InputError("workers", workers, "must be at least 1")
    if workers == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    executor = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=multiprocessing.get_context("spawn"))
    ended = False
    try:
        for future in as_completed([executor.submit(work, job) for job in jobs]):
            yield future.result()
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
            for child in multiprocessing.active_children():
                child.terminate()
