"""Independent jobs, one after the other in this process, or side by side on workers that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol, TypeVar

from smupar_transfer.theory import InputError

Job = TypeVar("Job")
JobResult = TypeVar("JobResult")

RETRIES = 2
"""How often a job is tried again whose worker died."""
PAUSE_SECONDS = 0.5
"""Between two looks for a job, where there is none for now."""


class Later(Enum):
    """In the place of a job: there is none for now, ask again. In the place of an outcome: nothing ended meanwhile."""

    LATER = "later"


LATER: Final = Later.LATER
_END: Final = object()
"""In the place of a job: there are no more."""


class Worker(Protocol):
    """Does one job after the other, somewhere."""

    def submit(self, work: Callable[[Any], Any], job: object) -> Future[Any]:
        """Begin a job; where the worker dies of it, the future raises a ``BrokenExecutor``."""

    def why_dead(self) -> str:
        """Why the worker died, as a clause."""

    def close(self) -> None:
        """End the worker, which has no job."""

    def kill(self) -> None:
        """End the worker at once, whatever it is at."""


@dataclass(frozen=True)
class _Attempt:
    """A job that a worker is at.

    Attributes:
        worker: The worker.
        job: The job.
        number: How often the job was tried before.
    """

    worker: Worker
    job: Any
    number: int


def here(work: Callable[[Job], JobResult], jobs: Iterable[Job | Later]) -> Iterator[JobResult | Later]:
    """Carry out jobs in this process, in order."""
    for job in jobs:
        if isinstance(job, Later):
            time.sleep(PAUSE_SECONDS)
            yield LATER
        else:
            yield work(job)


def on_workers(
    work: Callable[[Job], JobResult],
    jobs: Iterable[Job | Later],
    workers: int,
    start_worker: Callable[[], Worker],
    failed: Callable[[Job, str], JobResult] | None,
) -> Generator[JobResult | Later, None, None]:
    """Carry out jobs on workers, each of which is started when there is a job for it; see ``run_jobs``.

    A worker that dies is replaced by a new one, which tries its job again.
    """
    rest, ended = iter(jobs), False
    idle: list[Worker] = []
    busy: dict[Future[JobResult], _Attempt] = {}

    def start(job: Job, number: int = 0) -> None:
        worker = idle.pop() if idle else start_worker()
        attempt = _Attempt(worker, job, number)
        try:
            busy[worker.submit(work, job)] = attempt
        except BrokenExecutor:  # it died while it had nothing to do
            worker.kill()
            attempt = _Attempt(start_worker(), job, number)
            busy[attempt.worker.submit(work, job)] = attempt

    def outcome(future: Future[JobResult], attempt: _Attempt) -> JobResult | Later:
        try:
            result = future.result()
        except BrokenExecutor as error:
            reason = attempt.worker.why_dead()
            attempt.worker.kill()
            if attempt.number < RETRIES:
                start(attempt.job, attempt.number + 1)
                return LATER
            if failed is None:
                raise _given_up(workers, reason) from error
            return failed(attempt.job, f"{reason}, {RETRIES + 1} times")
        except BaseException:  # what the job raised: its worker lives
            idle.append(attempt.worker)
            raise
        idle.append(attempt.worker)
        return result

    try:
        more = True
        while more or busy:
            pausing = False
            while more and not pausing and len(busy) < workers:
                job: Any = next(rest, _END)
                more, pausing = job is not _END, job is LATER
                if more and not pausing:
                    start(job)
            if not busy and pausing:
                time.sleep(PAUSE_SECONDS)
            done = wait(busy, PAUSE_SECONDS if pausing else None, FIRST_COMPLETED).done if busy else set()
            if pausing and not done:
                yield LATER
            for future in done:
                yield outcome(future, busy.pop(future))
        ended = True
    finally:
        for worker in [*idle, *(attempt.worker for attempt in busy.values())]:
            worker.close() if ended else worker.kill()


def _given_up(workers: int, reason: str) -> InputError:
    problem = f"a job was given up: {reason}, {RETRIES + 1} times"
    return InputError("workers", workers, problem, "if memory ran out, use fewer; run again to resume")
