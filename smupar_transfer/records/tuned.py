"""A tuned point: the outcome of a search, on a dense proxy or on the target itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from smupar_transfer.records.file_kinds import FileKind
from smupar_transfer.records.spec import SCHEMA_VERSION, RunSpec
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import BaseHyperparameters, InputError, choose


class SearchedOn(StrEnum):
    """What a search trained."""

    PROXY = "proxy"
    """The small dense network, from which its outcome is transferred."""
    TARGET = "target"
    """The wide or sparse network itself, under the same base hyperparameters."""


@dataclass(frozen=True)
class Confirmation:
    """How the best points of a search were told apart: each was trained again, with seeds that it was not chosen by.

    Attributes:
        candidates: How many points were trained again, at least 1.
        seeds: The seeds of these trainings, at least one.
        mean: The winner's mean validation loss over them, in nats; None if it diverged with one of them, as all did.
        standard_error: Of that mean, in nats; None with a single seed.
        tied: The trials whose mean is higher by no more than the standard error of the difference, best first.
    """

    candidates: int
    seeds: tuple[int, ...]
    mean: float | None
    standard_error: float | None
    tied: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("mean", "standard_error"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"confirmation.{name}", value, "must be finite and not negative")
        if self.candidates < 1:
            raise InputError("confirmation.candidates", self.candidates, "must be at least 1")
        if not self.seeds:
            raise InputError("confirmation.seeds", "[]", "must name at least one")


@dataclass(frozen=True)
class Tuned:
    """Base hyperparameters and where they come from.

    Attributes:
        hparams: The best point.
        value: Its validation loss in the search, in nats; finite, not negative.
        study: The name of the search.
        trial: Which of its trials it is, counted from 0.
        trials: How many trials had an outcome then, at least 1.
        proxy: The run that was tuned; its own ``hparams`` are the search's starting point.
        searched: Whether that was the proxy or the target itself.
        confirmation: How it was told apart from others nearly as good; None if it was not.
    """

    hparams: BaseHyperparameters
    value: float
    study: str
    trial: int
    trials: int
    proxy: RunSpec
    searched: SearchedOn = SearchedOn.PROXY
    confirmation: Confirmation | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "searched", choose(SearchedOn, "searched", self.searched))
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


WORDS = {SearchedOn.PROXY: "a dense proxy", SearchedOn.TARGET: "the target itself"}


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write ``tuned.yaml``."""
    write_yaml(path, tuned, SCHEMA_VERSION, f"Base hyperparameters tuned on {WORDS[tuned.searched]}.", "results_dir")


def read_tuned(path: Path) -> Tuned:
    """Read ``tuned.yaml``.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    return read_yaml(path, Tuned, SCHEMA_VERSION, FileKind.TUNED)
