"""An Optuna study on the dense proxy that several commands share, and that survives being killed and started again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from smupar_transfer.records import RunSpec, require_name, to_plain
from smupar_transfer.records.liveness import this_process
from smupar_transfer.theory import InputError
from smupar_transfer.training import EarlyValidation
from smupar_transfer.tuning.claims import TrialClaims
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.space import SearchSpace
from smupar_transfer.tuning.storage import TROUBLE, close_storage, open_storage, patiently, reason, shown, way_in

SPECIFICATION = "specification"
"""Attribute of a study: what it asks."""
PLANNED = "n_trials"
"""Attribute of a study: how many trials the last command wanted it to have, for those who ask how far it is."""
ORDINAL = "ordinal"
"""Attribute of a trial: its place in the plan."""
OPENING = -1
"""Instead of a place in the plan: held by the command that writes down what a new study asks."""
OPENING_SECONDS = 0.1
"""Between two looks whether that has been done."""
MOST_SEEDS = 1000
"""That a point is trained again with; more say nothing new, and have no place of their own (see ``confirmation``)."""
PRUNED_FROM = 3
"""One over the part of a run that every trial is given."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""Trials with an outcome; one that diverged counts as pruned."""


@dataclass(frozen=True)
class StudySettings:
    """How a study searches.

    Attributes:
        name: The name of the study. Studies of one name in one storage are one study; a folder of results bears it,
            too.
        storage: The SQLAlchemy URL of a file or a server.
        n_trials: The number of finished trials (completed or pruned) that the study shall have in the end.
        startup_trials: The number of random points before the sampler models anything.
        pruner_startup_trials: The number of trials that must complete before any is pruned.
        evaluation_batches: The largest number of batches of a validation before a trial's last, which has as many as
            the proxy's budget says.
        seed: The seed of the sampler; any whole number.
        confirm: How many of the best points are trained again once the search is complete; 0 is none.
        confirm_seeds: The number of seeds, beside that of the search, that each of them is trained with.
    """

    name: str
    storage: str
    n_trials: int
    startup_trials: int = 10
    pruner_startup_trials: int = 5
    evaluation_batches: int = 4
    seed: int = 0
    confirm: int = 5
    confirm_seeds: int = 3

    def __post_init__(self) -> None:
        require_name("study.name", self.name)
        if self.confirm < 0:
            raise InputError("tuning.confirm", self.confirm, "must not be negative", "0 trusts a single training")
        if not 1 <= self.confirm_seeds <= MOST_SEEDS:
            problem = f"must be from 1 to {MOST_SEEDS:,}"
            raise InputError("tuning.confirm_seeds", self.confirm_seeds, problem, "tuning.confirm=0 trains none again")
        for key in ("n_trials", "startup_trials", "pruner_startup_trials", "evaluation_batches"):
            if getattr(self, key) < 1:
                raise InputError(f"tuning.{key}", getattr(self, key), "must be at least 1")


def early_validation(settings: StudySettings, proxy: RunSpec) -> EarlyValidation:
    """How trials are validated before their end: on few batches, and not before the pruner may give a trial up.

    All trials see the same batches, so that one is worse than another on these few nearly whenever it is on all.
    """
    return EarlyValidation(settings.evaluation_batches, proxy.budget.steps // PRUNED_FROM)


@dataclass(frozen=True)
class SharedStudy:
    """A study, and who is at work in it."""

    study: optuna.Study
    claims: TrialClaims


def open_study(settings: StudySettings, proxy: RunSpec, space: SearchSpace) -> SharedStudy:
    """Open or create a study, refusing one of the same name that asks another question.

    Raises:
        InputError: the storage cannot be reached, lies in memory, or holds a study of that name over another proxy or
            space.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _told(settings):
        storage = open_storage(settings.storage)
    try:
        with _told(settings):
            study = optuna.create_study(
                study_name=settings.name, storage=storage, direction="minimize", load_if_exists=True
            )
            if study.directions != [StudyDirection.MINIMIZE]:
                problem = "is a study of another program"
                raise InputError("study.name", settings.name, problem, "choose another study.name")
            claims = TrialClaims(storage.engine, settings.name)
            claims.create_table()
            question = _question(settings, proxy, space)
            known = _settled_question(study, claims, question)
        _check_question(known, question, settings)
    except InputError:
        close_storage(storage.engine)  # else files that are written ahead would stay beside a study that was refused
        raise
    study.pruner = optuna.pruners.MedianPruner(
        n_startup_trials=settings.pruner_startup_trials,
        n_warmup_steps=early_validation(settings, proxy).first_step,
    )
    return SharedStudy(study, claims)


@contextmanager
def _told(settings: StudySettings) -> Iterator[None]:
    """Turn what may be the matter with a database into an ``InputError``."""
    try:
        yield
    except (*TROUBLE, ImportError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "study.storage",
            shown(settings.storage),
            f"cannot be opened: {reason(error)}",
            way_in(settings.storage, error),
        ) from error


def run_next_trial(
    study: optuna.Study,
    settings: StudySettings,
    objective: Objective,
    ordinal: int,
    is_held: Callable[[], bool] = lambda: True,
) -> FrozenTrial | None:
    """Ask for a point, train it, tell the study.

    Whatever ends the training early leaves a failed trial, which counts for nothing.

    Args:
        study: The study, opened with the same settings.
        settings: The settings of the study.
        objective: What to train.
        ordinal: The place of the trial in the plan of the study. The sampler's randomness depends on it and on the seed
            alone: a study that was interrupted goes on as if it had not been. Place 0 is the defaults.
        is_held: Whether the place is still this process's own.

    Returns:
        The trial with its outcome; None if another process failed it, as it does when this one slept for too long.
    """
    study.sampler = _sampler(settings, objective, ordinal)
    trial = study.ask()
    value: float | None = None
    try:
        # first of all: while its place is not known, nobody can tell whether its process lives
        trial.set_user_attr(ORDINAL, ordinal)
        value, state = objective(trial), TrialState.COMPLETE
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except UpdateFinishedTrialError:
        return None
    except BaseException:
        with contextlib.suppress(*TROUBLE):
            study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise
    if not patiently(is_held):
        return None
    # a process that took the place over may have failed the trial meanwhile
    told = patiently(partial(study.tell, trial, value, state, skip_if_finished=True))
    return told if told.state in FINISHED else None


def _sampler(settings: StudySettings, objective: Objective, ordinal: int) -> optuna.samplers.BaseSampler:
    seed = sampler_seed(settings.seed, ordinal)
    sampler = optuna.samplers.TPESampler(n_startup_trials=settings.startup_trials, multivariate=True, seed=seed)
    if ordinal > 0:
        return sampler
    defaults = objective.space.first_point(objective.proxy.hparams)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # and not enqueue_trial: Optuna's queue gives a point to two workers at once at times (decision 21)
        return optuna.samplers.PartialFixedSampler(defaults, sampler)


def sampler_seed(seed: int, ordinal: int) -> int:
    """A seed in 32 bits, as NumPy wants it, for a place of the plan, from any seed of a person."""
    # seeds lie farther apart than a search has places, so that two never share one
    plain = seed * 1_000_003 + ordinal
    if 0 <= plain < 2**32:
        return plain
    return int.from_bytes(hashlib.sha256(f"{seed} {ordinal}".encode()).digest()[:4], "big")


def fail_dead_trials(shared: SharedStudy, own: int | None = None) -> list[FrozenTrial]:
    """Fail the trials that are marked as running and whose process is dead; the sampler would keep away from them.

    Args:
        shared: The study.
        own: The place that this process holds and has asked no trial for yet.

    Returns:
        The trials with an outcome.
    """
    trials = shared.study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.state in FINISHED]
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    if running:  # read before the claims: a trial is asked for after its place was claimed
        held = {claim.ordinal for claim in shared.claims.alive()} - {own, OPENING, *places(finished)}
        starting = held - set(places(running))  # their trials may not know their place yet
        for trial, place in zip(running, places(running), strict=True):
            if place not in held and (place is not None or not starting):
                with contextlib.suppress(UpdateFinishedTrialError):
                    shared.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return finished


def places(trials: Iterable[FrozenTrial]) -> list[int | None]:
    """Where in the study's plan trials stand; None for one that has just begun, and for those of early versions."""
    return [trial.user_attrs.get(ORDINAL) for trial in trials]


def _question(settings: StudySettings, proxy: RunSpec, space: SearchSpace) -> dict[str, object]:
    """What a study asks, as it comes back from the storage."""
    proxy = replace(proxy, data=replace(proxy.data, path=None))  # data count by content, not by where they lie
    content = {"proxy": to_plain(proxy), "space": to_plain(dict(space.ranges))}
    early = early_validation(settings, proxy).batches
    if early < proxy.budget.evaluation_batches:  # else as studies of before this could be set
        content["tuning.evaluation_batches"] = early
    plain: dict[str, object] = json.loads(json.dumps(content))
    return plain


def _settled_question(study: optuna.Study, claims: TrialClaims, question: dict[str, object]) -> object:
    """What a study asks: what is written there, or else ``question``, which is written by one process at a time."""
    while (known := study.user_attrs.get(SPECIFICATION)) is None:
        claim = claims.take([OPENING], this_process())
        if claim is None:
            time.sleep(OPENING_SECONDS)
            continue
        with claims.kept_alive([claim]):
            # another process may have written it between the look and the claim
            if SPECIFICATION not in study.user_attrs:
                study.set_user_attr(SPECIFICATION, question)
    return known


def _check_question(known: object, question: dict[str, object], settings: StudySettings) -> None:
    differing = _differences(known, question)
    if differing:
        raise InputError(
            "study.name",
            settings.name,
            f"exists with another {', '.join(differing[:4])}",
            "choose another study.name to start a new study, or restore these settings to go on with the old one",
        )


def _differences(old: object, new: object, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [
            difference
            for key in keys
            for difference in _differences(old.get(key), new.get(key), f"{path}.{key}".strip("."))
        ]
    return [] if old == new else [path]


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an outcome, in order."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def missing_ordinals(finished: Sequence[FrozenTrial], settings: StudySettings) -> list[int]:
    """Places in the plan whose trials have no outcome yet; counted before asking, so that no worker overshoots."""
    done = set(places(finished))
    left = [ordinal for ordinal in range(settings.n_trials) if ordinal not in done]
    return left[: max(0, settings.n_trials - len(finished))]
