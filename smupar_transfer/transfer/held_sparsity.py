"""What held masks left of weights, for records."""

from __future__ import annotations

from torch import Tensor, nn

from smupar_transfer.records import LayerSparsity
from smupar_transfer.transfer.held_masks import HELD
from smupar_transfer.transfer.layouts import Layout, layouts_of
from smupar_transfer.transfer.names import join


def held_report(network: nn.Module) -> tuple[LayerSparsity, ...]:
    """One entry per weight that is held to a mask, in the order of the network's modules."""
    return tuple(
        _layer(join(path, held.leaf), held.mask, layouts_of(module).get(held.leaf))
        for path, module in network.named_modules()
        for held in module.__dict__.get(HELD, ())
    )


def _layer(name: str, mask: Tensor, layout: Layout | None) -> LayerSparsity:
    inputs = (mask.ndim - 1,) if layout is None else layout.inputs
    per_output = mask.sum(dim=inputs)
    return LayerSparsity(
        name=name,
        nonzero=int(per_output.sum()),
        size=mask.numel(),
        weights_per_neuron=float(per_output.double().mean()),
        dead_outputs=int((per_output == 0).sum()),
    )
