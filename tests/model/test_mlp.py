"""The classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from smupar_transfer.model import MLP, build
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear

SpecMaker = Callable[..., RunSpec]


@pytest.mark.parametrize("bias", [True, False])
def test_its_function_written_out(mlp: SpecMaker, bias: bool) -> None:
    network, _ = build(mlp(density=0.5, depth=2, bias=bias))
    assert isinstance(network, MLP)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    network.double()
    inputs = torch.randn(4, 10, dtype=torch.float64)
    x = F.relu(3.0 * network.input(inputs))
    for layer in network.hidden:
        assert isinstance(layer, SparseLinear)
        x = F.relu(F.linear(x, layer.dense_weight() * layer.mask, layer.bias))
    expected = 0.5 * F.linear(x, network.readout.weight)
    if bias:
        expected = expected + network.readout.bias
    torch.testing.assert_close(network(inputs), expected)


def test_the_readouts_bias_is_not_multiplied(mlp: SpecMaker) -> None:
    """As ``mup.MuReadout`` does it: the multiplier acts on the features."""
    spec = mlp()
    logits = []
    for multiplier in (1.0, 1e-9):
        network, _ = build(replace(spec, hparams=replace(spec.hparams, output_multiplier=multiplier)))
        torch.nn.init.ones_(network.get_parameter("readout.bias"))
        logits.append(network(torch.randn(3, 10)))
    torch.testing.assert_close(logits[1], torch.ones(3, 5))
    assert not torch.allclose(logits[0], torch.ones(3, 5))
