"""What held masks left of weights, for records."""

from __future__ import annotations

from torch import nn

from smupar_transfer.records import LayerSparsity
from smupar_transfer.sparsity import mask_sparsity
from smupar_transfer.transfer.held_masks import HELD, HeldMask
from smupar_transfer.transfer.layouts import layouts_of
from smupar_transfer.transfer.names import join


def held_report(network: nn.Module) -> tuple[LayerSparsity, ...]:
    """One entry per weight that is held to a mask, in the order of the network's modules."""
    return tuple(
        mask_sparsity(join(path, held.leaf), held.mask, _inputs(module, held))
        for path, module in network.named_modules()
        for held in module.__dict__.get(HELD, ())
    )


def _inputs(module: nn.Module, held: HeldMask) -> tuple[int, ...]:
    """The axes that an output sums over: those of the module's type, else the last, as torch has it."""
    layout = layouts_of(module).get(held.leaf)
    return (held.mask.ndim - 1,) if layout is None else layout.inputs
