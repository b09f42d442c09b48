"""Runs that compute the same are known as such; those that do not are kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from smupar_transfer.model import multipliers_of, outline, plan_of
from smupar_transfer.records import BudgetSpec, MaskKind, Precision, RunSpec, SparsitySpec
from smupar_transfer.sweeps.equivalent_runs import IN_NUMBERS, computation
from smupar_transfer.theory import ADAMW, PARAMETRIZATIONS, SGD, BaseHyperparameters, OptimizerSettings, WeightDecayForm

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
        for first, other in product(runs, runs):
            planned = [(plan_of(outline(run), run), multipliers_of(run)) for run in (first, other)]
            assert (computation(first) == computation(other)) == (planned[0] == planned[1])
            pairs += first != other and planned[0] == planned[1]
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


def other(value: Any) -> Any:
    """A valid value of the same type that is not this one."""
    if value == MaskKind.RANDOM:  # a name: any text is none
        return MaskKind.BERNOULLI.value
    if value == ADAMW.name:
        return SGD.name
    if isinstance(value, StrEnum):
        return next(item for item in type(value) if item is not value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}0"
    if isinstance(value, float):
        return value / 2 or 0.5
    return value * 2 or 1


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every field of a specification that holds no other dataclass."""
    if not is_dataclass(value):
        return [path]
    return [leaf for item in fields(value) for leaf in leaves(getattr(value, item.name), (*path, item.name))]


def changed(value: Any, path: tuple[str, ...]) -> Any:
    """The same with another value at one leaf."""
    if not path:
        return other(value)
    return replace(value, **{path[0]: changed(getattr(value, path[0]), path[1:])})


def test_every_field_of_a_specification_tells_runs_apart_or_is_named(gpt: SpecMaker) -> None:
    """Guards against a list of fields beside that of ``RunSpec``: precision was not on it, and sweeps in bfloat16 were
    given the float32 records to the last bit."""
    run = gpt(parametrization="mup", density=0.5, width=64)
    run = replace(run, data=replace(run.data, bytes_per_token=4.0), sparsity=SparsitySpec(0.5))
    paths = leaves(run)
    skipped = {("data", "path"), ("parametrization",), ("base_width",), ("model", "kind")}
    assert {("precision",), ("seed",), ("budget", "steps"), ("optimizer", "momentum")} <= set(paths)
    for path in paths:
        if path not in skipped:
            assert computation(changed(run, path)) != computation(run), path
    assert computation(replace(run, precision=Precision.BFLOAT16)) != computation(run)
    assert {item.name for item in fields(RunSpec)} >= IN_NUMBERS
