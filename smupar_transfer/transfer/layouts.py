"""Which axis of a weight is summed over: known from the type of the module that owns it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import Role
from smupar_transfer.transfer.layers import InputLinear, ReadoutLinear


@dataclass(frozen=True)
class Layout:
    """How a weight of two or more dimensions maps inputs to outputs.

    Attributes:
        inputs: The axes that an output sums over.
        output: The axis along which outputs lie.
        role: The role, where the type of the module settles it whatever grows.
        hookable: Whether its module maps an input to an output through this weight alone, so that a forward hook can
            multiply the one or the other.
        is_inner: Whether it stands at no end of a network, whatever grows: each channel of a depthwise convolution has
            inputs of its own.
        shape: The shape of the dense weight, where the parameter is stored in another one.
    """

    inputs: tuple[int, ...]
    output: int
    role: Role | None = None
    hookable: bool = False
    is_inner: bool = False
    shape: tuple[int, ...] | None = None

    def matrix(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The order of axes under which a weight of that shape is (others, output, inputs): a stack of matrices."""
        others = [axis for axis in range(len(shape)) if axis != self.output and axis not in self.inputs]
        return (*others, self.output, *self.inputs)


MATRIX = Layout(inputs=(1,), output=0)
"""As in torch: (fan_out, fan_in)."""
ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""The matrices of ``nn.MultiheadAttention`` that are no modules of their own."""


def layouts_of(module: nn.Module) -> dict[str, Layout]:
    """The weights of a module itself, not of its children, whose layout follows from the module's type."""
    for kinds, describe in _KNOWN:
        if isinstance(module, kinds):
            return describe(module)
    return {"weight": Layout((0,), 1, hookable=True)} if is_transposed_linear(module) else {}


def is_transposed_linear(module: nn.Module) -> bool:
    """Whether it is GPT-2's linear layer of ``transformers``, ``Conv1D``, whose weight is (fan_in, fan_out)."""
    # by name: transformers is an extra, and may not be installed
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf") and hasattr(module, "nx")


def stored_name(module: nn.Module, leaf: str) -> str:
    """Where a module keeps a weight, which ``torch.nn.utils.prune`` or a parametrization may compute from another."""
    if leaf not in module._parameters:
        for name in (f"{leaf}_orig", f"parametrizations.{leaf}.original"):
            path, _, last = name.rpartition(".")
            if last in getattr(_submodule(module, path), "_parameters", {}):
                return name
    return leaf


def _submodule(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None


def _convolution(module: Any) -> dict[str, Layout]:
    kernel, grouped = tuple(range(2, module.weight.ndim)), module.groups > 1
    # torch keeps weights of transposed convolutions as (inputs, outputs, *kernel)
    inputs, output = (0, 1) if module.transposed else (1, 0)
    return {"weight": Layout((inputs, *kernel), output, hookable=not grouped, is_inner=grouped)}


def _recurrence(module: nn.Module) -> dict[str, Layout]:
    return {name: MATRIX for name, parameter in module.named_parameters(recurse=False) if parameter.ndim == 2}


_KNOWN: tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any], dict[str, Layout]]], ...] = (
    ((SparseLinear,), lambda layer: {"weight": Layout((1,), 0, Role.HIDDEN, shape=layer.shape)}),
    ((InputLinear,), lambda _: {"weight": Layout((1,), 0, Role.EMBEDDING)}),
    ((ReadoutLinear,), lambda _: {"weight": Layout((1,), 0, Role.READOUT)}),
    # a look-up is a product with a one-hot vector: it sums over rows
    ((nn.Embedding, nn.EmbeddingBag), lambda _: {"weight": Layout((0,), 1, Role.EMBEDDING, hookable=True)}),
    ((nn.Linear,), lambda _: {"weight": Layout((1,), 0, hookable=True)}),
    # (outputs, inputs of one side, inputs of the other)
    ((nn.Bilinear,), lambda _: {"weight": Layout((1, 2), 0)}),
    ((_ConvNd,), _convolution),
    ((nn.MultiheadAttention,), lambda _: dict.fromkeys(ATTENTION, MATRIX)),
    ((nn.RNNBase, nn.RNNCellBase), _recurrence),
)
"""What is known of types, the more special ones first."""
