"""The ``csr`` backend: PyTorch's own sparse products, wherever PyTorch runs.

A CSR tensor as a parameter would get a dense gradient. So the parameter is the vector of values, and the backward pass
samples the product of gradients and inputs at the mask alone (``torch.sparse.sampled_addmm``).
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.compact import INT32_MAX, CompactLayout, column_order, starts_of
from smupar_transfer.theory import InputError


class CsrBackend(CompactLayout):
    """Compact values, multiplied as a CSR matrix forwards and as its transpose backwards; float32 and float64.

    Args:
        mask: boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        _quieten()
        by_column = column_order(mask)
        small = torch.int32 if len(by_column.rows) <= INT32_MAX else torch.int64
        self.structure = [
            starts_of(mask.sum(1)).to(small),
            mask.nonzero()[:, 1].to(small),
            starts_of(by_column.counts).to(small),
            by_column.rows.to(small),
            by_column.positions,
        ]

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``. Computes in the type of the weight, whatever the type of the inputs.

        Raises:
            InputError: the weight is neither float32 nor float64.
        """
        if weight.dtype not in (torch.float32, torch.float64):
            raise InputError("sparsity.backend", "csr", f"cannot compute in {weight.dtype}", "use float32 or float64")
        flat = inputs.reshape(-1, self.mask.shape[1]).to(weight.dtype)
        output = csr_linear(flat, weight, *self.structure).view(*inputs.shape[:-1], self.mask.shape[0])
        return output if bias is None else output + bias


@functools.cache
def _quieten() -> None:
    """Have PyTorch say once, unheard, that CSR tensors are in beta: what is used here is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.eye(1).to_sparse_csr()


def _csr(starts: Tensor, index: Tensor, values: Tensor, columns: int) -> Tensor:
    return torch.sparse_csr_tensor(starts, index, values, (len(starts) - 1, columns), check_invariants=False)


@torch.library.custom_op("smupar_transfer::csr_linear", mutates_args=())
def csr_linear(
    inputs: Tensor, values: Tensor, starts: Tensor, columns: Tensor, starts_t: Tensor, rows: Tensor, positions: Tensor
) -> Tensor:
    """inputs (tokens, fan_in) W^T, contiguous; W as a CSR matrix, its transpose likewise, values[positions] its values."""
    product: Tensor = _csr(starts, columns, values, inputs.shape[1]) @ inputs.T
    return product.T.contiguous()


@torch.library.custom_op("smupar_transfer::csr_linear_backward", mutates_args=())
def csr_linear_backward(
    gradient: Tensor,
    inputs: Tensor,
    values: Tensor,
    starts: Tensor,
    columns: Tensor,
    starts_t: Tensor,
    rows: Tensor,
    positions: Tensor,
    wanted: list[bool],
) -> tuple[Tensor, Tensor]:
    """Gradients for inputs and values; empty where it is not wanted."""
    for_inputs, for_values = inputs.new_empty(0), values.new_empty(0)
    if wanted[0]:
        for_inputs = (_csr(starts_t, rows, values[positions], len(starts) - 1) @ gradient.T).T.contiguous()
    if wanted[1]:
        pattern = _csr(starts, columns, torch.zeros_like(values), inputs.shape[1])
        for_values = torch.sparse.sampled_addmm(pattern, gradient.T, inputs, beta=0).values().clone()
    return for_inputs, for_values


@csr_linear.register_fake
def _(inputs: Tensor, values: Tensor, starts: Tensor, *structure: Tensor) -> Tensor:
    return inputs.new_empty(inputs.shape[0], starts.shape[0] - 1)


@csr_linear_backward.register_fake
def _(
    gradient: Tensor, inputs: Tensor, values: Tensor, starts: Tensor, *rest: Any, wanted: list[bool] | None = None
) -> tuple[Tensor, Tensor]:
    for_inputs, for_values = wanted if wanted is not None else rest[-1]
    return (
        inputs.new_empty(inputs.shape if for_inputs else (0,)),
        values.new_empty(values.shape if for_values else (0,)),
    )


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    wanted = list(ctx.needs_input_grad[:2])
    for_inputs, for_values = csr_linear_backward(gradient, *ctx.saved_tensors, wanted)
    return (for_inputs if wanted[0] else None, for_values if wanted[1] else None, *[None] * 5)


csr_linear.register_autograd(_backward, setup_context=_remember)
