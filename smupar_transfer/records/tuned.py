"""A tuned point: the outcome of a search on a dense proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.records.spec import SCHEMA_VERSION, RunSpec
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import BaseHyperparameters


@dataclass(frozen=True)
class Tuned:
    """Base hyperparameters and where they come from.

    Attributes:
        hparams: the best point. value: its validation loss on the proxy, in nats.
        study, trial: which search, which of its trials. trials: how many had an outcome then.
        proxy: the run that was tuned; its own ``hparams`` are the search's starting point.
    """

    hparams: BaseHyperparameters
    value: float
    study: str
    trial: int
    trials: int
    proxy: RunSpec


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write ``tuned.yaml``."""
    write_yaml(path, tuned, SCHEMA_VERSION, "Base hyperparameters tuned on a dense proxy.", "results_dir")


def read_tuned(path: Path) -> Tuned:
    """Read ``tuned.yaml``.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    return read_yaml(path, Tuned, SCHEMA_VERSION, "tuned")
