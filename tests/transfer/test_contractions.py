"""What a forward pass tells of parameters that no module of a known type owns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.transfer import OpenRolesError, Plan, plan

HEAD = 16
FEATURES = 6


class Ends(nn.Module):
    """An input layer and an output layer, with something of its own between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inside(self.first(x)))  # type: ignore[no-any-return]

    def inside(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Heads(Ends):
    """Projections whose heads have an axis of their own, as einsum takes them."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        heads = width // HEAD
        self.queries = nn.Parameter(torch.randn(width, heads, HEAD) * width**-0.5)
        self.out = nn.Parameter(torch.randn(heads, HEAD, width) * width**-0.5)

    def inside(self, x: Tensor) -> Tensor:
        return torch.einsum("bhd,hdw->bw", torch.einsum("bw,whd->bhd", x, self.queries), self.out)


class Learned(Ends):
    """Learned queries that a layer projects, or a product of somebody's own, before anything is added to them."""

    def __init__(self, width: int, bare: bool, normed: bool = False) -> None:
        super().__init__(width)
        self.queries = nn.Parameter(torch.randn(5, width) * 0.02)
        self.project = nn.Linear(width, width)
        self.bare = nn.Parameter(torch.eye(width)) if bare else None
        self.norm = nn.LayerNorm(width) if normed else None

    def inside(self, x: Tensor) -> Tensor:
        queries = self.queries if self.norm is None else self.norm(self.queries)
        queries = self.project(queries) if self.bare is None else queries @ self.bare
        return (queries @ x[..., None]).softmax(1).mT @ queries


class Patches(Ends):
    """A learned image that goes through a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.image = nn.Parameter(torch.randn(1, width, 4))
        self.mix = nn.Conv1d(width, width, 1)

    def inside(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.image.expand(x.shape[0], -1, -1))
        return x + mixed.mean(-1)


def planned(wide: nn.Module, narrow: nn.Module, **settings: float) -> Plan:
    return plan(wide, narrow, sample=torch.randn(2, FEATURES), density=0.5, hparams={"learning_rate": 1.0, **settings})


def test_several_axes_that_are_summed_over_together_are_the_inputs() -> None:
    """Guards against a fan-in of four heads where an output sums over four heads of sixteen channels."""
    made = planned(Heads(64), Heads(32))
    queries, out = made["queries"], made["out"]
    assert (queries.role, queries.fan_in, queries.m_d) == ("hidden", 64, 2)
    assert (out.role, out.fan_in, out.m_d) == ("hidden", 64, 2)
    assert out.why == "a forward pass sums over axes 0 and 1; inputs and outputs grow"
    assert made.cautions == (), "32 weights an output are enough"
    network = Heads(64)
    plan(network, Heads(32), sample=torch.randn(2, FEATURES), density="fixed_fan_in:0.5").apply_(network)
    assert network.out.count_nonzero((0, 1)).tolist() == [32] * 64, "every output keeps equally many inputs"


@pytest.mark.parametrize("normed", [False, True], ids=["as they are", "normalised first"])
def test_learned_queries_that_go_into_a_layer_are_no_readout(normed: bool) -> None:
    """Guards against rates and values of queries that shrink with the width, and have the output's multiplier."""
    made = planned(
        Learned(64, bare=False, normed=normed), Learned(32, bare=False, normed=normed), output_multiplier=3.0
    )
    assert (made["queries"].role, made["queries"].learning_rate, made["queries"].m_d) == ("vector", 1, 2)
    assert made["project.weight"].role == "hidden"


def test_of_two_bare_parameters_that_are_multiplied_nothing_tells_which_is_the_weight() -> None:
    with pytest.raises(OpenRolesError) as caught:
        planned(Learned(64, bare=True), Learned(32, bare=True))
    assert [parameter.name for parameter in caught.value.parameters] == ["queries", "bare"]


def test_what_goes_into_a_convolution_is_no_weight() -> None:
    made = planned(Patches(64), Patches(32))
    assert (made["image"].role, made["image"].why) == ("vector", "a forward pass sums over none of its axes")
