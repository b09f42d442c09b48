"""What masks came out as."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smupar_transfer.records import MaskKind
from smupar_transfer.sparsity import SparseLinear, named_generator, sparsity_report


def drawn(kind: MaskKind, density: float, fan_in: int = 64, seed: int = 0) -> SparseLinear:
    module = SparseLinear(fan_in, 256, density=density, mask_kind=kind)
    module.draw_mask(named_generator(seed, "mask", "w"))
    return module


def test_numbers_of_a_mask_set_by_hand() -> None:
    network = nn.Sequential(nn.Linear(3, 3), SparseLinear(4, 3))
    layer = network[1]
    assert isinstance(layer, SparseLinear)
    layer.mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    (row,) = sparsity_report(network)
    assert (row.name, row.nonzero, row.size) == ("1.weight", 3, 12)
    assert (row.weights_per_neuron, row.dead_outputs, row.density) == (1.0, 1, 0.25)


def test_every_sparse_layer_has_a_row_in_the_order_of_modules() -> None:
    half, full = drawn(MaskKind.RANDOM, 0.5), SparseLinear(8, 8)
    rows = sparsity_report(nn.ModuleDict({"b": half, "dense": nn.Linear(2, 2), "a": full}))
    assert [(row.name, row.density) for row in rows] == [("b.weight", 0.5), ("a.weight", 1.0)]
    assert sparsity_report(SparseLinear(8, 8))[0].name == "weight"


def test_bernoulli_masks_leave_outputs_dead() -> None:
    """With probability (1 - rho)**fan_in, 37 % at rho = 1/64 and 64 inputs."""
    layers = nn.ModuleList(drawn(MaskKind.BERNOULLI, 1 / 64, seed=seed) for seed in range(20))
    dead = sum(row.dead_outputs for row in sparsity_report(layers))
    probability = (1 - 1 / 64) ** 64
    deviation = (probability * (1 - probability) / (20 * 256)) ** 0.5
    assert dead / (20 * 256) == pytest.approx(probability, abs=4 * deviation)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 64), st.data())
def test_fixed_fan_in_masks_never_do(fan_in: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, fan_in))
    (row,) = sparsity_report(drawn(MaskKind.FIXED_FAN_IN, kept / fan_in, fan_in))
    assert row.dead_outputs == 0
    assert row.weights_per_neuron == kept
