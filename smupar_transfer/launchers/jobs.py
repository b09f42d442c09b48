"""Independent jobs, one after the other in this process, or side by side on workers that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

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


@dataclass(frozen=True)
class Care(Generic[Job, JobResult]):
    """What is done about jobs that kill the process that is at them.

    Attributes:
        failed: Makes an outcome of a job whose worker died each time, and of the reason; without it, that is an error.
        deadly: Whether a process is known to have died at a job before. Such a one gets a worker even where jobs are
            done in the command's own process, which must not die of it.
    """

    failed: Callable[[Job, str], JobResult] | None = None
    deadly: Callable[[Job], bool] = lambda _: False


def here(
    work: Callable[[Job], JobResult],
    jobs: Iterable[Job | Later],
    start_worker: Callable[[], Worker],
    care: Care[Job, JobResult],
) -> Iterator[JobResult | Later]:
    """Carry out jobs in this process, in order; those that may kill it, each on a worker of its own."""
    for job in jobs:
        if isinstance(job, Later):
            time.sleep(PAUSE_SECONDS)
            yield LATER
        elif care.deadly(job):
            crew: _Crew[Job, JobResult] = _Crew(work, 1, start_worker, care.failed)
            with closing(crew.outcomes(iter([job]))) as outcomes:
                yield from outcomes
        else:
            yield work(job)


def on_workers(
    work: Callable[[Job], JobResult],
    jobs: Iterable[Job | Later],
    workers: int,
    start_worker: Callable[[], Worker],
    care: Care[Job, JobResult],
) -> Generator[JobResult | Later, None, None]:
    """Carry out jobs on workers, each of which is started when there is a job for it; see ``run_jobs``."""
    return _Crew(work, workers, start_worker, care.failed).outcomes(iter(jobs))


class _Supply(Enum):
    """Whether there are jobs for workers without one."""

    MORE = "every worker has one"
    NONE_NOW = "none for now"
    ENDED = "no more"


class _Crew(Generic[Job, JobResult]):
    """Workers that come and go: one that dies is replaced by a new one, which tries its job again."""

    def __init__(
        self,
        work: Callable[[Job], JobResult],
        workers: int,
        start_worker: Callable[[], Worker],
        failed: Callable[[Job, str], JobResult] | None,
    ) -> None:
        self._work, self._workers, self._start_worker, self._failed = work, workers, start_worker, failed
        self._idle: list[Worker] = []
        self.busy: dict[Future[JobResult], _Attempt] = {}

    def outcomes(self, jobs: Iterator[Job | Later]) -> Generator[JobResult | Later, None, None]:
        """Carry out jobs; see ``run_jobs``."""
        try:
            state = _Supply.MORE
            while state is not _Supply.ENDED or self.busy:
                if state is not _Supply.ENDED:
                    state = self.fill(jobs)
                if state is _Supply.ENDED and not self.busy:
                    break  # nothing is waited for, so nobody needs to hear of it
                done = self.wait(state)
                if not done:
                    yield LATER
                for future in done:
                    yield self.outcome(future)
        except BaseException:  # closing the iterator is one
            self.kill()
            raise
        self.close()

    def fill(self, jobs: Iterator[Job | Later]) -> _Supply:
        """Give every worker a job, as long as there are any."""
        while len(self.busy) < self._workers:
            job: Any = next(jobs, _END)
            if job is _END:
                return _Supply.ENDED
            if job is LATER:
                return _Supply.NONE_NOW
            self._start(job)
        return _Supply.MORE

    def wait(self, supply: _Supply) -> set[Future[JobResult]]:
        """What ended, which is nothing where a job may turn up before anything ends."""
        pause = PAUSE_SECONDS if supply is _Supply.NONE_NOW else None
        if self.busy:
            return wait(self.busy, pause, FIRST_COMPLETED).done
        time.sleep(pause or 0)
        return set()

    def outcome(self, future: Future[JobResult]) -> JobResult | Later:
        """What came of a job; ``LATER`` if its worker died and it is tried again."""
        attempt = self.busy.pop(future)
        try:
            result = future.result()
        except BrokenExecutor as error:
            return self._after_death(attempt, error)
        except BaseException:  # what the job raised: its worker lives
            self._idle.append(attempt.worker)
            raise
        self._idle.append(attempt.worker)
        return result

    def close(self) -> None:
        """End workers that have no jobs."""
        for worker in self._idle:
            worker.close()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in [*self._idle, *(attempt.worker for attempt in self.busy.values())]:
            worker.kill()

    def _start(self, job: Job, number: int = 0) -> None:
        worker = self._idle.pop() if self._idle else self._start_worker()
        try:
            future = worker.submit(self._work, job)
        except BrokenExecutor:  # it died while it had nothing to do
            worker.kill()
            worker = self._start_worker()
            future = worker.submit(self._work, job)
        self.busy[future] = _Attempt(worker, job, number)

    def _after_death(self, attempt: _Attempt, error: BrokenExecutor) -> JobResult | Later:
        reason = attempt.worker.why_dead()
        attempt.worker.kill()
        if attempt.number < RETRIES:
            self._start(attempt.job, attempt.number + 1)
            return LATER
        if self._failed is None:
            raise _given_up(self._workers, reason) from error
        return self._failed(attempt.job, f"{reason}, {RETRIES + 1} times")


def _given_up(workers: int, reason: str) -> InputError:
    problem = f"a job was given up: {reason}, {RETRIES + 1} times"
    return InputError("workers", workers, problem, "if memory ran out, use fewer; run again to resume")
