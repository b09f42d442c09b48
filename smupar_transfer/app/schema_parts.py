"""Fields of the configuration, and its groups of keys that have no options to choose from; see ``schema``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from smupar_transfer.launchers import launcher_names

MEANING, CHOICES = "meaning", "choices"
"""Names of what ``key`` notes down about a field."""

TRACKERS = ("none", "tensorboard", "wandb", "trackio", "mlflow")
"""Choices of trackers, whose own modules import torch."""


def about(meaning: str, choices: Iterable[str] = ()) -> dict[str, Any]:
    """Metadata of a field.

    Args:
        meaning: What ``--help`` says of the field, as a clause.
        choices: All values that it takes, where they are words.
    """
    return {MEANING: meaning, CHOICES: tuple(choices)}


def key(meaning: str, default: Any = MISSING, *, choices: Iterable[str] = ()) -> Any:
    """A field of the configuration; see ``about``.

    Args:
        meaning: What ``--help`` says of the field, as a clause.
        default: The value if it is left out, where that is not said in ``conf/``.
        choices: All values that it takes, where they are words.
    """
    return field(default=default, metadata=about(meaning, choices))


@dataclass
class HyperparameterConfig:
    """Base hyperparameters, those of the dense proxy; keys given by hand win over tuned."""

    learning_rate: float = key("peak learning rate, eta")
    init_std: float = key("standard deviation of initial weights, sigma")
    input_multiplier: float = key("factor on the embedding's output, alpha_input")
    output_multiplier: float = key("factor on the logits, alpha_output")
    weight_decay: float = key("weight decay, lambda")
    init_scale: float = key("factor on every standard deviation; what a model of your own has in place of init_std")


@dataclass
class StudyConfig:
    """Where the search is kept; the same name goes on with the same study."""

    name: str = key("of the study, and of its folder in results_dir")
    storage: str | None = key(
        "SQLAlchemy URL of the database that holds the study; null keeps it in study.db, in the study's folder", None
    )


@dataclass
class CheckpointConfig:
    """Where an interrupted run goes on."""

    keep: int = key("checkpoints of the run that are kept: the newest, and those before it, should it be damaged")


NESTED: dict[str, type] = {
    "hparams": HyperparameterConfig,
    "study": StudyConfig,
    "checkpoint": CheckpointConfig,
}
"""Groups of keys without options to choose from."""


def tracker_key() -> Any:
    """The key of every command that trains."""
    return key("who keeps the curves of runs, beside their records: none, or a tracker", choices=TRACKERS)


def accumulate_key() -> Any:
    """The key of every command that trains networks which may be too large for a whole batch."""
    return key("parts of a batch that are computed one after the other, to save memory; the step stays the same", 1)


def launcher_key() -> Any:
    """The key of every command that has workers."""
    return key(
        "who starts the workers: processes of this machine, joblib, ray (a cluster), or submitit, which has a batch "
        "system run the command as many times, and waits for none of them",
        choices=launcher_names(),
    )
