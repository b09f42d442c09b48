"""The whole search: as many trials as are missing, on as many processes as there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import optuna
from optuna.trial import FrozenTrial, TrialState

from smupar_transfer.records import RunSpec, Tuned
from smupar_transfer.theory import BaseHyperparameters, InputError
from smupar_transfer.training import DataRequest, Execution, load, run_jobs
from smupar_transfer.tuning.objective import DIVERGED, Objective
from smupar_transfer.tuning.space import Range, SearchSpace
from smupar_transfer.tuning.study import StudySettings, finished_trials, missing_ordinals, open_study, run_next_trial


@dataclass(frozen=True)
class Search:
    """What is searched, where and how."""

    settings: StudySettings
    proxy: RunSpec
    space: SearchSpace
    data: DataRequest
    execution: Execution


@dataclass(frozen=True)
class TrialOutcome:
    """One trial, as people and figures see it.

    Attributes:
        number: in the study. value: validation loss in nats; None if pruned or diverged.
        outcome: "complete", "pruned" or "diverged". hparams: the point, searched names only.
        last: step and loss (nats) of its last validation, also where it was pruned; None if there was none.
        seconds: from its start to its end; None if that is not known.
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
    return [describe(trial) for trial in finished_trials(_study(search))]


def run_search(search: Search, workers: int) -> Iterator[TrialOutcome]:
    """Run the trials that a study lacks, yielding each as it ends. Interrupt and start again at will."""
    study = _study(search)
    jobs = [(search, ordinal) for ordinal in missing_ordinals(study, search.settings)]
    yield from run_jobs(_run_job, jobs, workers)


def _run_job(job: tuple[Search, int]) -> TrialOutcome:
    search, ordinal = job
    objective = Objective(search.proxy, search.space, load(search.data), search.execution)
    return describe(run_next_trial(_study(search), search.settings, objective, ordinal))


@cache
def _opened(settings: StudySettings, proxy: RunSpec, ranges: tuple[tuple[str, Range], ...]) -> optuna.Study:
    return open_study(settings, proxy, SearchSpace(dict(ranges)))


def _study(search: Search) -> optuna.Study:
    return _opened(search.settings, search.proxy, tuple(search.space.ranges.items()))


def best(search: Search) -> Tuned:
    """The best completed trial with everything needed to use it.

    Raises:
        InputError: no trial of the study completed.
    """
    study = _study(search)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise InputError(
            "study.name",
            search.settings.name,
            "has no completed trial",
            "every point was pruned or diverged: narrow tuning.space or raise tuning.n_trials",
        )
    trial = min(complete, key=lambda trial: (trial.value, trial.number))
    hparams = {**vars(search.proxy.hparams), **trial.params}
    return Tuned(
        hparams=BaseHyperparameters(**hparams),
        value=float(trial.value),  # type: ignore[arg-type]
        study=search.settings.name,
        trial=trial.number,
        trials=len(finished_trials(study)),
        proxy=search.proxy,
    )
