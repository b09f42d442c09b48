"""An Optuna study on the dense proxy that survives being killed and started again."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from smupar_transfer.records import RunSpec, to_plain
from smupar_transfer.theory import InputError
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.space import SearchSpace

HEARTBEAT_SECONDS = 30
SPECIFICATION = "specification"
ORDINAL = "ordinal"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class StudySettings:
    """How a study searches.

    Attributes:
        name: studies of one name in one storage are one study. storage: SQLAlchemy URL.
        n_trials: finished trials (completed or pruned) the study shall have in the end.
        startup_trials: random points before the sampler models anything.
        pruner_startup_trials: trials that must complete before any is pruned.
        seed: of the sampler.
    """

    name: str
    storage: str
    n_trials: int
    startup_trials: int = 10
    pruner_startup_trials: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("study.name", self.name, "must not be empty")
        for key in ("n_trials", "startup_trials", "pruner_startup_trials"):
            if getattr(self, key) < 1:
                raise InputError(f"tuning.{key}", getattr(self, key), "must be at least 1")


def open_study(settings: StudySettings, proxy: RunSpec, space: SearchSpace) -> optuna.Study:
    """Open or create a study, refusing one of the same name that asks another question.

    Raises:
        InputError: the storage cannot be reached, or holds a study of that name over another proxy or space.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            study_name=settings.name,
            storage=_storage(settings.storage),
            direction="minimize",
            load_if_exists=True,
        )
        _check_question(study, settings, proxy, space)
    except InputError:
        raise
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "study.storage",
            _shown(settings.storage),
            f"cannot be opened: {reason}",
            "check the URL, the folder and the server",
        ) from error
    study.pruner = optuna.pruners.MedianPruner(
        n_startup_trials=settings.pruner_startup_trials, n_warmup_steps=proxy.budget.steps // 3
    )
    return study


def run_next_trial(study: optuna.Study, settings: StudySettings, objective: Objective, ordinal: int) -> FrozenTrial:
    """Ask for a point, train it, tell the study.

    Args:
        study: opened with the same settings.
        settings: of the study.
        objective: what to train.
        ordinal: place of the trial in the plan of the study. The sampler's randomness depends on it and on the seed
            alone: a study that was interrupted goes on as if it had not been. Place 0 is the defaults.

    Returns:
        The trial with its outcome.
    """
    sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(
        n_startup_trials=settings.startup_trials, multivariate=True, seed=settings.seed * 1_000_003 + ordinal
    )
    if ordinal == 0:
        defaults = objective.space.first_point(objective.proxy.hparams)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.PartialFixedSampler(defaults, sampler)
    study.sampler = sampler

    def numbered(trial: optuna.Trial) -> float:
        trial.set_user_attr(ORDINAL, ordinal)
        return objective(trial)

    done: list[FrozenTrial] = []
    study.optimize(numbered, n_trials=1, callbacks=[lambda _, trial: done.append(trial)])
    return done[0]


def _shown(url: str) -> str:
    """A storage URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", url)


def _storage(url: str) -> optuna.storages.RDBStorage:
    database = make_url(url)
    if database.get_backend_name() == "sqlite" and database.database not in (None, "", ":memory:"):
        Path(str(database.database)).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Optuna marks its heartbeat as experimental; it fails the trials of a worker that was killed. They are not put
        # back into the study's queue, from which two workers can take the same trial: missing trials are counted anew.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS)


def _check_question(study: optuna.Study, settings: StudySettings, proxy: RunSpec, space: SearchSpace) -> None:
    proxy = replace(proxy, data=replace(proxy.data, path=None))  # data count by content, not by where they lie
    content = {"proxy": to_plain(proxy), "space": to_plain(dict(space.ranges))}
    question = json.loads(json.dumps(content))  # as it comes back from the storage
    known = study.user_attrs.get(SPECIFICATION)
    if known is None:
        study.set_user_attr(SPECIFICATION, question)
        return
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
        return [found for key in keys for found in _differences(old.get(key), new.get(key), f"{path}.{key}".strip("."))]
    return [] if old == new else [path]


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an outcome, in order."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def missing_ordinals(study: optuna.Study, settings: StudySettings) -> list[int]:
    """Places in the plan whose trials have no outcome yet; counted before asking, so that no worker overshoots."""
    finished = finished_trials(study)
    done = {trial.user_attrs.get(ORDINAL) for trial in finished}
    left = [ordinal for ordinal in range(settings.n_trials) if ordinal not in done]
    return left[: max(0, settings.n_trials - len(finished))]
