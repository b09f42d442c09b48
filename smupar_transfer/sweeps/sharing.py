"""Doing runs together with other commands that work in the same folder, on this machine or on others.

Each run is claimed before it is trained, so that it is trained by one at a time; records of others are taken up as they
appear, and runs whose command died are taken over. The command holds the claims, not its workers: a worker that dies is
replaced, and the run stays claimed meanwhile.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from smupar_transfer.launchers import LATER, Care, Later, run_available_jobs
from smupar_transfer.records import CoordinateRecord, FailureStore, FileClaims, RunFailure, RunRecord, RunSpec, Store
from smupar_transfer.records.claims import FileClaim

CLAIMS_FOLDER = "claims"
"""In the folder of a result."""
NEWS_SECONDS = 1.0
"""At least so long between two looks for records of others, each of which lists a folder."""
LONGEST_NEWS_SECONDS = 15.0
"""At most so long, where nothing new came for a while."""

Record = TypeVar("Record", RunRecord, CoordinateRecord)


class RunJob(Protocol):
    """A run as a worker gets it."""

    @property
    def spec(self) -> RunSpec:
        """What is run."""


Job = TypeVar("Job", bound=RunJob)


@dataclass(frozen=True)
class Crew:
    """Who carries out the runs of a command.

    Attributes:
        workers: The number of workers.
        launcher: The name of the launcher that starts them.
        waiting: Told, now and then, how many runs other commands are at when none is left for this one.
    """

    workers: int
    launcher: str
    waiting: Callable[[int], None]


class SharedRuns(Generic[Job, Record]):
    """Runs that are wanted, of which other commands may want some, too.

    Args:
        jobs: What is done for each of them, by what it is; in the order in which they are wanted.
        what_is: What a record is the outcome of, as in ``jobs``.
        store: Where records appear.
        known: The keys of the records that were there when these runs were found missing.
        failed_before: The keys of the failures that are none any more: these runs are tried again.
    """

    def __init__(
        self,
        jobs: Mapping[Hashable, Job],
        what_is: Callable[[Record], Hashable],
        store: Store[Record],
        known: Iterable[str],
        failed_before: Iterable[str],
    ) -> None:
        self._waiting: dict[Hashable, Job] = dict(jobs)
        self._of_key = {job.spec.key: what for what, job in jobs.items()}
        self._what_is: Callable[[Record], Hashable] = what_is
        self._store: Store[Record] = store
        self._read = set(known)
        self._failures, self._failed_before = FailureStore(store.folder), set(failed_before)
        self._mine: dict[Hashable, FileClaim] = {}
        self._news: list[Record | RunFailure] = []
        self._looked, self._pause = time.monotonic(), NEWS_SECONDS

    def outcomes(self, work: Callable[[Job], Record | RunFailure], crew: Crew) -> Iterator[Record | RunFailure]:
        """Carry out what is wanted, and yield what came of each, by whoever it was done."""
        with FileClaims(self._store.folder / CLAIMS_FOLDER) as claims:
            care: Care[Job, Record | RunFailure] = Care(given_up, self._is_deadly)
            run = run_available_jobs(work, self._jobs(claims), crew.workers, crew.launcher, care)
            with closing(run) as ended:
                for outcome in ended:
                    if not isinstance(outcome, Later):
                        self._note(outcome, claims)
                    elif not self._mine:
                        crew.waiting(len(self._waiting))
                    self._look()
                    yield from self._taken_news()
            yield from self._taken_news()

    def _jobs(self, claims: FileClaims) -> Generator[Job | Later, None, None]:
        while self._waiting.keys() - self._mine.keys():
            yield self._next(claims) or LATER

    def _next(self, claims: FileClaims) -> Job | None:
        """A run that nobody is at, claimed; those at which another command died come last: it may have died of them."""
        left: dict[str, Hashable] = {
            job.spec.key: what for what, job in self._waiting.items() if what not in self._mine
        }
        claimed: set[str] = claims.names()
        free: list[str] = [name for name in left if name not in claimed]
        if free and claimed - {claim.name for claim in self._mine.values()}:
            start = random.randrange(len(free))  # where others are at work, not all ask for the same
            free = free[start:] + free[:start]
        order: list[str] = free + [name for name in left if name in claimed]
        for name in order:
            # a look further down in this loop may have taken it up
            claim = claims.take(name) if left[name] in self._waiting else None
            if claim is None:
                continue
            if name in self._store or self._is_given_up(name):  # since the last look
                self._look(at_once=True)
                claims.release(claim)
                continue
            self._mine[left[name]] = claim
            return self._waiting[left[name]]
        return None

    def _note(self, outcome: Record | RunFailure, claims: FileClaims) -> None:
        """Take up what came of a run of this command."""
        what = self._of_key[outcome.key]
        self._read.add(outcome.key)
        if isinstance(outcome, RunFailure):
            self._failures.put(outcome)
            self._failed_before.discard(outcome.key)
        else:
            self._failures.drop(outcome.key)
        # last: whoever has the name next finds the outcome stored
        claims.release(self._mine.pop(what))
        self._take_up(what, outcome)

    def _look(self, *, at_once: bool = False) -> None:
        """See what others did: less and less often where nothing happens."""
        if not at_once and time.monotonic() - self._looked < self._pause:
            return
        before = len(self._news)
        new = self._store.keys() - self._read
        self._read |= new
        for key in sorted(new):
            record = self._store.get(key)
            self._take_up(self._what_is(record), record)
        for key in sorted(self._failures.keys() - self._failed_before):
            if key in self._of_key:
                self._take_up(self._of_key[key], self._failures.get(key))
        self._looked = time.monotonic()
        self._pause = NEWS_SECONDS if len(self._news) > before else min(2 * self._pause, LONGEST_NEWS_SECONDS)

    def _take_up(self, what: Hashable, outcome: Record | RunFailure) -> None:
        if self._waiting.pop(what, None) is not None:
            self._news.append(outcome)

    def _taken_news(self) -> list[Record | RunFailure]:
        news, self._news = self._news, []
        return news

    def _is_deadly(self, job: Job) -> bool:
        """Whether a process has died at a run of this command before."""
        return self._mine[self._of_key[job.spec.key]].deaths > 0 or job.spec.key in self._failed_before

    def _is_given_up(self, key: str) -> bool:
        return key not in self._failed_before and key in self._failures


def clear_claims(store: Store[Record]) -> None:
    """Remove claims on runs that have a record: their commands ended before they could, after they had stored it."""
    claims = FileClaims(store.folder / CLAIMS_FOLDER)
    for name in claims.names():
        if name in store:
            claims.clear(name)


def given_up(job: RunJob, reason: str) -> RunFailure:
    """The failure of a run."""
    return RunFailure(job.spec.key, reason, socket.gethostname(), time.time())
