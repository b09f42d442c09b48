"""Every parameter is claimed exactly once, or the network is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from smupar_transfer.model import Embedding, ReadoutLinear, UnclaimedParameterError, outline, role_table
from smupar_transfer.records import Activation, Positions, RunSpec
from smupar_transfer.theory import Role

SpecMaker = Callable[..., RunSpec]
VARIANTS = list(itertools.product(Activation, Positions, [True, False], [True, False]))


@pytest.mark.parametrize(("activation", "positions", "tied", "bias"), VARIANTS)
def test_every_gpt_is_claimed_completely(
    gpt: SpecMaker, activation: Activation, positions: Positions, tied: bool, bias: bool
) -> None:
    network = outline(gpt(activation=activation, positions=positions, tied=tied, bias=bias))
    table = role_table(network)
    assert list(table) == [name for name, _ in network.named_parameters()]
    hidden = {name for name, claim in table.items() if claim.role is Role.HIDDEN}
    assert len(hidden) == 2 * 4
    assert all(".attention." in name or ".mlp." in name for name in hidden)
    embeddings = {name for name, claim in table.items() if claim.role is Role.EMBEDDING}
    assert embeddings == {"tokens.weight"} | ({"positions.weight"} if positions is Positions.LEARNED else set())
    assert ("readout.weight" in table) is not tied
    assert any(name.endswith("bias") for name in table) is bias
    for claim in table.values():
        assert (claim.role is Role.VECTOR) == (claim.constant is not None) == (claim.fan_in == 1)


def test_an_mlp_is_claimed_completely(mlp: SpecMaker) -> None:
    table = role_table(outline(mlp(depth=1)))
    roles = {name: str(claim.role) for name, claim in table.items()}
    assert roles == {
        "input.weight": "embedding",
        "input.bias": "vector",
        "hidden.0.weight": "hidden",
        "hidden.0.bias": "vector",
        "readout.weight": "readout",
        "readout.bias": "vector",
    }
    assert {name: claim.fan_in for name, claim in table.items() if claim.fan_in > 1} == {
        "input.weight": 10,
        "hidden.0.weight": 64,
        "readout.weight": 64,
    }


def test_a_readouts_bias_does_not_grow(mlp: SpecMaker) -> None:
    grows = {name: claim.grows for name, claim in role_table(outline(mlp(depth=1))).items()}
    assert [name for name, value in grows.items() if not value] == ["readout.bias"]


@pytest.mark.parametrize("extra", [nn.Linear(3, 3), nn.Conv1d(2, 2, 1), nn.LSTM(2, 2)])
def test_a_module_of_unknown_type_is_an_error_that_names_it(gpt: SpecMaker, extra: nn.Module) -> None:
    network = outline(gpt())
    network.get_submodule("blocks.1").add_module("adapter", extra)
    name = next(iter(dict(extra.named_parameters())))
    with pytest.raises(UnclaimedParameterError, match=rf"no role for parameter blocks\.1\.adapter\.{name}"):
        role_table(network)


def test_a_bare_parameter_is_an_error_that_names_it(mlp: SpecMaker) -> None:
    network = outline(mlp())
    network.register_parameter("temperature", nn.Parameter(torch.zeros(1)))
    with pytest.raises(UnclaimedParameterError, match="no role for parameter temperature"):
        role_table(network)


def test_a_shared_parameter_is_claimed_under_its_first_name() -> None:
    """Tied weights appear once in ``named_parameters``: the embedding's role wins over the readout's."""
    network = nn.ModuleDict({"tokens": Embedding(5, 3), "readout": ReadoutLinear(3, 5, bias=False)})
    network["readout"].weight = network["tokens"].weight
    assert {name: claim.role for name, claim in role_table(network).items()} == {"tokens.weight": Role.EMBEDDING}
