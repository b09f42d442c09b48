from __future__ import annotations

from dataclasses import replace

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
    Manifest,
    MaskKind,
    MLPSpec,
    RunRecord,
    RunSpec,
    SparsitySpec,
    Tuned,
)
from smupar_transfer.theory import SMUPAR, BaseHyperparameters, OptimizerSettings
from smupar_transfer.transfer import Recipe, Rules, Source


@pytest.fixture
def gpt_run() -> RunSpec:
    return RunSpec(
        model=GPTSpec(width=256, depth=2, head_dim=32, vocab_size=256, context=64),
        base_width=64,
        sparsity=SparsitySpec(0.125, MaskKind.FIXED_FAN_IN),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.03, 0.17, 5.2, 2.2, 0.1),
        optimizer=OptimizerSettings(),
        data=DataSpec("python", "ab" * 32, 14_500_000, 1_600_000, path="/somewhere/corpus"),
        budget=BudgetSpec(steps=200, batch_size=16, sequence_length=64, warmup_steps=20),
        seed=3,
    )


@pytest.fixture
def mlp_run(gpt_run: RunSpec) -> RunSpec:
    return replace(
        gpt_run,
        model=MLPSpec(width=256, depth=2, features=64, classes=10),
        data=DataSpec("digits", "cd" * 32, 1437, 360, bytes_per_token=None),
        budget=BudgetSpec(steps=100, batch_size=32),
    )


@pytest.fixture
def record(gpt_run: RunSpec) -> RunRecord:
    return RunRecord(
        key=gpt_run.key,
        spec=gpt_run,
        train_loss=2.125,
        validation_loss=2.25,
        bits_per_byte=3.246,
        accuracy=0.375,
        diverged=False,
        tokens=204_800,
        epochs=0.0141,
        parameters=1_700_000,
        nonzero_parameters=300_000,
        flops_dense=2.1e12,
        flops_sparse=0.4e12,
        wall_seconds=28.5,
        step_seconds=0.125,
        history=(Evaluation(100, 2.5, 2.75, 0.25), Evaluation(200, 2.125, None, 0.375)),
        layers=(
            LayerSparsity("blocks.0.mlp.up.weight", 32_768, 262_144, 32.0, 0),
            LayerSparsity("blocks.0.mlp.down.weight", 16_384, 262_144, 64.0, 1),
        ),
        environment=Environment("a processor", "cpu", "masked", 1, {"torch": "2.13.0", "python": "3.11"}),
    )


@pytest.fixture
def tuned(gpt_run: RunSpec) -> Tuned:
    proxy = replace(gpt_run, model=replace(gpt_run.model, width=64), sparsity=SparsitySpec())
    return Tuned(gpt_run.hparams, value=2.246, study="proxy-64", trial=41, trials=60, proxy=proxy)


@pytest.fixture
def recipe(gpt_run: RunSpec, tuned: Tuned) -> Recipe:
    return Recipe(
        hparams=gpt_run.hparams,
        source=Source.of(tuned),
        parametrization="smupar",
        optimizer=gpt_run.optimizer,
        base_width=64,
        model=gpt_run.model,
        sparsity=gpt_run.sparsity,
        roles=Rules(SMUPAR, gpt_run.hparams, gpt_run.optimizer).by_role(4.0, 0.125),
    )


@pytest.fixture
def manifest(gpt_run: RunSpec, mlp_run: RunSpec) -> Manifest:
    return Manifest(
        name="sparsity",
        question="Does the optimum stay put while weights go to zero?",
        expected="It does under SμPar.",
        command="smupar sweep sparsity",
        keys=(gpt_run.key, mlp_run.key),
    )


@pytest.fixture
def check(gpt_run: RunSpec) -> CoordinateRecord:
    spec = replace(gpt_run, budget=replace(gpt_run.budget, steps=2, warmup_steps=0))
    layer = LayerSizes("blocks.0.mlp.up", 0.125, (1.0, 1.5, 2.0), (0.5, 0.75, 1.0), (0.5, 0.5, 0.5), (0.25, 0.125))
    environment = Environment("a processor", "cpu", "masked", 1, {"python": "3.11"})
    return CoordinateRecord(spec.key, spec, (5.0, 4.5, 4.0), (layer,), 1.25, environment)
