"""What masks came out as."""

from __future__ import annotations

import torch
from torch import nn

from smupar_transfer.records import MaskKind
from smupar_transfer.sparsity import SparseLinear, named_generator, sparsity_report


def drawn(kind: MaskKind, density: float) -> SparseLinear:
    module = SparseLinear(64, 256, density=density, mask_kind=kind)
    module.draw_mask(named_generator(0, "mask", "w"))
    return module


def test_numbers_of_a_mask_set_by_hand() -> None:
    network = nn.Sequential(nn.Linear(3, 3), SparseLinear(4, 3))
    layer = network[1]
    assert isinstance(layer, SparseLinear)
    layer.mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    (row,) = sparsity_report(network)
    assert (row.name, row.nonzero, row.size, row.weights_per_neuron, row.dead_outputs) == ("1.weight", 3, 12, 1.0, 1)
    assert row.density == 0.25


def test_bernoulli_masks_leave_outputs_dead_where_fixed_fan_in_does_not() -> None:
    """With probability (1 - rho)**fan_in, 37 % at rho = 1/64 and 64 inputs."""
    (bernoulli,) = sparsity_report(drawn(MaskKind.BERNOULLI, 1 / 64))
    (fixed,) = sparsity_report(drawn(MaskKind.FIXED_FAN_IN, 1 / 64))
    assert 0.25 < bernoulli.dead_outputs / 256 < 0.5
    assert fixed.dead_outputs == 0
    assert fixed.weights_per_neuron == 1
