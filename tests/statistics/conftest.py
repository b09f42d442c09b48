from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from smupar_transfer.records import (
    BudgetSpec,
    CoordinateRecord,
    DataSpec,
    Environment,
    Evaluation,
    GPTSpec,
    LayerSizes,
    LayerSparsity,
    RunRecord,
    RunSpec,
    SparsitySpec,
)
from smupar_transfer.statistics import Cell
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.labels import Setting
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings

DEFAULTS = {"init_std": 0.125, "output_multiplier": 1.75}
MakeRecord = Callable[..., RunRecord]
MakeCell = Callable[..., Cell]
MakeCheck = Callable[..., CoordinateRecord]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A record of a run that never ran; a loss of None is divergence."""

    def made(
        parametrization: str = "smupar",
        sparsity: float = 0.0,
        log2_rate: float = -5.0,
        loss: float | None = 2.0,
        seed: int = 0,
        width: int = 64,
        flops: float = 6e11,
        **hparams: float,
    ) -> RunRecord:
        spec = RunSpec(
            model=GPTSpec(width=width, depth=2, head_dim=16, vocab_size=256, context=32),
            base_width=32,
            sparsity=SparsitySpec(1 - sparsity),
            parametrization=parametrization,
            hparams=BaseHyperparameters(**{**DEFAULTS, "learning_rate": 2.0**log2_rate, **hparams}),
            optimizer=OptimizerSettings(),
            data=DataSpec("python", "ab" * 32, 1_000_000, 100_000),
            budget=BudgetSpec(200, batch_size=32, sequence_length=32),
            seed=seed,
        )
        return RunRecord(
            key=spec.key,
            spec=spec,
            train_loss=None if loss is None else loss - 0.125,
            validation_loss=loss,
            bits_per_byte=None if loss is None else loss / math.log(2),
            accuracy=None if loss is None else 0.5,
            diverged=loss is None,
            tokens=spec.budget.tokens,
            epochs=0.2048,
            parameters=100_000,
            nonzero_parameters=60_000,
            flops_dense=1e12,
            flops_sparse=flops,
            wall_seconds=18.0,
            step_seconds=0.09,
            history=(Evaluation(200, loss, loss, 0.5),),
            layers=(LayerSparsity("blocks.0.mlp.up.weight", 4_096, 4_096, width * (1 - sparsity), 0),),
            environment=Environment("a processor", "cpu", "masked", 1, {"python": "3.11", "torch": "2.13"}),
            cpu_seconds=17.5,
        )

    return made


@pytest.fixture(scope="session")
def make_cell() -> MakeCell:
    """A cell from its losses, a row a seed, over integer log2 values from -8 on."""

    def made(
        losses: Sequence[Sequence[float]] | Floats,
        sparsity: float = 0.0,
        parametrization: str = "smupar",
        width: int = 64,
        seeds: tuple[int, ...] | None = None,
        rates: Sequence[float] | Floats | None = None,
        flops: float = 1e12,
        **settings: Setting,
    ) -> Cell:
        table = np.array(losses, dtype=np.float64)
        axis = np.arange(-8.0, -8.0 + table.shape[1]) if rates is None else np.array(rates, dtype=np.float64)
        every: dict[str, Setting] = {
            **{"width": width, "sparsity": sparsity, "base_width": 32, "depth": 2, "tokens": 204_800},
            **{"init_std": 0.125, "input_multiplier": 1.0, "output_multiplier": 1.75, "weight_decay": 0.0},
            **{"weight_decay_form": "independent", "optimizer": "adamw", "mask": "random"},
            **{"epsilon": 1e-8, "warmup": 0.1},
            **settings,
        }
        seeds = seeds or tuple(range(len(table)))
        return Cell(parametrization, every, axis, seeds, table, math.log(256), flops)

    return made


@pytest.fixture(scope="session")
def make_check(make_record: MakeRecord) -> MakeCheck:
    """A coordinate check that was never made: two layers whose sizes follow exact power laws.

    ``powers`` holds the exponents of activation, gradient and update in density (or width); ``noise`` is added to them.
    """

    def made(
        parametrization: str = "smupar",
        sparsity: float = 0.0,
        seed: int = 0,
        width: int = 64,
        powers: tuple[float, float, float] = (0.0, 0.0, 0.0),
        noise: float = 0.0,
        axis: str = "sparsity",
        steps: int = 2,
    ) -> CoordinateRecord:
        run = make_record(parametrization, sparsity, seed=seed, width=width)
        spec = replace(run.spec, budget=replace(run.spec.budget, steps=steps))
        scale = (1 - sparsity) if axis == "sparsity" else width / 64
        activation, gradient, update = (scale ** (power + noise) for power in powers)
        layers = tuple(
            LayerSizes(
                name,
                1 - sparsity,
                tuple(2 * activation * (1 + step) for step in range(steps + 1)),
                tuple(activation * (1 + step) for step in range(steps + 1)),
                (gradient,) * (steps + 1),
                (update,) * steps,
            )
            for name in ("mlp.up", "mlp.down")
        )
        return CoordinateRecord(spec.key, spec, (5.0,) * (steps + 1), layers, 1.5, run.environment)

    return made


@pytest.fixture(scope="session")
def under_sgd() -> Callable[..., CoordinateRecord]:
    """A coordinate check as SGD with a gradient clip would have made it.

    ``norm`` is that of all gradients in every step; None for a record that does not say. With ``clip_updates``, first
    updates become as much smaller as the clip makes them.
    """

    def made(
        record: CoordinateRecord,
        norm: float | None = 2.0,
        clip: float = 1.0,
        weight_decay: float = 0.0,
        *,
        clip_updates: bool = False,
    ) -> CoordinateRecord:
        spec = replace(
            record.spec,
            optimizer=replace(record.spec.optimizer, name="sgd", gradient_clip=clip),
            hparams=replace(record.spec.hparams, weight_decay=weight_decay),
        )
        norms = () if norm is None else (norm,) * spec.budget.steps
        factor = min(1.0, clip / norm) if clip_updates and norm else 1.0
        layers = tuple(
            replace(layer, update=(layer.update[0] * factor, *layer.update[1:])) if layer.update else layer
            for layer in record.layers
        )
        return replace(record, key=spec.key, spec=spec, gradient_norms=norms, layers=layers)

    return made
