"""One sparse layer in every way to compute it: ours, the textbook way, and other packages where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from bench.variants import TextbookLinear, computes
from smupar_transfer.sparsity import BACKENDS, SparseLinear

TOLERANCE = 1e-5
PACKAGES = ("sparselab", "sparseprop")


@dataclass(frozen=True)
class Layer:
    """A layer to be measured.

    Attributes:
        module: maps (tokens, fan_in) to (tokens, fan_out).
        weight: its parameter, in whatever layout.
        dense_gradient: of the weight as a (fan_out, fan_in) matrix, after a backward pass.
        fused: whether its AdamW is PyTorch's fused one.
    """

    module: nn.Module
    weight: nn.Parameter
    dense_gradient: Callable[[], Tensor]
    fused: bool = True


Maker = Callable[[SparseLinear], Layer]


def _scattered(weight: nn.Parameter, mask: Tensor) -> Tensor:
    """Gradient of a weight that has one entry per entry of the mask, in row-major order."""
    assert weight.grad is not None
    return torch.zeros(mask.shape).masked_scatter(mask, weight.grad)


def _backend(name: str) -> Maker:
    def make(model: SparseLinear) -> Layer:
        layer = SparseLinear(model.in_features, model.out_features, density=model.density, backend=name)
        layer.load_state_dict(model.state_dict())
        return Layer(layer, layer.weight, lambda: layer.backend.unpack(_gradient(layer.weight)))

    return make


def _gradient(weight: nn.Parameter) -> Tensor:
    assert weight.grad is not None
    return weight.grad


def _textbook(model: SparseLinear) -> Layer:
    layer = TextbookLinear(model)
    (weight,) = layer.parameters()
    return Layer(layer, weight, lambda: _gradient(weight), fused=False)


def _sparseprop(model: SparseLinear) -> Layer:
    layer: Any = import_module("sparseprop.modules").SparseLinear(model.dense_weight().detach())
    return Layer(layer, layer.W_val, lambda: _scattered(layer.W_val, model.mask))


def _sparselab(model: SparseLinear) -> Layer:
    sparselab = import_module("sparselab")
    sparselab.ops._clear_transpose_cache()  # it is keyed by id(), which a new layer may share with an old one
    layer: Any = sparselab.SparseLinear(model.in_features, model.out_features, bias=False, sparsity=1 - model.density)
    layer._csr = sparselab.PaddedCSR.from_dense(model.dense_weight().detach(), padding_ratio=0.0)
    layer._values = nn.Parameter(torch.from_numpy(layer._csr.values))  # as its constructor does: shared memory
    exists = torch.tensor(layer._csr.col_indices) >= 0  # empty rows are padded all the same

    def dense_gradient() -> Tensor:
        return torch.zeros(layer._csr.shape).masked_scatter(model.mask, _gradient(layer._values)[exists])

    return Layer(layer, layer._values, dense_gradient)


def makers() -> dict[str, Maker]:
    """Ways to compute that this machine has, by name."""
    own: dict[str, Maker] = {"textbook": _textbook}
    own |= {name: _backend(name) for name in BACKENDS if computes(name)}
    rivals = {"sparselab": _sparselab, "sparseprop": _sparseprop}
    return own | {name: rivals[name] for name in PACKAGES if find_spec(name) is not None}


def error_of(layer: Layer, model: SparseLinear, inputs: Tensor, gradient: Tensor) -> float:
    """Largest relative error of output and both gradients against the dense product in float64.

    Args:
        layer: is run once forwards and backwards.
        model: whose dense weight and mask it has.
        inputs: (tokens, fan_in).
        gradient: of the output, (tokens, fan_out).
    """
    mine = inputs.clone().requires_grad_()
    output = layer.module(mine)
    output.backward(gradient)
    weight, x, g = model.dense_weight().detach().double(), inputs.double(), gradient.double()
    expected = (x @ weight.T, g @ weight, (g.T @ x) * model.mask)
    assert mine.grad is not None
    computed = (output.detach(), mine.grad, layer.dense_gradient() * model.mask)
    return max(_relative(*pair) for pair in zip(computed, expected, strict=True))


def _relative(computed: Tensor, expected: Tensor) -> float:
    return float((computed.double() - expected).abs().max() / expected.abs().max())
