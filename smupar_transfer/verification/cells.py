"""Records as tables, and the cells of a sweep: one curve of loss against learning rate each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smupar_transfer.records import RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS

Floats = NDArray[np.float64]


def runs_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run; losses in nats, NaN where the run diverged. ``sparsity`` is 1 - density as configured."""
    return pd.DataFrame(
        [
            {
                "key": record.key,
                "parametrization": record.spec.parametrization,
                "width": record.spec.model.width,
                "sparsity": 1 - record.spec.sparsity.density,
                "learning_rate": record.spec.hparams.learning_rate,
                "log2_learning_rate": record.spec.log2_learning_rate,
                "seed": record.spec.seed,
                "train_loss": _number(record.train_loss),
                "validation_loss": _number(record.validation_loss),
                "bits_per_byte": _number(record.bits_per_byte),
                "diverged": record.diverged,
                "weights_per_neuron": record.weights_per_neuron,
                "tokens": record.tokens,
                "wall_seconds": record.wall_seconds,
            }
            for record in records
        ]
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True, eq=False)
class Cell:
    """One parametrization at one width and sparsity.

    Attributes:
        log2_learning_rates: increasing, (rates,).
        seeds: in increasing order, (seeds,).
        losses: validation losses in nats, (seeds, rates); infinite where a run diverged, NaN where there is none.
    """

    parametrization: str
    width: int
    sparsity: float
    log2_learning_rates: Floats
    seeds: tuple[int, ...]
    losses: Floats

    @property
    def density(self) -> float:
        """Rho = 1 - sparsity."""
        return 1 - self.sparsity

    @property
    def mean_losses(self) -> Floats:
        """Mean over seeds, (rates,); infinite where a seed diverged, NaN where one is missing."""
        return np.asarray(self.losses.mean(axis=0), dtype=np.float64)


def cells(runs: pd.DataFrame) -> list[Cell]:
    """The cells of a table of runs, by parametrization (in the order of ``theory``), width and sparsity."""
    found = []
    for (name, width, sparsity), group in runs.groupby(["parametrization", "width", "sparsity"], sort=True):
        losses = group["validation_loss"].where(~group["diverged"], np.inf)
        table = group.assign(loss=losses).pivot_table(
            index="seed", columns="log2_learning_rate", values="loss", aggfunc="first"
        )
        found.append(
            Cell(
                parametrization=str(name),
                width=int(width),  # type: ignore[call-overload]
                sparsity=float(sparsity),  # type: ignore[arg-type]
                log2_learning_rates=table.columns.to_numpy(dtype=np.float64),
                seeds=tuple(int(seed) for seed in table.index),
                losses=table.to_numpy(dtype=np.float64),
            )
        )
    order = list(PARAMETRIZATIONS)
    return sorted(found, key=lambda cell: (order.index(cell.parametrization), cell.width, cell.sparsity))
