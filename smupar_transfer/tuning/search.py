"""The whole search: as many trials as are missing, on as many processes, of as many commands, as there are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from optuna.trial import FrozenTrial, TrialState

from smupar_transfer.launchers import PROCESSES, KeptWorkers, run_jobs
from smupar_transfer.records import RunSpec, SearchedOn
from smupar_transfer.records.liveness import this_process
from smupar_transfer.training import DataRequest, Execution, Tracking, load
from smupar_transfer.tuning.claims import TrialClaim
from smupar_transfer.tuning.objective import DIVERGED, Objective
from smupar_transfer.tuning.space import Range, SearchSpace
from smupar_transfer.tuning.storage import TROUBLE, close_storage, patiently, reachable
from smupar_transfer.tuning.study import (
    OPENING,
    PLANNED,
    SharedStudy,
    StudySettings,
    early_validation,
    fail_dead_trials,
    finished_trials,
    missing_ordinals,
    open_study,
    places,
    run_next_trial,
)

POLL_SECONDS = 0.5
"""Between two looks for a place, where other commands hold all that are left."""


@dataclass(frozen=True)
class Search:
    """What is searched, where and how.

    Attributes:
        settings: How the study searches.
        proxy: The run that is tuned.
        space: What is searched.
        data: What is learned from.
        execution: How trials are computed.
        tracking: Who keeps the curves of trials.
        on: Whether ``proxy`` is the proxy, or the target itself.
    """

    settings: StudySettings
    proxy: RunSpec
    space: SearchSpace
    data: DataRequest
    execution: Execution
    tracking: Tracking = field(default_factory=Tracking)
    on: SearchedOn = SearchedOn.PROXY


@dataclass(frozen=True)
class TrialOutcome:
    """One trial, as people and figures see it.

    Attributes:
        number: The number of the trial in the study.
        value: The validation loss in nats; None if the trial was pruned or diverged.
        outcome: How it ended: "complete", "pruned" or "diverged".
        hparams: The point, searched names only.
        last: The step and the loss (nats) of its last validation, also where it was pruned; None if there was none.
        seconds: How long it took from its start to its end; None if that is not known.
    """

    number: int
    value: float | None
    outcome: str
    hparams: dict[str, float]
    last: tuple[int, float] | None = None
    seconds: float | None = field(default=None, compare=False)


def describe(trial: FrozenTrial) -> TrialOutcome:
    """A finished trial in plain values."""
    outcome = "diverged" if trial.user_attrs.get(DIVERGED) else trial.state.name.lower()
    value = trial.value if trial.state is TrialState.COMPLETE else None
    last = max(trial.intermediate_values.items(), default=None)
    seconds = None if trial.duration is None else trial.duration.total_seconds()
    return TrialOutcome(trial.number, value, outcome, dict(trial.params), last, seconds)


def outcomes(search: Search) -> list[TrialOutcome]:
    """Finished trials of a study so far."""
    with reachable(search.settings.storage):
        return [describe(trial) for trial in finished_trials(shared_study(search).study)]


def run_search(
    search: Search,
    workers: int,
    waiting: Callable[[int], None] = lambda _: None,
    known: Sequence[TrialOutcome] | None = None,
    launcher: str = PROCESSES,
    kept: KeptWorkers | None = None,
) -> Generator[TrialOutcome, None, None]:
    """Have the trials run that a study lacks. Interrupt and start again at will, on as many machines as you like.

    Commands that search the same study share its plan: each place is claimed before it is trained, the last places are
    waited for, and those of a command that died are taken over.

    Args:
        search: What is searched, where and how.
        workers: The number of processes of this command, at least 1.
        waiting: Told, now and then, how many places other commands are at work on when none is left for this one.
        known: The finished trials that are not told again; all that there are now, if left out.
        launcher: The name of the launcher that starts the processes.
        kept: Keeps the processes for what comes after the search.

    Yields:
        Each trial of the study as it ends, of this command or another.
    """
    with reachable(search.settings.storage):
        shared, command = shared_study(search), this_process()
        finished = finished_trials(shared.study)
        if shared.study.user_attrs.get(PLANNED) != search.settings.n_trials:
            patiently(partial(shared.study.set_user_attr, PLANNED, search.settings.n_trials))
        seen = {trial.number for trial in (finished if known is None else known)}

        def jobs() -> Iterator[PlaceJob]:
            while missing := missing_ordinals(finished, search.settings):
                yield PlaceJob(search, command, missing)

        count = min(workers, max(1, len(missing_ordinals(finished, search.settings))))
        try:
            with contextlib.closing(run_jobs(_run_place, jobs(), count, launcher, kept=kept)) as ended:
                for ran in ended:
                    finished = patiently(partial(finished_trials, shared.study))
                    news = [trial for trial in finished if trial.number not in seen]
                    seen |= {trial.number for trial in news}
                    yield from map(describe, news)
                    if not ran and (others := patiently(partial(_held_by_others, shared, command, finished))):
                        waiting(others)
        finally:
            with contextlib.suppress(*TROUBLE):
                # of this command's own workers, which have ended: the sampler would keep away from their points
                fail_dead_trials(shared)


@dataclass(frozen=True)
class PlaceJob:
    """One place of the plan in a worker process.

    Attributes:
        search: What is searched.
        command: The process of the command.
        missing: The places without an outcome, as far as the command knows.
    """

    search: Search
    command: str
    missing: list[int]


def _run_place(job: PlaceJob) -> bool:
    """Train at the first missing place that nobody holds; wait a moment where others hold them all.

    Returns:
        Whether there was one.
    """
    with reachable(job.search.settings.storage):
        ran = patiently(partial(_try_place, job, shared_study(job.search)))
    if not ran:
        time.sleep(POLL_SECONDS)
    return ran


def _try_place(job: PlaceJob, shared: SharedStudy) -> bool:
    search = job.search
    claim = shared.claims.take(job.missing, job.command)
    if claim is None:
        return False
    with shared.claims.held(claim):
        if not _train(search, shared, claim):
            shared.claims.release(claim)  # a search for more trials may want the place still
    return True


def _train(search: Search, shared: SharedStudy, claim: TrialClaim) -> bool:
    """Run the trial of a place; whether it has an outcome."""
    finished = fail_dead_trials(shared, own=claim.ordinal)
    if claim.ordinal not in missing_ordinals(finished, search.settings):  # others were quicker
        return False
    early = early_validation(search.settings, search.proxy)
    objective = Objective(search.proxy, search.space, load(search.data), search.execution, search.tracking, early)
    holds = partial(shared.claims.holds, claim)
    return run_next_trial(shared.study, search.settings, objective, claim.ordinal, holds) is not None


def _held_by_others(shared: SharedStudy, command: str, finished: Sequence[FrozenTrial]) -> int:
    held = {claim.ordinal for claim in shared.claims.alive() if claim.command != command}
    # claims stay behind where a trial has its outcome (see TrialClaims.held)
    return len(held - {OPENING, *places(finished)})


def others_at_work(search: Search) -> int:
    """How many places of a study other commands are at work on, on this machine or another."""
    with reachable(search.settings.storage):
        shared = shared_study(search)
        return _held_by_others(shared, this_process(), finished_trials(shared.study))


@cache
def _opened(settings: StudySettings, proxy: RunSpec, ranges: tuple[tuple[str, Range], ...]) -> SharedStudy:
    return open_study(settings, proxy, SearchSpace(dict(ranges)))


def shared_study(search: Search) -> SharedStudy:
    """The study of a search, opened once a process."""
    return _opened(search.settings, search.proxy, tuple(search.space.ranges.items()))


def close_study(search: Search) -> None:
    """Leave the study of a search; it is opened again when it is asked for."""
    close_storage(shared_study(search).claims.engine)
    _opened.cache_clear()
