"""What layers came out as: density, weights per neuron, dead outputs, and what computes them."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn

from smupar_transfer.records import LayerSparsity
from smupar_transfer.sparsity.autotune.decision import DENSE
from smupar_transfer.sparsity.backends.base import DenseBackend
from smupar_transfer.sparsity.linear import SparseLinear


def sparsity_report(network: nn.Module) -> tuple[LayerSparsity, ...]:
    """One entry per ``SparseLinear`` of a network whose masks are drawn, in the order of its modules."""
    return tuple(
        mask_sparsity(f"{name}.weight" if name else "weight", module.mask)
        for name, module in network.named_modules()
        if isinstance(module, SparseLinear)
    )


def backends_in_use(network: nn.Module) -> Counter[str]:
    """How many sparse layers each backend computes, in a network whose masks are drawn; ``dense`` if a mask is full."""
    layers = [module for module in network.modules() if isinstance(module, SparseLinear)]
    return Counter(DENSE if isinstance(layer.backend, DenseBackend) else layer.backend_name for layer in layers)


def mask_sparsity(name: str, mask: Tensor, inputs: tuple[int, ...] = (1,)) -> LayerSparsity:
    """What a mask left of a weight.

    Args:
        name: The name of the parameter.
        mask: Boolean, True where a weight exists.
        inputs: The axes that an output sums over.
    """
    per_output = mask.sum(dim=inputs)
    return LayerSparsity(
        name=name,
        nonzero=int(per_output.sum()),
        size=mask.numel(),
        # PyTorch takes no mean of whole numbers
        weights_per_neuron=float(per_output.double().mean()),
        dead_outputs=int((per_output == 0).sum()),
    )
