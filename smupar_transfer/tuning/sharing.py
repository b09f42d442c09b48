"""Doing the places of a plan together with other commands that are at work in the same study, on whatever machines.

Each place is claimed before it is trained, so that it is trained by one at a time; those of a command that died are
taken over. The command holds the claims, not its workers: a worker that dies is replaced, and the place stays claimed
meanwhile. A place at which workers die each time is written down in the study as given up, and the others go on.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import optuna

from smupar_transfer.launchers import LATER, Care, Later, run_available_jobs
from smupar_transfer.records import RunFailure
from smupar_transfer.records.liveness import this_process
from smupar_transfer.tuning.claims import TrialClaim, TrialClaims
from smupar_transfer.tuning.storage import patiently

FAILED = "failed"
"""First word of the attributes of a study that have a place each that was given up; the rest names the place."""


@dataclass(frozen=True)
class Crew:
    """Who carries out the places of a command.

    Attributes:
        workers: The number of workers.
        launcher: The name of the launcher that starts them.
    """

    workers: int
    launcher: str


@dataclass(frozen=True)
class PlaceEnd:
    """What came of a place that this command held.

    Attributes:
        claim: The claim on it.
        done: Whether it has an outcome.
        failure: Why it was given up, as a clause; empty if it was not.
    """

    claim: TrialClaim
    done: bool
    failure: str = ""


class SharedPlaces:
    """The places of a plan that are wanted, of which other commands may want some, too.

    Args:
        study: The study, whose attributes tell of places that were given up.
        claims: The claims on the places.
        name_of: The name of a place in messages and in the study.
        missing: The places without an outcome, in the order in which they are wanted, as far as is known when it is
            asked.

    Attributes:
        failures: What was given up by this command, or by another while it ran; by the name of the place.
    """

    def __init__(
        self,
        study: optuna.Study,
        claims: TrialClaims,
        name_of: Callable[[int], str],
        missing: Callable[[], Sequence[int]],
    ) -> None:
        self._study, self._claims, self._name_of, self._missing = study, claims, name_of, missing
        self._failed_before = patiently(partial(stored_failures, study))  # they are tried again
        self._mine: dict[int, TrialClaim] = {}
        self.failures: dict[str, RunFailure] = {}

    def run(self, work: Callable[[TrialClaim], PlaceEnd], crew: Crew) -> Generator[bool, None, None]:
        """Have places done until none is missing that was not given up.

        Args:
            work: Does a place; a function that can be pickled.
            crew: Who does them.

        Yields:
            After each place that ended, True. False, now and then, where others are at work on what is left.
        """
        care = Care(_given_up, self._is_deadly)
        jobs = run_available_jobs(work, self._jobs(), crew.workers, crew.launcher, care)
        # in this order: workers end before their places are released to others
        with self._claims.kept_alive(self._mine.values()), closing(jobs) as ended:
            for end in ended:
                if not isinstance(end, Later):
                    self._note(end)
                    yield True
                elif not self._mine:
                    self._look()
                    yield False

    def _jobs(self) -> Generator[TrialClaim | Later, None, None]:
        """Claims on places, as long as any is missing: one of this command's own may have to be done again."""
        while left := [place for place in self._missing() if self._name_of(place) not in self.failures]:
            yield self._next([place for place in left if place not in self._mine]) or LATER

    def _next(self, places: Sequence[int]) -> TrialClaim | None:
        claim = patiently(partial(self._claims.take, places, this_process())) if places else None
        if claim is None:
            return None
        self._mine[claim.ordinal] = claim
        self._look()
        if self._name_of(claim.ordinal) in self.failures:  # another command gave it up since the last look
            self._release(claim)
            return None
        return claim

    def _look(self) -> None:
        """See what other commands gave up."""
        stored = patiently(partial(stored_failures, self._study))
        for name in map(self._name_of, self._missing()):
            # a place that was given up anew has another time
            if name in stored and stored[name] != self._failed_before.get(name):
                self.failures[name] = stored[name]

    def _note(self, end: PlaceEnd) -> None:
        name = self._name_of(end.claim.ordinal)
        if end.failure:
            failure = RunFailure(name, end.failure, socket.gethostname(), time.time())
            self._store(name, failure)
            self.failures[name] = failure
        elif end.done and self._failed_before.pop(name, None) is not None:
            self._store(name, None)
        if end.done:
            del self._mine[end.claim.ordinal]  # the row stays, see TrialClaims.kept_alive
        else:
            # last: whoever has the place next finds that it was given up
            self._release(end.claim)

    def _release(self, claim: TrialClaim) -> None:
        patiently(partial(self._claims.release, claim))
        del self._mine[claim.ordinal]

    def _store(self, name: str, failure: RunFailure | None) -> None:
        value = failure and {"reason": failure.reason, "host": failure.host, "ended": failure.ended}
        patiently(partial(self._study.set_user_attr, f"{FAILED} {name}", value))

    def _is_deadly(self, claim: TrialClaim) -> bool:
        return claim.after_death or self._name_of(claim.ordinal) in self._failed_before


def _given_up(claim: TrialClaim, reason: str) -> PlaceEnd:
    return PlaceEnd(claim, done=False, failure=reason)


def place_name(ordinal: int) -> str:
    """What a place in the plan of a search is called, in messages and in the study."""
    return f"place {ordinal}"


def stored_failures(study: optuna.Study) -> dict[str, RunFailure]:
    """What was given up of a study and has no outcome since then, by the name of the place."""
    named = {name.partition(" "): value for name, value in study.user_attrs.items() if value is not None}
    return {
        name: RunFailure(name, value["reason"], value["host"], value["ended"])
        for (word, _, name), value in named.items()
        if word == FAILED
    }
