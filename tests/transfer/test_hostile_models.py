"""Networks that nobody should plan: one clear error each, and nothing has changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import OpenRolesError, plan
from tests.transfer.networks import (
    Mlp,
    extended,
    make,
    off_mask_values,
    planned,
    same,
    state,
)

RATE = {"learning_rate": 0.1}


def _refused(call: Callable[[], object], pattern: str, kind: type[InputError] = InputError) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        call()
    assert type(caught.value) is kind
    if kind is InputError:
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600


def test_empty_and_uninitialised_parameters_are_refused() -> None:
    empty = extended(32, odd=nn.Parameter(torch.ones(0, 32)))
    _refused(lambda: plan(empty, extended(16, odd=nn.Parameter(torch.ones(0, 16)))), r"odd.*is empty")
    lazy = nn.Sequential(nn.LazyLinear(32), nn.Linear(32, 4))
    _refused(lambda: plan(lazy, lazy), "has no shape yet; run the lazy module once")
    _refused(lambda: plan(nn.Sequential(nn.Linear(6, 32), nn.Linear(32, 4)), lazy), "has no shape yet")


@pytest.mark.parametrize("network", [nn.Identity(), nn.Sequential(), nn.BatchNorm1d(3, affine=False)])
def test_networks_without_parameters_are_refused(network: nn.Module) -> None:
    _refused(lambda: plan(network, network), "has no parameters: there is nothing to plan")


@pytest.mark.parametrize(
    ("base", "pattern"),
    [
        pytest.param(lambda: nn.Sequential(nn.Linear(6, 16)), "the base has no such parameter", id="other names"),
        pytest.param(
            lambda: extended(16, odd=nn.Parameter(torch.ones(3))), "odd: only the base has it", id="more names"
        ),
        pytest.param(lambda: _deeper(16), "only the base has it", id="deeper"),
        pytest.param(lambda: _shaped(16), "has 2 dimensions, and 3 in the base", id="more dimensions"),
        pytest.param(lambda: _filled(16, math.nan), "base=.*has values that are not finite", id="not a number"),
        pytest.param(lambda: _filled(16, math.inf), "base=.*has values that are not finite", id="infinite"),
    ],
)
def test_bases_of_other_architectures_or_without_numbers_are_refused(base: Any, pattern: str) -> None:
    network = make("mlp", 32)
    before = state(network)
    _refused(lambda: plan(network, base(), density=0.25), pattern)
    assert same(state(network), before)


def _deeper(width: int) -> Any:
    network = make("mlp", width)
    network.blocks.append(nn.Linear(width, width))
    return network


def _shaped(width: int) -> Any:
    network = make("mlp", width)
    network.blocks[0].weight = nn.Parameter(torch.ones(width, width, 1))
    return network


def _filled(width: int, value: float) -> Any:
    network = make("mlp", width)
    nn.init.constant_(network.blocks[1].weight, value)
    return network


def test_a_base_of_equal_width_is_refused_where_it_matters_and_a_third_width_helps() -> None:
    network = make("mlp", 32)
    same_width = plan(network, make("mlp", 32, seed=1), hparams=RATE)
    assert all(row.learning_rate_factor == 1 for row in same_width.rows)
    _refused(lambda: plan(network, make("mlp", 32), density=0.5), "give delta=", OpenRolesError)
    _refused(lambda: plan(network, make("mlp", 32), hparams={"input_multiplier": 2.0}), "give delta=", OpenRolesError)
    made = plan(network, make("mlp", 32, seed=1), delta=make("mlp", 48), density=0.5, hparams=RATE)
    assert [row.m_rho for row in made.rows if row.role == "hidden"] == [0.5, 0.5]
    assert made["blocks.0.weight"].learning_rate_factor == 2
    made.apply_(network)
    assert off_mask_values(network) == 0


def test_zeros_of_the_base_are_kept_and_zeros_of_the_network_alone_are_refused() -> None:
    network, base = make("mlp", 32), make("mlp", 16)
    nn.init.zeros_(base.head.weight)
    plan(network, base).apply_(network)
    assert network.head.weight.count_nonzero() == 0
    network = make("mlp", 32)
    nn.init.zeros_(network.blocks[0].weight)
    made, before = plan(network, make("mlp", 16)), state(network)
    _refused(lambda: made.apply_(network), r"blocks\.0\.weight: is zero everywhere, and not in the base")
    assert same(state(network), before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_networks_whose_values_are_not_finite_are_refused_and_left_alone(value: float) -> None:
    network = make("mlp", 32)
    made = plan(network, make("mlp", 16), density=0.25, hparams=RATE)
    with torch.no_grad():
        network.head.weight[0, 0] = value
    before = {name: tensor.nan_to_num(7) for name, tensor in state(network).items()}
    _refused(lambda: made.apply_(network), r"head\.weight: has values that are not finite")
    assert same({name: tensor.nan_to_num(7) for name, tensor in network.state_dict().items()}, before)
    _refused(lambda: made.groups(network), "has no plan applied")


def test_networks_on_the_meta_device_are_planned_and_not_applied_to() -> None:
    with torch.device("meta"):
        network, base = Mlp(32), Mlp(16)
    made = plan(network, base, density=0.25, hparams=RATE)
    _refused(lambda: made.apply_(network), "has no values yet")
    _refused(lambda: made.apply_(make("mlp", 32)), "cannot be initialised relative to a base on the meta device")
    _refused(lambda: plan(network, base, density="found"), "is on the meta device, without values")
    filled = make("mlp", 32)
    plan(network, make("mlp", 16), density=0.25).apply_(filled)
    assert off_mask_values(filled) == 0


def test_huge_names_are_planned_and_messages_stay_short(tmp_path: Any) -> None:
    name = "x" * 5000

    def make_one(width: int) -> nn.Module:
        network = nn.Module()
        network.add_module(name, nn.Linear(width, width))
        network.register_parameter("odd", nn.Parameter(torch.ones(width, width)))
        return network

    made = plan(make_one(32), make_one(16), density=0.5, roles={"odd": "vector"}, hparams=RATE)
    assert made[f"{name}.weight"].m_rho == 0.5
    made.save(tmp_path / "plan.json")
    assert len(max(made.table(width=100).splitlines(), key=len)) <= 100
    other = make_one(24)
    _refused(lambda: made.apply_(other), "has shape")


def test_attributes_with_the_name_of_a_mask_are_not_overwritten() -> None:
    for there in (torch.ones(3), "a text", None):
        network = make("mlp", 32)
        if isinstance(there, Tensor):
            network.blocks[0].register_buffer("weight_mask", there)
        else:
            network.blocks[0].weight_mask = there
        made = plan(network, make("mlp", 16), density=0.25)
        before = state(network)
        _refused(lambda: made.apply_(network), r"blocks\.0\.weight_mask: is no mask of the weight beside it")  # noqa: B023
        assert same(state(network), before)


def test_a_weight_that_is_pruned_after_the_plan_was_applied_is_refused() -> None:
    made, network = planned()
    nn.utils.parametrizations.orthogonal(network.blocks[0])
    _refused(lambda: made.groups(network), "is no longer a parameter; prune or parametrize first")


def test_a_copy_of_a_network_that_was_refused_is_planned_like_the_original() -> None:
    network = make("mlp", 32)
    made = plan(network, make("mlp", 16), density=0.25, hparams=RATE)
    twin = copy.deepcopy(network)
    made.apply_(network)
    _refused(lambda: made.apply_(network), "has a plan applied already")
    made.apply_(twin)
    assert same(state(twin), state(network))
