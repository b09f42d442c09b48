"""Networks that nobody should plan, and such that are only unusual: a right answer or one clear error."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import OpenRolesError, Plan, plan
from tests.transfer.networks import (
    HPARAMS,
    Mlp,
    batch,
    loss_of,
    make,
    masks_of,
    off_mask_values,
    planned,
    same,
    state,
    train,
)

RATE = {"learning_rate": 0.1}


def _refused(call: Callable[[], object], pattern: str, kind: type[InputError] = InputError) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        call()
    assert type(caught.value) is kind
    if kind is InputError:
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600


def _with(width: int, **parameters: nn.Parameter) -> Any:
    """The ordinary network, with parameters of its own beside its modules."""
    network = make("mlp", width)
    for name, parameter in parameters.items():
        network.register_parameter(name, parameter)
    return network


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(lambda width: nn.Parameter(torch.ones(())), id="without dimensions"),
        pytest.param(lambda width: nn.Parameter(torch.ones(width, dtype=torch.complex64)), id="complex"),
        pytest.param(lambda width: _fixed(torch.arange(width)), id="integer"),
        pytest.param(lambda width: _fixed(torch.ones(width, dtype=torch.bool)), id="boolean"),
        pytest.param(lambda width: nn.Parameter(torch.zeros(1, 1, width)), id="of single rows"),
        pytest.param(lambda width: nn.Parameter(torch.ones(width).bfloat16()), id="half as precise"),
    ],
)
def test_unusual_vectors_are_planned_as_vectors(own: Callable[[int], nn.Parameter]) -> None:
    network, values = _with(32, odd=own(32)), own(32)
    made = plan(network, _with(16, odd=own(16)), density=0.25, hparams=RATE)
    made.apply_(network)
    assert made["odd"].role == "vector"
    assert torch.equal(network.odd, values)
    assert torch.optim.SGD(made.groups(network))


def test_integer_and_complex_matrices_are_planned_by_what_is_said() -> None:
    for values in (torch.ones(32, 32, dtype=torch.complex64), torch.ones(32, 32, dtype=torch.int8)):
        network = _with(32, odd=_fixed(values))
        made = plan(network, _with(16, odd=_fixed(values[:16, :16])), density=0.25, roles={"odd": "hidden"})
        made.apply_(network)
        assert int(network.odd.count_nonzero()) == 256


def test_empty_and_uninitialised_parameters_are_refused() -> None:
    empty = _with(32, odd=nn.Parameter(torch.ones(0, 32)))
    _refused(lambda: plan(empty, _with(16, odd=nn.Parameter(torch.ones(0, 16)))), r"odd.*is empty")
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
        pytest.param(lambda: _with(16, odd=nn.Parameter(torch.ones(3))), "odd: only the base has it", id="more names"),
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


def test_a_network_narrower_than_its_base_is_scaled_the_other_way() -> None:
    network = make("mlp", 16)
    made = plan(network, make("mlp", 64), hparams=RATE)
    assert made["blocks.0.weight"].learning_rate_factor == 4
    made.apply_(network)
    assert network(batch("mlp")).isfinite().all()


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


def test_a_default_device_changes_nothing(tmp_path: Path) -> None:
    expected, reference = planned(density="bernoulli:0.3")
    network, base, own = make("mlp", 32), make("mlp", 16, seed=100), torch.eye(32, dtype=torch.bool)
    with torch.device("meta"):
        made = plan(network, base, density="bernoulli:0.3", hparams=HPARAMS)
        made.apply_(network)
        masked = plan(reference, base, masks={"blocks.0.weight": own})
        masked.save(tmp_path / "plan.json")
        loaded = Plan.load(tmp_path / "plan.json")
    assert made.digest == expected.digest
    assert same(state(network), state(reference))
    assert torch.equal(loaded.own_masks["blocks.0.weight"], own)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_networks_of_other_precisions_stay_in_them(dtype: torch.dtype) -> None:
    network = make("mlp", 32).to(dtype)
    made = plan(network, make("mlp", 16), density=0.25, hparams=RATE)
    made.apply_(network)
    assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    assert {mask.dtype for mask in masks_of(network).values()} == {torch.bool}
    optimizer = torch.optim.AdamW(made.groups(network))
    loss_of(network(batch("mlp").to(dtype))).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert off_mask_values(network) == 0
    reference, _ = planned(hparams=RATE)
    assert [row.learning_rate for row in made.rows] == [row.learning_rate for row in reference.rows]


def test_frozen_networks_keep_their_values() -> None:
    network = make("mlp", 32)
    network.requires_grad_(False)
    before = state(network)
    made = plan(network, make("mlp", 16), hparams={**RATE, "init_scale": 2.0})
    made.apply_(network, digest=False)
    assert same(state(network), before)
    assert made.groups(network) == []


def test_a_parameter_that_is_registered_twice_counts_once() -> None:
    class Twice(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.inner = make("mlp", width)
            self.again = self.inner
            self.alias = self.inner.head.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.again(x) + x @ self.inner.first.weight.T @ self.alias.T  # type: ignore[no-any-return]

    network = Twice(32)
    made = plan(network, Twice(16), density=0.25, hparams={**RATE, "output_multiplier": 3.0})
    made.apply_(network)
    assert sum(row.name.endswith("head.weight") or row.name == "alias" for row in made.rows) == 1
    assert sum(len(group["params"]) for group in made.groups(network)) == len(list(network.parameters()))
    train(network, torch.optim.AdamW(made.groups(network)), "mlp", range(2))
    assert off_mask_values(network) == 0


class Keywords(nn.Module):
    """Calls its ends with keyword arguments, and has experts in a list."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, width)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.router = nn.Linear(width, 3)
        self.head = nn.Linear(width, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(input=tokens)
        weights = self.router(input=x).softmax(-1)
        x = x + sum(weights[..., place, None] * expert(x) for place, expert in enumerate(self.experts))
        return self.head(input=x)  # type: ignore[no-any-return]


def test_hooks_multiply_what_comes_by_keyword_and_experts_become_sparse() -> None:
    network = Keywords(32)
    made = plan(
        network, Keywords(16), density=0.25, hparams={**RATE, "input_multiplier": 2.0, "output_multiplier": 3.0}
    )
    made.apply_(network)
    x = batch("transformer")
    output = network(x)
    made.fold_(network)
    torch.testing.assert_close(network(x), output)
    assert [made[f"experts.{place}.weight"].m_rho for place in range(3)] == [0.25] * 3
    assert made["router.weight"].role == "readout"


def test_names_that_look_pruned_are_ordinary_names() -> None:
    def make_one(width: int) -> Any:
        return _with(width, odd=nn.Parameter(torch.ones(width)), odd_orig=nn.Parameter(torch.ones(width, width)))

    network = make_one(32)
    made = plan(network, make_one(16), density=0.5, roles={"odd_orig": "hidden"}, hparams=RATE)
    assert (made["odd"].role, made["odd"].name) == ("vector", "odd")
    assert (made["odd_orig"].role, made["module.odd_orig"].name) == ("hidden", "odd_orig")


class Listed(nn.Module):
    """Keeps its hidden weights in a list and in a dictionary of parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(6, width), nn.Linear(width, 5)
        self.weights = nn.ParameterList(torch.randn(width, width) / width**0.5 for _ in range(2))
        self.others = nn.ParameterDict({"one": torch.randn(width, width) / width**0.5})

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for weight in (*self.weights, *self.others.values()):
            x = x @ weight
        return self.head(x)  # type: ignore[no-any-return]


def test_parameters_in_lists_and_dictionaries_are_held_to_masks() -> None:
    network = Listed(32)
    made = plan(network, Listed(16), sample=batch("mlp"), density=0.25, hparams=RATE)
    made.apply_(network)
    assert (len(network.weights), list(network.others)) == (2, ["one"])
    train(network, torch.optim.AdamW(made.groups(network)), "mlp", range(2))
    assert [int(weight.count_nonzero()) for weight in (*network.weights, *network.others.values())] == [256] * 3


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
