"""A recipe holds what its target is trained with, layer by layer, and nothing else is trained from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.app.recipes import recipe_of, target_plan
from smupar_transfer.model import build, plan_of, rules_of
from smupar_transfer.records import GPTSpec, MaskKind, RunSpec
from smupar_transfer.theory import InputError, OptimizerSettings, Role
from smupar_transfer.transfer import (
    Source,
    read_recipe,
    require_agreement,
    write_recipe,
)

MakeTarget = Callable[..., RunSpec]
MakeSource = Callable[..., Source]
SMALL = GPTSpec(width=64, depth=1, head_dim=32, vocab_size=256, context=64)


def test_from_hyperparameters_given_by_hand(target: MakeTarget) -> None:
    spec = target()
    recipe = recipe_of(spec, None)
    assert recipe.source is None
    assert (recipe.hparams, recipe.model, recipe.sparsity) == (spec.hparams, spec.model, spec.sparsity)
    assert (recipe.base_width, recipe.parametrization, recipe.optimizer) == (64, "smupar", OptimizerSettings())
    assert set(recipe.roles) == set(Role)


def test_hand_worked_numbers(target: MakeTarget) -> None:
    """m_d = 16, m_rho = 1/64, so a quarter of the proxy's weights per neuron: std x 2, eta x 4, lambda / 4."""
    recipe = recipe_of(target(), None)
    hidden, readout, embedding = (recipe.roles[role] for role in (Role.HIDDEN, Role.READOUT, Role.EMBEDDING))
    assert (hidden.m_d, hidden.m_rho) == (16.0, 1 / 64)
    assert (hidden.init_std, hidden.learning_rate) == pytest.approx((0.34, 0.12), rel=1e-12)
    assert hidden.weight_decay == pytest.approx(0.025, rel=1e-12)
    assert readout.forward_multiplier == pytest.approx(2.2 / 16, rel=1e-12)
    assert (readout.m_rho, embedding.m_rho) == (1.0, 1.0)
    assert (embedding.init_std, embedding.learning_rate, embedding.forward_multiplier) == (0.17, 0.03, 5.2)
    assert recipe.layers == {}, "every layer has the nominal density: the roles say all"


def test_the_proxy_itself_is_trained_as_it_was_tuned(target: MakeTarget) -> None:
    roles = recipe_of(target(SMALL, 1.0), None).roles
    for role in set(Role) - {Role.VECTOR}:
        assert (roles[role].init_std, roles[role].learning_rate, roles[role].weight_decay) == (0.17, 0.03, 0.1)


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_another_parametrization_gives_other_numbers(target: MakeTarget, name: str) -> None:
    spec = target(parametrization=name)
    other = recipe_of(spec, None)
    assert other.parametrization == name
    assert other.roles == rules_of(spec).by_role(16.0, 1 / 64)
    assert other.roles[Role.HIDDEN] != recipe_of(target(), None).roles[Role.HIDDEN]


def test_the_targets_optimizer_is_used(target: MakeTarget) -> None:
    roles = recipe_of(target(optimizer=OptimizerSettings(name="sgd")), None).roles
    assert roles[Role.HIDDEN].learning_rate == 0.03 * 64
    assert roles[Role.EMBEDDING].learning_rate == 0.03 * 16


@pytest.mark.parametrize("kind", MaskKind)
@pytest.mark.parametrize("density", [0.1, 0.01, 0.25])
def test_what_a_recipe_says_of_a_layer_is_what_it_is_trained_with(
    target: MakeTarget, kind: MaskKind, density: float
) -> None:
    """Guards against a nominal density: at width 64 and density 0.01 a fixed fan-in is one weight, a density of 1/64,
    and the recipe's standard deviation was 25 % and its rate 56 % off what was trained."""
    spec = target(SMALL, density, kind)
    recipe = recipe_of(spec, None)
    network, plan = build(spec)
    assert plan == plan_of(network, spec)
    hidden = [row for row in plan if row.role is Role.HIDDEN]
    assert hidden
    tolerance = 1e-12 if kind is not MaskKind.BERNOULLI else 0.5  # drawn weight by weight: known when it is drawn
    for row in hidden:
        says = recipe.layers.get(row.name, recipe.roles[Role.HIDDEN])
        for name in ("init_std", "learning_rate", "weight_decay", "epsilon", "forward_multiplier"):
            assert getattr(says, name) == pytest.approx(getattr(row, name), rel=tolerance), (row.name, name)
    rounds = kind is MaskKind.FIXED_FAN_IN and density < 0.25
    assert (recipe.roles[Role.HIDDEN].init_std != pytest.approx(hidden[0].init_std, rel=1e-3)) == rounds or (
        kind is MaskKind.BERNOULLI
    )


@pytest.mark.parametrize("kind", MaskKind)
@pytest.mark.parametrize("with_source", [True, False])
def test_what_is_made_can_be_read(
    tmp_path: Path, target: MakeTarget, source: MakeSource, kind: MaskKind, with_source: bool
) -> None:
    spec = target(SMALL, 0.01, kind)
    recipe = recipe_of(spec, source() if with_source else None)
    write_recipe(tmp_path / "recipe.yaml", recipe)
    read = read_recipe(tmp_path / "recipe.yaml")
    assert read == recipe
    require_agreement(read, target_plan(spec))


def test_a_recipe_that_would_not_be_trained_is_refused_with_the_layer(target: MakeTarget) -> None:
    """As recipes of version 0.1 are, whose layers were all said to have the nominal density."""
    spec = target(SMALL, 0.01, MaskKind.FIXED_FAN_IN)
    old = replace(recipe_of(spec, None), layers={})
    with pytest.raises(
        InputError, match=r"says m_d = 1, m_rho = 0\.01 for blocks\.0\..*, which has 1, 0\.015625; transfer again"
    ):
        require_agreement(old, target_plan(spec))
    require_agreement(recipe_of(spec, None), target_plan(spec))


def test_an_edited_layer_is_refused(tmp_path: Path, target: MakeTarget) -> None:
    spec = target(SMALL, 0.01, MaskKind.FIXED_FAN_IN)
    recipe = recipe_of(spec, None)
    name, values = next(iter(recipe.layers.items()))
    edited = replace(recipe, layers={**recipe.layers, name: replace(values, learning_rate=values.learning_rate * 1.01)})
    write_recipe(tmp_path / "recipe.yaml", edited)
    with pytest.raises(InputError, match=rf"says {name}\.learning_rate is .* transfer again"):
        read_recipe(tmp_path / "recipe.yaml")


def test_an_unknown_parametrization_is_refused(target: MakeTarget) -> None:
    with pytest.raises(InputError, match="parametrization=ntk"):
        recipe_of(target(parametrization="ntk"), None)


@pytest.mark.parametrize("base_width", [0, -64])
def test_an_impossible_base_width_is_refused(target: MakeTarget, base_width: int) -> None:
    """Guards against a division by zero in place of a message."""
    with pytest.raises(InputError):
        recipe_of(target(base_width=base_width), None)
