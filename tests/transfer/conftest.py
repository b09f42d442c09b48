"""A target, its proxy, and a point tuned on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from smupar_transfer.records import (
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MaskKind,
    ModelSpec,
    RunSpec,
    Source,
    SparsitySpec,
    Tuned,
)
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings

PROXY = GPTSpec(width=64, depth=2, head_dim=32, vocab_size=256, context=64)
TARGET = replace(PROXY, width=1024)
HPARAMS = BaseHyperparameters(0.03, 0.17, 5.2, 2.2, 0.1)

MakeTarget = Callable[..., RunSpec]
MakeSource = Callable[..., Source]


@pytest.fixture
def target() -> MakeTarget:
    """The run of a target; by default of width 1024 at density 1/64."""

    def made(
        model: ModelSpec = TARGET, density: float = 1 / 64, mask: MaskKind = MaskKind.RANDOM, **settings: Any
    ) -> RunSpec:
        usual = {
            "base_width": 64,
            "parametrization": "smupar",
            "hparams": HPARAMS,
            "optimizer": OptimizerSettings(),
            "data": DataSpec("python", "ab" * 32, 1000, 100),
            "budget": BudgetSpec(steps=10, batch_size=2, sequence_length=8),
        }
        return RunSpec(model=model, sparsity=SparsitySpec(density, mask), **{**usual, **settings})

    return made


@pytest.fixture
def source(target: MakeTarget) -> MakeSource:
    """Where base hyperparameters come from: a search on the dense proxy, or on another one."""

    def made(proxy: ModelSpec = PROXY, **settings: Any) -> Source:
        run = target(proxy, 1.0, base_width=proxy.width, **settings)
        run = replace(run, hparams=replace(HPARAMS, learning_rate=0.001))
        return Source.of(Tuned(HPARAMS, value=2.246, study="proxy-64", trial=41, trials=60, proxy=run))

    return made
