"""Every parameter is claimed exactly once, or the network is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from smupar_transfer.model import outline, plan_of
from smupar_transfer.records import Activation, Positions, RunSpec
from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer import (
    Embedding,
    Evidence,
    OpenRolesError,
    ReadoutLinear,
    claim_parameters,
    plan,
    role_table,
)

SpecMaker = Callable[..., RunSpec]
VARIANTS = list(itertools.product(Activation, Positions, [True, False], [True, False]))


@pytest.mark.parametrize(("activation", "positions", "tied", "bias"), VARIANTS)
def test_every_gpt_is_claimed_completely(
    gpt: SpecMaker, activation: Activation, positions: Positions, tied: bool, bias: bool
) -> None:
    network = outline(gpt(activation=activation, positions=positions, tied=tied, bias=bias))
    table = role_table(network)
    assert list(table) == [name for name, _ in network.named_parameters()]
    projections = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    hidden = {f"blocks.{block}.{name}.weight" for block in range(2) for name in projections}
    embeddings = {"tokens.weight"} | ({"positions.weight"} if positions is Positions.LEARNED else set())
    assert {name for name, claim in table.items() if claim.role is Role.HIDDEN} == hidden
    assert {name for name, claim in table.items() if claim.role is Role.EMBEDDING} == embeddings
    readouts = {name for name, claim in table.items() if claim.role is Role.READOUT}
    assert readouts == (set() if tied else {"readout.weight"})
    assert any(name.endswith("bias") for name in table) is bias
    for name, claim in table.items():
        assert (claim.role is Role.VECTOR) == (claim.layout is None) == (claim.fan_in == 1), name
    fan_in = {name: table[f"blocks.1.{name}.weight"].fan_in for name in projections}
    assert fan_in == {"attention.qkv": 64, "attention.out": 64, "mlp.up": 64, "mlp.down": 256}


@pytest.mark.parametrize("bias", [True, False])
def test_an_mlp_is_claimed_completely(mlp: SpecMaker, bias: bool) -> None:
    table = role_table(outline(mlp(depth=1, bias=bias)))
    weights = {"input.weight": "embedding", "hidden.0.weight": "hidden", "readout.weight": "readout"}
    biases = {"input.bias": "vector", "hidden.0.bias": "vector", "readout.bias": "vector"} if bias else {}
    assert {name: str(claim.role) for name, claim in table.items()} == weights | biases
    fan_in = {name: claim.fan_in for name, claim in table.items() if claim.fan_in > 1}
    assert fan_in == {"input.weight": 10, "hidden.0.weight": 64, "readout.weight": 64}


def test_a_readouts_bias_does_not_grow(mlp: SpecMaker) -> None:
    wide, narrow = (outline(mlp(depth=1, width=width)) for width in (64, 16))
    ratios = {claim.name: claim.width for claim in claim_parameters(Evidence(wide, narrow))}
    assert {name for name, ratio in ratios.items() if ratio == 1} == {"readout.bias"}
    assert set(ratios.values()) == {1.0, 4.0}


@pytest.mark.parametrize("extra", [nn.Linear(3, 3), nn.Conv1d(2, 2, 1), nn.LSTM(2, 2)])
def test_a_module_whose_type_settles_nothing_is_an_error_that_names_it(gpt: SpecMaker, extra: nn.Module) -> None:
    spec = gpt()
    network = outline(spec)
    network.get_submodule("blocks.1").add_module("adapter", extra)
    name = next(iter(dict(extra.named_parameters())))
    with pytest.raises(OpenRolesError, match=rf"blocks\.\*\.adapter\.{name}  \({next(extra.parameters()).shape[0]}, "):
        role_table(network)
    with pytest.raises(InputError, match=rf"parameter=blocks\.1\.adapter\.{name}: the base has no such parameter"):
        plan_of(network, spec)


@pytest.mark.parametrize("owner", ["", "blocks.1", "blocks.0.mlp.up", "norm"])
def test_a_bare_matrix_is_an_error_that_names_it(gpt: SpecMaker, owner: str) -> None:
    network = outline(gpt())
    network.get_submodule(owner).register_parameter("temperature", nn.Parameter(torch.zeros(2, 2)))
    with pytest.raises(OpenRolesError) as caught:
        role_table(network)
    assert [parameter.name for parameter in caught.value.parameters] == [f"{owner}.temperature".removeprefix(".")]


def test_a_shared_parameter_is_claimed_once_under_its_first_name() -> None:
    """Tied weights appear once in ``named_parameters``: the embedding's role wins over the readout's."""
    network = nn.ModuleDict({"tokens": Embedding(5, 3), "readout": ReadoutLinear(3, 5, bias=False)})
    network["readout"].weight = network["tokens"].weight
    ((name, claim),) = role_table(network).items()
    assert (name, claim.role) == ("tokens.weight", Role.EMBEDDING)


class Stacked(nn.Module):
    """Blocks in a list, and an output layer of as many outputs as there are blocks."""

    def __init__(self, width: int, block: Callable[[int], nn.Module], others: int = 0) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.blocks = nn.ModuleList(block(width) for _ in range(4))
        self.head = nn.Linear(width, 4)
        if others:
            self.other = nn.Linear(width, others)


def feed_forward(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU())


def normalised(width: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))


def head_of(make: Callable[[int], nn.Module]) -> tuple[float, dict[str, float]]:
    """How fast the head's weight learns, and what hooks multiply with."""
    made = plan(make(32), make(16), hparams={"output_multiplier": 3.0})
    return made["head.weight"].learning_rate_factor, {hook.module: hook.factor for hook in made.multipliers}


@pytest.mark.parametrize(
    ("block", "others"),
    [
        pytest.param(feed_forward, 0, id="the only output layer"),
        pytest.param(feed_forward, 4, id="two alike"),
        pytest.param(normalised, 7, id="beside blocks that normalise"),
    ],
)
def test_as_many_classes_as_blocks_are_no_router(block: Callable[[int], nn.Module], others: int) -> None:
    """Guards against an output multiplier that is lost: ten blocks and ten classes are nothing unusual."""
    rate, hooks = head_of(lambda width: Stacked(width, block, others))
    assert (rate, hooks["head"]) == (1, 1.5)


def test_beside_another_output_layer_plain_layers_are_experts_and_what_counts_them_is_their_router() -> None:
    rate, hooks = head_of(lambda width: Stacked(width, feed_forward, 7))
    assert (rate, list(hooks)) == (0.5, ["other"])


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(lambda width: nn.Conv1d(width, 4, 1), id="its own kernel"),
        pytest.param(lambda width: nn.Sequential(nn.Bilinear(6, 6, 4), nn.Linear(width, 4)), id="a bilinear layer"),
    ],
)
def test_kernels_beside_an_output_layer_are_no_experts(last: Callable[[int], nn.Module]) -> None:
    def make(width: int) -> nn.Module:
        layers = last(width)
        return nn.Sequential(nn.Conv1d(3, width, 1), *(layers if isinstance(layers, nn.Sequential) else [layers]))

    made = plan(make(32), make(16), hparams={"output_multiplier": 3.0})
    (hook,) = (hook for hook in made.multipliers if hook.factor == 1.5)
    assert (hook.side, made[f"{hook.module}.weight"].role) == ("input", "readout")
