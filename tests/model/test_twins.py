"""Runs that compute the same are known as such; those that do not are kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest

from smupar_transfer.model import computation, multipliers, outline, plan_parameters
from smupar_transfer.records import BudgetSpec, MaskKind, Precision, RunSpec, SparsitySpec
from smupar_transfer.theory import PARAMETRIZATIONS, BaseHyperparameters, OptimizerSettings, WeightDecayForm

SpecMaker = Callable[..., RunSpec]
COUPLED, INDEPENDENT = OptimizerSettings(weight_decay_form=WeightDecayForm.COUPLED), OptimizerSettings()


def families(make: SpecMaker, **settings: Any) -> set[frozenset[str]]:
    """Names of parametrizations, gathered by what their runs compute."""
    groups: dict[object, set[str]] = {}
    for name in PARAMETRIZATIONS:
        groups.setdefault(computation(make(parametrization=name, **settings)), set()).add(name)
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize(
    ("width", "density", "shared"),
    [
        (64, 1.0, {"mup", "init_only", "lr_only", "smupar"}),
        (16, 1.0, {"mup", "init_only", "lr_only", "smupar"}),
        (16, 0.5, {"sp", "sp_embedding"}),
    ],
)
def test_parametrizations_that_agree_share(gpt: SpecMaker, width: int, density: float, shared: set[str]) -> None:
    assert frozenset(shared) in families(gpt, width=width, density=density)


def test_at_the_proxy_two_groups_remain_which_attention_tells_apart(gpt: SpecMaker, mlp: SpecMaker) -> None:
    assert {len(family) for family in families(gpt, width=16)} == {2, 4}
    assert families(mlp, width=16) == {frozenset(PARAMETRIZATIONS)}  # it has none


@pytest.mark.parametrize("density", [0.5, 0.25])  # 0.25: m_d m_rho = 1, where hidden weights alone agree
def test_nothing_is_shared_away_from_the_proxy_and_density_one(gpt: SpecMaker, density: float) -> None:
    assert families(gpt, width=64, density=density) == {frozenset({name}) for name in PARAMETRIZATIONS}


def test_shared_numbers_are_the_planned_ones(gpt: SpecMaker, mlp: SpecMaker) -> None:
    """Against the plan of the network itself: shared runs have one and the same; others differ in it."""
    pairs = 0
    for make, width, density in product((gpt, mlp), (16, 64), (1.0, 0.5)):
        runs = [make(parametrization=name, width=width, density=density) for name in PARAMETRIZATIONS]
        for one, other in product(runs, runs):
            planned = [(plan_parameters(outline(run), run), multipliers(run)) for run in (one, other)]
            assert (computation(one) == computation(other)) == (planned[0] == planned[1])
            pairs += one != other and planned[0] == planned[1]
    assert pairs > 50


def test_forms_of_weight_decay_are_one_where_nothing_decays_or_nothing_scales(gpt: SpecMaker) -> None:
    none = BaseHyperparameters(0.01, 0.1, weight_decay=0.0)

    def same(**settings: Any) -> bool:
        return computation(gpt(**settings, optimizer=COUPLED)) == computation(gpt(**settings, optimizer=INDEPENDENT))

    assert same(hparams=none, density=0.5)
    assert same(parametrization="sp", density=0.5)
    assert not same(density=0.5)
    # m_d m_rho = 1 as configured; a mask drawn weight by weight has another density, and so another decay
    assert not same(density=0.25, mask="bernoulli")


def test_whatever_else_differs_is_another_run(gpt: SpecMaker) -> None:
    run = gpt(parametrization="mup", density=0.5)
    moved = replace(run, data=replace(run.data, path="/elsewhere"))
    assert computation(moved) == computation(run)
    others = [
        replace(run, seed=1),
        replace(run, base_width=32),
        replace(run, hparams=replace(run.hparams, learning_rate=0.02)),
        replace(run, hparams=replace(run.hparams, output_multiplier=2.5)),
        replace(run, sparsity=SparsitySpec(0.5, MaskKind.FIXED_FAN_IN)),
        replace(run, sparsity=SparsitySpec(0.25)),
        replace(run, budget=BudgetSpec(steps=2, batch_size=2, sequence_length=8)),
        replace(run, data=replace(run.data, sha256="01")),
        replace(run, optimizer=replace(run.optimizer, beta2=0.9)),
        replace(run, optimizer=replace(run.optimizer, epsilon=1e-6)),
        gpt(parametrization="mup", density=0.5, depth=3),
    ]
    assert len({computation(run), *map(computation, others)}) == len(others) + 1


def test_every_field_of_a_specification_counts(gpt: SpecMaker) -> None:
    """A new field must not make two different runs one."""
    base = gpt(density=0.5)
    other: dict[str, object] = {
        "model": replace(base.model, depth=3),
        "base_width": 8,
        "sparsity": SparsitySpec(0.25),
        "parametrization": "sp",
        "hparams": replace(base.hparams, init_std=0.3),
        "optimizer": replace(base.optimizer, beta1=0.5),
        "data": replace(base.data, sha256="another"),
        "budget": replace(base.budget, steps=base.budget.steps + 1),
        "seed": base.seed + 1,
        "precision": Precision.BFLOAT16,
    }
    assert set(other) == {field.name for field in fields(RunSpec)}
    for name, value in other.items():
        assert computation(replace(base, **{name: value})) != computation(base), name  # type: ignore[arg-type]
    assert computation(replace(base)) == computation(base)
