"""A tuned point: the outcome of a search on a dense proxy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.records.file_kinds import FileKind
from smupar_transfer.records.spec import SCHEMA_VERSION, RunSpec
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import BaseHyperparameters, InputError


@dataclass(frozen=True)
class Tuned:
    """Base hyperparameters and where they come from.

    Attributes:
        hparams: The best point.
        value: Its validation loss on the proxy, in nats; finite, not negative.
        study: The name of the search.
        trial: Which of its trials it is, counted from 0.
        trials: How many trials had an outcome then, at least 1.
        proxy: The run that was tuned; its own ``hparams`` are the search's starting point.
    """

    hparams: BaseHyperparameters
    value: float
    study: str
    trial: int
    trials: int
    proxy: RunSpec

    def __post_init__(self) -> None:
        check_trial(self.value, self.trial)
        if self.trials < 1:
            raise InputError("trials", self.trials, "must be at least 1")


def check_trial(value: float, trial: int) -> None:
    """Refuse what no trial of a search can have: it was edited by hand, or another program wrote it.

    Args:
        value: The trial's loss, nats.
        trial: The trial's number in the study.

    Raises:
        InputError: the loss is not finite or negative, or the number is negative.
    """
    # cross-entropies are never negative, and a search never keeps a trial that diverged
    if not (math.isfinite(value) and value >= 0):
        raise InputError("value", value, "is no loss: it must be finite and not negative")
    if trial < 0:
        raise InputError("trial", trial, "must not be negative")


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write ``tuned.yaml``."""
    write_yaml(path, tuned, SCHEMA_VERSION, "Base hyperparameters tuned on a dense proxy.", "results_dir")


def read_tuned(path: Path) -> Tuned:
    """Read ``tuned.yaml``.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    return read_yaml(path, Tuned, SCHEMA_VERSION, FileKind.TUNED)
