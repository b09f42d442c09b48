"""The ``expand`` backend: weights kept compactly, multiplied densely, wherever PyTorch runs.

Libraries multiply dense matrices in bfloat16 many times as fast as anything multiplies sparse ones: on processors with
tile instructions, and on GPUs, that outweighs all the zeros up to high sparsity. So a product writes the weights that
exist into a dense matrix of zeros, multiplies, and forgets it; the gradient of the weight is formed in that same matrix
and read at the mask.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.backends.compact_layout import CompactLayout, autocast_type


class ExpandBackend(CompactLayout):
    """Compact values, in a dense matrix for the length of a product only.

    That matrix has the type of the product: bfloat16 under ``precision=bfloat16``. Whatever layers a network has, there
    is one of them at a time, in memory that the allocator hands from one to the next.

    Args:
        mask: Which weights exist, boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        self._indices = mask.flatten().nonzero()[:, 0]

    def flat_indices(self) -> Tensor:
        """See ``CompactLayout``."""
        return self._indices

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``. Computes in what autocast asks for; without it, in the type of the weight."""
        flat = inputs.reshape(-1, self.shape[1]).to(autocast_type(inputs) or weight.dtype)
        product: Tensor = expand_linear(flat, weight, self._indices, self.shape[0])
        output = product.view(*inputs.shape[:-1], self.shape[0])
        return output if bias is None else output + bias.to(output.dtype)


def _expanded(like: Tensor, values: Tensor, indices: Tensor, rows: int, columns: int) -> Tensor:
    """The dense matrix (rows, columns), of the type of ``like``."""
    matrix = like.new_zeros(rows * columns).index_copy_(0, indices, values.to(like.dtype))
    return matrix.view(rows, columns)


@torch.library.custom_op("smupar_transfer::expand_linear", mutates_args=())
def expand_linear(inputs: Tensor, values: Tensor, indices: Tensor, fan_out: int) -> Tensor:
    """Multiply inputs (tokens, fan_in) by the transposed weight.

    Args:
        inputs: The inputs, (tokens, fan_in), of the type that is computed in.
        values: The weights that exist, of any type.
        indices: Row * fan_in + column of each of them, int64.
        fan_out: The number of outputs.

    Returns:
        The product (tokens, fan_out), of the type of the inputs.
    """
    return inputs @ _expanded(inputs, values, indices, fan_out, inputs.shape[1]).T


@torch.library.custom_op("smupar_transfer::expand_linear_backward", mutates_args=())
def expand_linear_backward(
    gradient: Tensor, inputs: Tensor, values: Tensor, indices: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients for inputs and values; empty where it is not wanted."""
    rows, columns = gradient.shape[1], inputs.shape[1]
    for_inputs, for_values = inputs.new_empty(0), values.new_empty(0)
    if wanted[0]:
        matrix = _expanded(inputs, values, indices, rows, columns)
        for_inputs = gradient @ matrix
    else:
        # room for the other gradient alone, into which no weights need be written
        matrix = inputs.new_empty(rows, columns)
    if wanted[1]:
        torch.mm(gradient.T, inputs, out=matrix)  # the weight is not needed any more
        for_values = matrix.view(-1).index_select(0, indices).to(values.dtype)
    return for_inputs, for_values


@expand_linear.register_fake
def _(inputs: Tensor, _values: Tensor, _indices: Tensor, fan_out: int) -> Tensor:
    return inputs.new_empty(inputs.shape[0], fan_out)


@expand_linear_backward.register_fake
def _(_gradient: Tensor, inputs: Tensor, values: Tensor, _indices: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor]:
    return (
        inputs.new_empty(inputs.shape if wanted[0] else (0,)),
        values.new_empty(values.shape if wanted[1] else (0,)),
    )


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.save_for_backward(*inputs[:3])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    wanted = list(ctx.needs_input_grad[:2])
    for_inputs, for_values = expand_linear_backward(gradient, *ctx.saved_tensors, wanted)
    return for_inputs if wanted[0] else None, for_values if wanted[1] else None, None, None


expand_linear.register_autograd(_backward, setup_context=_remember)
