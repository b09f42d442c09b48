"""Small networks, and a target with its proxy and a point tuned on it; one thread, and always one global stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from smupar_transfer.records import (
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MaskKind,
    MLPSpec,
    ModelSpec,
    RunSpec,
    SparsitySpec,
    Tuned,
)
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.transfer import Source

SpecMaker = Callable[..., RunSpec]
HPARAMS = BaseHyperparameters(0.01, 0.1, input_multiplier=3.0, output_multiplier=2.0, weight_decay=0.1)


@pytest.fixture(autouse=True)
def _one_thread_and_one_stream() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def gpt_spec(**changes: Any) -> RunSpec:
    """A GPT of width 64 over a proxy of width 16; ``changes`` go to the model or to the run."""
    shape: dict[str, Any] = {"width": 64, "depth": 2, "head_dim": 8, "vocab_size": 32, "context": 16}
    shape |= {key: changes.pop(key) for key in list(changes) if key in GPTSpec.__dataclass_fields__}
    return run_spec(GPTSpec(**shape), **changes)


def mlp_spec(**changes: Any) -> RunSpec:
    """An MLP of width 64 over a proxy of width 16; ``changes`` go to the model or to the run."""
    shape: dict[str, Any] = {"width": 64, "depth": 2, "features": 10, "classes": 5}
    shape |= {key: changes.pop(key) for key in list(changes) if key in MLPSpec.__dataclass_fields__}
    return run_spec(MLPSpec(**shape), **changes)


def run_spec(model: GPTSpec | MLPSpec, density: float = 1.0, mask: str = "random", **changes: Any) -> RunSpec:
    settings: dict[str, Any] = {
        "base_width": 16,
        "sparsity": SparsitySpec(density, MaskKind(mask)),
        "parametrization": "smupar",
        "hparams": HPARAMS,
        "optimizer": OptimizerSettings(),
        "data": DataSpec("none", "00", 1, 1),
        "budget": BudgetSpec(steps=1, batch_size=2, sequence_length=8),
    }
    return RunSpec(model=model, **{**settings, **changes})


@pytest.fixture(scope="session")
def gpt() -> SpecMaker:
    return gpt_spec


@pytest.fixture(scope="session")
def mlp() -> SpecMaker:
    return mlp_spec


PROXY = GPTSpec(width=64, depth=2, head_dim=32, vocab_size=256, context=64)
TARGET = replace(PROXY, width=1024)
TUNED = BaseHyperparameters(0.03, 0.17, 5.2, 2.2, 0.1)

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
            "hparams": TUNED,
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
        run = replace(run, hparams=replace(TUNED, learning_rate=0.001))
        return Source.of(Tuned(TUNED, value=2.246, study="proxy-64", trial=41, trials=60, proxy=run))

    return made
