"""How far a study is, read by somebody who changes nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from smupar_transfer.records import RunFailure
from smupar_transfer.theory import InputError
from smupar_transfer.tuning.claims import TrialClaim, TrialClaims
from smupar_transfer.tuning.sharing import place_name, stored_failures
from smupar_transfer.tuning.storage import TROUBLE, reason, shown
from smupar_transfer.tuning.study import FINISHED, OPENING, PLANNED, places


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes:
        seconds: How long each trial with an outcome took.
        running: Places at which living processes are at work, each with the time at which its trial began in seconds
            since 1970.
        left: The number of places that wait for somebody; 0 if it is not known how many were wanted.
        failures: Places, and trainings that confirm, that were given up; the same command tries them again.
        best: The lowest validation loss in nats; None if no trial has completed.
    """

    seconds: Sequence[float]
    running: Sequence[tuple[TrialClaim, float]]
    left: int
    failures: Sequence[RunFailure]
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
        planned, failures = study.user_attrs.get(PLANNED), stored_failures(study)
    except KeyError as error:
        raise InputError("storage", shown(url), f"holds no study {name}") from error
    except (*TROUBLE, ImportError, OSError, ValueError) as error:
        raise InputError("storage", shown(url), f"cannot be read: {reason(error)}") from error
    finished = [trial for trial in trials if trial.state in FINISHED]
    begun = _begun([trial for trial in trials if trial.state is TrialState.RUNNING])
    running = [(claim, begun[claim.ordinal]) for claim in claims if claim.ordinal in begun]
    for claim, _ in running:
        failures.pop(place_name(claim.ordinal), None)  # it is tried again
    values = [trial.value for trial in finished if trial.state is TrialState.COMPLETE and trial.value is not None]
    wanted = planned if isinstance(planned, int) else 0
    given_up = sum(place_name(ordinal) in failures for ordinal in range(wanted))
    return StudyProgress(
        seconds=[trial.duration.total_seconds() for trial in finished if trial.duration is not None],
        running=running,
        left=max(0, wanted - len(finished) - len(running) - given_up),
        failures=list(failures.values()),
        best=min(values, default=None),
    )


def _begun(running: Sequence[FrozenTrial]) -> dict[int, float]:
    """When trials that run began, by their place."""
    return {
        place: trial.datetime_start.timestamp()
        for trial, place in zip(running, places(running), strict=True)
        if place is not None and trial.datetime_start is not None
    }
