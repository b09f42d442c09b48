"""The whole search: as many trials as are missing, on as many processes, of as many commands, as there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from optuna.trial import FrozenTrial, TrialState

from smupar_transfer.launchers import PROCESSES
from smupar_transfer.records import RunsFailedError, RunSpec, SearchedOn, lacks_memory, memory_reason
from smupar_transfer.records.liveness import this_process
from smupar_transfer.training import DataRequest, Execution, Tracking, load
from smupar_transfer.tuning.claims import TrialClaim
from smupar_transfer.tuning.objective import DIVERGED, Objective
from smupar_transfer.tuning.sharing import Crew, PlaceEnd, SharedPlaces, place_name
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

    Yields:
        Each trial of the study as it ends, of this command or another.

    Raises:
        RunsFailedError: some places were given up, as their workers died each time; all others have outcomes.
    """
    with reachable(search.settings.storage):
        shared = shared_study(search)
        finished = finished_trials(shared.study)
        if shared.study.user_attrs.get(PLANNED) != search.settings.n_trials:
            patiently(partial(shared.study.set_user_attr, PLANNED, search.settings.n_trials))
        seen = {trial.number for trial in (finished if known is None else known)}

        def missing() -> list[int]:
            return missing_ordinals(finished, search.settings)

        places = SharedPlaces(shared.study, shared.claims, place_name, missing)
        crew = Crew(min(workers, max(1, len(missing()))), launcher)
        try:
            with contextlib.closing(places.run(partial(_do_place, search), crew)) as ended:
                for own in ended:
                    finished = patiently(partial(finished_trials, shared.study))
                    news = [trial for trial in finished if trial.number not in seen]
                    seen |= {trial.number for trial in news}
                    yield from map(describe, news)
                    if not own and (others := patiently(partial(_held_by_others, shared, finished))):
                        waiting(others)
        finally:
            with contextlib.suppress(*TROUBLE):
                # of this command's own workers, which have ended: the sampler would keep away from their points
                fail_dead_trials(shared)
    if places.failures:
        raise RunsFailedError(list(places.failures.values()), search.settings.n_trials, "trials")


def _do_place(search: Search, claim: TrialClaim) -> PlaceEnd:
    """Train at a place, in whatever process; again, after a pause, where the database fails."""
    with reachable(search.settings.storage):
        return patiently(partial(_try_place, search, shared_study(search), claim))


def _try_place(search: Search, shared: SharedStudy, claim: TrialClaim) -> PlaceEnd:
    finished = fail_dead_trials(shared, own=claim.ordinal)
    if claim.ordinal not in missing_ordinals(finished, search.settings):  # others were quicker
        return PlaceEnd(claim, done=False)
    early = early_validation(search.settings, search.proxy)
    objective = Objective(search.proxy, search.space, load(search.data), search.execution, search.tracking, early)
    holds = partial(shared.claims.holds, claim)
    try:
        trial = run_next_trial(shared.study, search.settings, objective, claim.ordinal, holds)
    except (MemoryError, RuntimeError) as error:
        # trials are of one size: where others came to their end, something else took the memory
        if not finished or not lacks_memory(error):
            raise
        return PlaceEnd(claim, done=False, failure=memory_reason(error))
    return PlaceEnd(claim, done=trial is not None)


def _held_by_others(shared: SharedStudy, finished: Sequence[FrozenTrial]) -> int:
    held = {claim.ordinal for claim in shared.claims.alive() if claim.command != this_process()}
    # claims stay behind where a trial has its outcome (see TrialClaims.kept_alive)
    return len(held - {OPENING, *places(finished)})


def others_at_work(search: Search) -> int:
    """How many places of a study other commands are at work on, on this machine or another."""
    with reachable(search.settings.storage):
        shared = shared_study(search)
        return _held_by_others(shared, finished_trials(shared.study))


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
