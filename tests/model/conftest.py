"""Small specifications; one thread, since the tensors are tiny."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, MaskKind, MLPSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings

SpecMaker = Callable[..., RunSpec]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def gpt_spec(**changes: Any) -> RunSpec:
    """A GPT of width 64 over a proxy of width 16; ``changes`` go to the model or to the run."""
    shape: dict[str, Any] = {"width": 64, "depth": 2, "head_dim": 8, "vocab_size": 32, "context": 16}
    model_keys = {*GPTSpec.__dataclass_fields__}
    shape |= {key: changes.pop(key) for key in list(changes) if key in model_keys}
    return run_spec(GPTSpec(**shape), **changes)


def mlp_spec(**changes: Any) -> RunSpec:
    """An MLP of width 64 over a proxy of width 16; ``changes`` go to the model or to the run."""
    shape: dict[str, Any] = {"width": 64, "depth": 2, "features": 10, "classes": 5}
    shape |= {key: changes.pop(key) for key in list(changes) if key in MLPSpec.__dataclass_fields__}
    return run_spec(MLPSpec(**shape), **changes)


def run_spec(model: GPTSpec | MLPSpec, *, density: float = 1.0, mask: str = "random", **changes: Any) -> RunSpec:
    settings: dict[str, Any] = {
        "base_width": 16,
        "sparsity": SparsitySpec(density, MaskKind(mask)),
        "parametrization": "smupar",
        "hparams": BaseHyperparameters(0.01, 0.1, input_multiplier=3.0, output_multiplier=2.0, weight_decay=0.1),
        "optimizer": OptimizerSettings(),
        "data": DataSpec("none", "00", 1, 1),
        "budget": BudgetSpec(steps=1, batch_size=2, sequence_length=8),
    }
    return RunSpec(model=model, **{**settings, **changes})


@pytest.fixture
def gpt() -> SpecMaker:
    return gpt_spec


@pytest.fixture
def mlp() -> SpecMaker:
    return mlp_spec
