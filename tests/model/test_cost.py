"""Parameters and operations, counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.model import build, network_cost
from smupar_transfer.records import Activation, Positions, RunSpec

SpecMaker = Callable[..., RunSpec]


@pytest.mark.parametrize("kind", ["gpt", "mlp"])
@pytest.mark.parametrize("mask", ["random", "fixed_fan_in", "bernoulli"])
@pytest.mark.parametrize("density", [1.0, 0.25])
def test_parameters_are_those_of_the_network(
    gpt: SpecMaker, mlp: SpecMaker, kind: str, mask: str, density: float
) -> None:
    spec = (gpt if kind == "gpt" else mlp)(density=density, mask=mask, bias=True)
    network, plan = build(spec)
    cost = network_cost(plan, spec)
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    # no initial weight but a bias is exactly zero
    zeros = sum(int((p == 0).sum()) for name, p in network.named_parameters() if not name.endswith("bias"))
    assert cost.nonzero_parameters == cost.parameters - zeros
    assert (zeros > 0) == (density < 1)


def test_operations_of_an_mlp_by_hand(mlp: SpecMaker) -> None:
    spec = mlp(depth=1, density=0.25)
    cost = network_cost(build(spec)[1], spec)
    assert cost.flops_dense == 6 * (10 * 64 + 64 * 64 + 64 * 5)
    assert cost.flops_sparse == 6 * (10 * 64 + 64 * 64 / 4 + 64 * 5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("positions", Positions)
@pytest.mark.parametrize(("activation", "up"), [(Activation.GELU, 256), (Activation.SWIGLU, 512)])
def test_operations_of_a_gpt_by_hand(
    gpt: SpecMaker, tied: bool, positions: Positions, activation: Activation, up: int
) -> None:
    """Look-ups are free, the readout is not, attention is half of all pairs; 2 layers, width 64, 8 tokens."""
    spec = gpt(tied=tied, positions=positions, activation=activation, bias=True)
    cost = network_cost(build(spec)[1], spec)
    weights = 2 * 64 * (3 * 64 + 64 + up + 256) + 64 * 32
    attention = 2 * (2 * 2 * 64 * 8 / 2) * 3
    assert cost.flops_dense == cost.flops_sparse == 6 * weights + attention


def test_sparse_operations_fall_with_density(gpt: SpecMaker) -> None:
    costs = [network_cost(build(gpt(density=rho))[1], gpt(density=rho)) for rho in (1.0, 0.5, 0.25)]
    assert len({cost.flops_dense for cost in costs}) == 1
    assert costs[0].flops_sparse == costs[0].flops_dense
    sparse = [cost.flops_sparse for cost in costs]
    assert sparse[0] - sparse[1] == 2 * (sparse[1] - sparse[2]) > 0
