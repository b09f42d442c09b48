"""Networks that are only unusual are planned as any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.transfer import Plan, plan
from tests.transfer.networks import (
    HPARAMS,
    batch,
    extended,
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
    network, values = extended(32, odd=own(32)), own(32)
    made = plan(network, extended(16, odd=own(16)), density=0.25, hparams=RATE)
    made.apply_(network)
    assert made["odd"].role == "vector"
    assert torch.equal(network.odd, values)
    assert torch.optim.SGD(made.groups(network))


def test_integer_and_complex_matrices_are_planned_by_what_is_said() -> None:
    for values in (torch.ones(32, 32, dtype=torch.complex64), torch.ones(32, 32, dtype=torch.int8)):
        network = extended(32, odd=_fixed(values))
        made = plan(network, extended(16, odd=_fixed(values[:16, :16])), density=0.25, roles={"odd": "hidden"})
        made.apply_(network)
        assert int(network.odd.count_nonzero()) == 256


def test_a_network_narrower_than_its_base_is_scaled_the_other_way() -> None:
    network = make("mlp", 16)
    made = plan(network, make("mlp", 64), hparams=RATE)
    assert made["blocks.0.weight"].learning_rate_factor == 4
    made.apply_(network)
    assert network(batch("mlp")).isfinite().all()


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
        return extended(width, odd=nn.Parameter(torch.ones(width)), odd_orig=nn.Parameter(torch.ones(width, width)))

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
