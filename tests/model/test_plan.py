"""The absolute values of every parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.model import build, construct, outline, plan_parameters
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import Role

SpecMaker = Callable[..., RunSpec]


def test_rows_name_shape_and_role_of_every_parameter(gpt: SpecMaker) -> None:
    network, plan = build(gpt(density=0.25))
    assert [(row.name, row.shape) for row in plan] == [(n, tuple(p.shape)) for n, p in network.named_parameters()]
    by_name = {row.name: row for row in plan}
    down = by_name["blocks.0.mlp.down.weight"]
    assert (down.shape, down.fan_in, down.density, down.role) == ((64, 256), 256, 0.25, Role.HIDDEN)
    assert by_name["tokens.weight"].density == 1.0


def test_numbers_by_hand(gpt: SpecMaker) -> None:
    """m_d = 4, m_rho = 1/4: m_d m_rho = 1, so hidden weights are trained exactly as in the proxy."""
    rows = {row.name: row for row in build(gpt(density=0.25))[1]}
    hidden = rows["blocks.1.attention.qkv.weight"]
    assert (hidden.init_std, hidden.learning_rate, hidden.weight_decay) == (0.1, 0.01, 0.1)
    assert hidden.epsilon == 1e-8 / 4
    denser = {row.name: row for row in build(gpt(density=0.5))[1]}["blocks.1.attention.qkv.weight"]
    assert denser.learning_rate == 0.01 / 2
    assert denser.init_std == pytest.approx(0.1 / 2**0.5)
    assert denser.weight_decay == pytest.approx(0.2)
    norm = rows["norm.weight"]
    assert (norm.init_std, norm.learning_rate, norm.weight_decay, norm.role) == (0.0, 0.01, 0.0, Role.VECTOR)


def test_a_readouts_bias_is_the_same_at_every_width(mlp: SpecMaker) -> None:
    rows = {row.name: row for row in build(mlp())[1]}
    assert rows["readout.bias"].epsilon == 1e-8
    assert rows["hidden.0.bias"].epsilon == 1e-8 / 4


def test_layers_are_scaled_by_their_own_measured_density(gpt: SpecMaker) -> None:
    spec = gpt(density=0.25, mask="bernoulli")
    network, plan = build(spec)
    densities = {row.density for row in plan if row.role is Role.HIDDEN}
    assert len(densities) > 1
    for row in plan:
        if row.role is Role.HIDDEN:
            assert row.learning_rate == pytest.approx(0.01 / (4 * row.density))
    assert plan == plan_parameters(network, spec)


@pytest.mark.parametrize("mask", ["random", "fixed_fan_in"])
def test_exact_masks_are_planned_without_being_drawn(gpt: SpecMaker, mask: str) -> None:
    spec = gpt(density=0.3, mask=mask)
    assert plan_parameters(outline(spec), spec) == build(spec)[1]


def test_a_wide_target_is_planned_without_its_memory(gpt: SpecMaker) -> None:
    spec = gpt(width=65_536, density=0.01)
    plan = plan_parameters(outline(spec), spec)
    assert sum(row.shape[0] * row.shape[1] for row in plan if row.role is Role.HIDDEN) > 10**10


def test_at_density_one_supar_is_mup(gpt: SpecMaker) -> None:
    assert build(gpt())[1] == build(gpt(parametrization="mup"))[1]
    assert build(gpt(density=0.5))[1] != build(gpt(density=0.5, parametrization="mup"))[1]


def test_a_network_without_masks_is_planned_as_dense(gpt: SpecMaker) -> None:
    spec = gpt(density=0.5)
    assert {row.density for row in plan_parameters(construct(spec), spec)} == {1.0}
    assert {row.density for row in plan_parameters(outline(spec), replace(spec))} == {1.0, 0.5}
