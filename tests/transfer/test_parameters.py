"""The absolute values of every parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from torch import nn

from smupar_transfer.model import build, construct, outline, plan_of
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.theory import PARAMETRIZATIONS, SMUPAR, BaseHyperparameters, InputError, Role, ScaleFactors, scale
from smupar_transfer.transfer import ParameterPlan, Rules, plan_parameters

SpecMaker = Callable[..., RunSpec]


def rows(spec: RunSpec) -> dict[str, ParameterPlan]:
    return {row.name: row for row in build(spec)[1]}


def test_rows_name_shape_and_role_of_every_parameter(gpt: SpecMaker) -> None:
    network, plan = build(gpt(density=0.25))
    shapes = [(name, tuple(parameter.shape)) for name, parameter in network.named_parameters()]
    assert [(row.name, row.shape) for row in plan] == shapes
    by_name = {row.name: row for row in plan}
    down = by_name["blocks.0.mlp.down.weight"]
    assert (down.shape, down.fan_in, down.density, down.role) == ((64, 256), 256, 0.25, Role.HIDDEN)
    assert {row.density for row in plan if row.role is not Role.HIDDEN} == {1.0}


def test_numbers_by_hand(gpt: SpecMaker) -> None:
    """m_d = 4, m_rho = 1/4: m_d m_rho = 1, so hidden weights are trained exactly as in the proxy."""
    quarter = rows(gpt(density=0.25))
    hidden = quarter["blocks.1.attention.qkv.weight"]
    assert (hidden.init_std, hidden.learning_rate, hidden.weight_decay) == (0.1, 0.01, 0.1)
    assert hidden.epsilon == 1e-8 / 4
    denser = rows(gpt(density=0.5))["blocks.1.attention.qkv.weight"]
    assert denser.learning_rate == 0.01 / 2
    assert denser.init_std == pytest.approx(0.1 / 2**0.5)
    assert denser.weight_decay == pytest.approx(0.2)
    norm = quarter["norm.weight"]
    assert (norm.init_std, norm.learning_rate, norm.weight_decay, norm.role) == (0.0, 0.01, 0.0, Role.VECTOR)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("kind", ["gpt", "mlp"])
def test_every_row_is_its_tables_rule(gpt: SpecMaker, mlp: SpecMaker, kind: str, name: str) -> None:
    made = gpt(density=0.5, tied=False, bias=True) if kind == "gpt" else mlp(density=0.5)
    spec = replace(made, parametrization=name)
    planned = rows(spec)
    assert {row.role for row in planned.values()} == set(Role)
    for row in planned.values():
        width, density = 1.0 if row.name == "readout.bias" else 4.0, 0.5 if row.role is Role.HIDDEN else 1.0
        factors = ScaleFactors(width, density)
        rule = scale(PARAMETRIZATIONS[name], row.role, factors, spec.hparams, spec.optimizer)
        for quantity in rule.__dataclass_fields__:
            assert getattr(row, quantity) == getattr(rule, quantity), (row.name, quantity)


def test_a_readouts_bias_is_the_same_at_every_width(mlp: SpecMaker) -> None:
    planned = rows(mlp())
    assert planned["readout.bias"].epsilon == 1e-8
    assert planned["hidden.0.bias"].epsilon == 1e-8 / 4


def test_layers_are_scaled_by_their_own_measured_density(gpt: SpecMaker) -> None:
    spec = gpt(density=0.3, mask="bernoulli")
    network, plan = build(spec)
    for row in plan:
        if row.role is Role.HIDDEN:
            layer = network.get_submodule(row.name.removesuffix(".weight"))
            assert isinstance(layer, SparseLinear)
            assert row.density == float(layer.mask.double().mean()) != 0.3
            assert row.learning_rate == pytest.approx(0.01 / (4 * row.density))
    assert len({row.density for row in plan if row.role is Role.HIDDEN}) == 8
    assert plan == plan_of(network, spec)
    assert plan == plan_of(outline(spec), spec), "known before masks are drawn: what explain says is trained"
    assert plan != plan_of(outline(spec), replace(spec, seed=1))


@pytest.mark.parametrize("kind", ["gpt", "mlp"])
@pytest.mark.parametrize("mask", ["random", "fixed_fan_in"])
def test_exact_masks_are_planned_without_a_draw(gpt: SpecMaker, mlp: SpecMaker, kind: str, mask: str) -> None:
    """At a density that is no whole number of weights, so that nominal is not what was asked for."""
    spec = (gpt if kind == "gpt" else mlp)(density=0.307, mask=mask)
    plan = plan_of(outline(spec), spec)
    assert plan == build(spec)[1]
    assert all(row.density != 0.307 for row in plan)


def test_a_wide_target_is_planned_without_its_memory(gpt: SpecMaker) -> None:
    spec = gpt(width=65_536, density=0.01)
    plan = plan_of(outline(spec), spec)
    assert sum(row.shape[0] * row.shape[1] for row in plan if row.role is Role.HIDDEN) > 10**10


def test_at_density_one_supar_is_mup(gpt: SpecMaker) -> None:
    assert rows(gpt()) == rows(gpt(parametrization="mup"))
    assert rows(gpt(density=0.5)) != rows(gpt(density=0.5, parametrization="mup"))


@pytest.mark.parametrize(("width", "density"), [(32, 1 / 2), (64, 1 / 4), (256, 1 / 16)])
def test_at_equal_weights_per_neuron_supar_trains_hidden_weights_as_in_the_proxy(
    gpt: SpecMaker, width: int, density: float
) -> None:
    proxy = rows(gpt(width=16))
    spec = gpt(width=width, density=density)
    target, mup = rows(spec), rows(replace(spec, parametrization="mup"))
    for name, row in target.items():
        if row.role is Role.HIDDEN:
            assert row.fan_in * row.density == proxy[name].fan_in
            for quantity in ("init_std", "learning_rate", "weight_decay"):
                assert getattr(row, quantity) == getattr(proxy[name], quantity)
                assert getattr(mup[name], quantity) != getattr(proxy[name], quantity)


def test_a_network_without_masks_is_planned_as_dense(gpt: SpecMaker) -> None:
    spec = gpt(density=0.5)
    assert {row.density for row in plan_of(construct(spec), spec)} == {1.0}
    assert {row.density for row in plan_of(outline(spec), spec)} == {1.0, 0.5}


class Narrowing(nn.Module):
    """Somebody's network, whose second layer has a fan-in that grows half as fast as its width."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first = SparseLinear(width, inner, density=1.0)
        self.second = SparseLinear(inner, width, density=0.5)


def test_a_parameter_is_scaled_by_its_own_fan_in() -> None:
    rules = Rules(SMUPAR, BaseHyperparameters(0.01, 0.1))
    network = Narrowing(64, 32)
    network.second.draw_mask(named_generator(0, "mask", "second.weight"))
    plan = {row.name: row for row in plan_parameters(network, Narrowing(16, 16), rules)}
    assert (plan["first.weight"].width, plan["second.weight"].width) == (4.0, 2.0)
    assert plan["first.weight"].learning_rate == 0.01 / 4
    assert plan["second.weight"].density == 0.5
    assert plan["second.weight"].learning_rate == 0.01 / 2 / 0.5


def test_at_the_proxy_nothing_is_scaled() -> None:
    rules = Rules(SMUPAR, BaseHyperparameters(0.01, 0.1))
    for row in plan_parameters(Narrowing(16, 16), Narrowing(16, 16), rules):
        assert (row.width, row.learning_rate) == (1.0, 0.01 / row.density)


def test_a_proxy_of_another_architecture_is_refused_with_the_parameter() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = SparseLinear(16, 16, density=1.0)

    with pytest.raises(InputError, match=r"parameter=second\.weight: the base has no such parameter"):
        plan_parameters(Narrowing(64, 32), Other(), Rules(SMUPAR, BaseHyperparameters(0.01, 0.1)))
