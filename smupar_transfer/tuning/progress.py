"""How far a study is, read by somebody who changes nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from smupar_transfer.theory import InputError
from smupar_transfer.tuning.claims import TrialClaim, TrialClaims
from smupar_transfer.tuning.storage import TROUBLE, reason, shown
from smupar_transfer.tuning.study import OPENING, PLANNED, places


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes:
        planned: The number of trials that the last command wanted; None if that is not known.
        seconds: How long each trial with an outcome took.
        claims: The places at which living processes are at work.
        begun: Place to the time at which its trial began, in seconds since 1970, of those that run.
        failed: The number of trials that came to no end; their places are tried again.
        best: The lowest validation loss in nats; None if no trial has completed.
    """

    planned: int | None
    seconds: Sequence[float]
    claims: Sequence[TrialClaim]
    begun: dict[int, float]
    failed: int
    best: float | None


def read_only_url(path: Path) -> str:
    """The URL of a study in a file, opened so that nothing can be written."""
    return URL.create(
        "sqlite", database=f"file:{quote(str(path.resolve()))}", query={"mode": "ro", "uri": "true"}
    ).render_as_string()


def study_progress(url: str, name: str) -> StudyProgress:
    """How far a study is.

    Args:
        url: The URL of the database.
        name: The name of the study.

    Raises:
        InputError: the database cannot be read, or holds no such study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        # doubled, since Optuna formats the URL; nothing is checked or created, which would write
        storage = RDBStorage(
            url.replace("{", "{{").replace("}", "}}"), skip_compatibility_check=True, skip_table_creation=True
        )
        study = optuna.load_study(study_name=name, storage=storage)
        trials = study.get_trials(deepcopy=False)
        claims = [claim for claim in TrialClaims(storage.engine, name).alive() if claim.ordinal != OPENING]
        planned = study.user_attrs.get(PLANNED)
    except KeyError as error:
        raise InputError("storage", shown(url), f"holds no study {name}") from error
    except (*TROUBLE, ImportError, OSError, ValueError) as error:
        raise InputError("storage", shown(url), f"cannot be read: {reason(error)}") from error
    finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    values = [trial.value for trial in finished if trial.state is TrialState.COMPLETE and trial.value is not None]
    return StudyProgress(
        planned=planned if isinstance(planned, int) else None,
        seconds=[trial.duration.total_seconds() for trial in finished if trial.duration is not None],
        claims=claims,
        begun={
            place: trial.datetime_start.timestamp()
            for trial, place in zip(running, places(running), strict=True)
            if place is not None and trial.datetime_start is not None
        },
        failed=sum(trial.state is TrialState.FAIL for trial in trials),
        best=min(values, default=None),
    )
