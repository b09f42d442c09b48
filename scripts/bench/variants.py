"""The ways to train one network that are compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.cells import Cell
from smupar_transfer.kernels import native_problem
from smupar_transfer.model import GPT, build
from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, Positions, RunSpec, SparsitySpec
from smupar_transfer.sparsity import AUTO, BACKENDS, SparseLinear
from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import make_optimizer

VOCABULARY = 256
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Variant:
    """How a network is made and stepped.

    Attributes:
        backend: of its sparse layers.
        masked: whether it has masks at all.
        rewrites: whether sparse layers become ``TextbookLinear``, stepped by PyTorch's AdamW as it comes.
        bfloat16: whether the forward pass and the loss run under autocast.
    """

    backend: str = "masked"
    masked: bool = True
    rewrites: bool = False
    bfloat16: bool = False


VARIANTS = {
    "textbook": Variant(rewrites=True),
    "dense": Variant(masked=False),
    "dense_bf16": Variant(masked=False, bfloat16=True),
    **{name: Variant(name) for name in (*BACKENDS, AUTO)},
}


def require_variants(names: list[str]) -> tuple[str, ...]:
    """Those of the named variants that this machine can compute, once each; the textbook way comes first.

    Raises:
        InputError: there is no variant of a name.
    """
    for name in names:
        if name not in VARIANTS:
            raise InputError("--variants", name, f"is not one of {', '.join(VARIANTS)}")
    asked = dict.fromkeys(["textbook", *names])
    return tuple(name for name in asked if computes(VARIANTS[name].backend))


def computes(backend: str) -> bool:
    """Whether a backend runs on this machine itself, and not another in its place."""
    return backend != "native" or native_problem() is None


class Masked(nn.Module):
    """The textbook parametrization: weight * mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class TextbookLinear(nn.Module):
    """A sparse layer rebuilt as a dense one with a masked weight."""

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        self.linear.weight.data.copy_(layer.dense_weight())
        parametrize.register_parametrization(self.linear, "weight", Masked(layer.mask))

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.linear(inputs)
        return output


SPARSE_LAYERS = (SparseLinear, TextbookLinear)


def specification(cell: Cell, density: float, mask: str = "random") -> RunSpec:
    """The 2-layer GPT of a cell, with a kind of mask."""
    return RunSpec(
        model=GPTSpec(cell.width, 2, 64, VOCABULARY, cell.time, positions=Positions.LEARNED),
        base_width=64,
        sparsity=SparsitySpec(density, mask),
        parametrization="smupar",
        hparams=BaseHyperparameters(learning_rate=LEARNING_RATE, init_std=0.1),
        optimizer=OptimizerSettings(),
        data=DataSpec("random tokens", "", 1, 1),
        budget=BudgetSpec(steps=1, batch_size=cell.batch, sequence_length=cell.time),
    )


def make(variant: Variant, cell: Cell, mask: str = "random") -> tuple[GPT, torch.optim.Optimizer]:
    """Network, on the CPU, and optimizer of a variant, with a kind of mask."""
    spec = specification(cell, 1 - cell.sparsity if variant.masked else 1.0, mask)
    network, plan = build(spec, variant.backend)
    if not isinstance(network, GPT):
        raise TypeError(type(network))
    if not variant.rewrites:
        return network, make_optimizer(network, plan, spec.optimizer)
    for name, module in list(network.named_modules()):
        if isinstance(module, SparseLinear):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, TextbookLinear(module))
    betas = (spec.optimizer.beta1, spec.optimizer.beta2)
    return network, torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, betas=betas)
