from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, MLPSpec, RunRecord, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import TokenData, load_data


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_corpus(vocab_size: int) -> TokenData:
    """Mostly a fixed successor of each token, sometimes any token: learnable in a few steps, never to zero loss."""
    rng = np.random.default_rng(0)
    tokens = np.zeros(2_000, dtype=np.uint8)
    jumps = rng.random(len(tokens)) < 0.1
    for index in range(1, len(tokens)):
        tokens[index] = rng.integers(16) if jumps[index] else (5 * int(tokens[index - 1]) + 3) % 16
    data = DataSpec("text", sha256="ab" * 32, train_size=1_600, validation_size=400)
    return TokenData(data, tokens[:1_600], tokens[1_600:], vocab_size)


@pytest.fixture(scope="session")
def corpus() -> TokenData:
    return make_corpus(16)


@pytest.fixture(scope="session")
def spec(corpus: TokenData) -> RunSpec:
    """A run of a few hundredths of a second."""
    return RunSpec(
        model=GPTSpec(width=16, depth=1, head_dim=8, vocab_size=16, context=16),
        base_width=8,
        sparsity=SparsitySpec(0.5),
        parametrization="smupar",
        hparams=BaseHyperparameters(2**-5, 0.1, weight_decay=0.1),
        optimizer=OptimizerSettings(),
        data=corpus.spec,
        budget=BudgetSpec(20, batch_size=4, sequence_length=8, warmup_steps=2, evaluations=4, evaluation_batches=2),
        seed=1,
    )


@pytest.fixture(scope="session")
def byte_spec(spec: RunSpec) -> RunSpec:
    """A byte-level language model of 2 steps."""
    model = GPTSpec(width=16, depth=1, head_dim=8, vocab_size=256, context=16)
    return replace(spec, model=model, budget=replace(spec.budget, steps=2, warmup_steps=0))


@pytest.fixture(scope="session")
def digits_spec(spec: RunSpec) -> RunSpec:
    return replace(
        spec,
        model=MLPSpec(width=32, depth=1, features=64, classes=10),
        data=load_data("digits").spec,
        budget=BudgetSpec(100, batch_size=64, evaluations=2, evaluation_batches=6),
        hparams=BaseHyperparameters(2**-6, 0.2),
    )


@pytest.fixture(scope="session")
def timeless() -> Callable[[RunRecord], RunRecord]:
    """A record without what differs between two equal runs."""
    return lambda record: replace(record, wall_seconds=0.0, step_seconds=0.0, cpu_seconds=0.0)
