"""The ``csr`` backend: PyTorch's own sparse products, wherever PyTorch runs.

A CSR tensor as a parameter would get a dense gradient. So the parameter is the vector of values, and the backward pass
samples the product of gradients and inputs at the mask alone (``torch.sparse.sampled_addmm``).

These products are so much faster on operands with features in rows and tokens in columns that it pays to transpose
before them, a block of tokens at a time.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.compact import INT32_MAX, CompactLayout, column_order, starts_of
from smupar_transfer.theory import InputError

CPU_TOKENS = 512


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
            by_column.positions.to(small),
        ]

    def places(self) -> Tensor:
        """See ``CompactLayout``."""
        starts, columns, *_ = self.structure
        rows = torch.arange(self.shape[0], device=starts.device).repeat_interleave(starts.diff())
        return rows * self.shape[1] + columns

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``. Computes in the type of the weight, whatever the type of the inputs.

        Raises:
            InputError: the weight is neither float32 nor float64.
        """
        if weight.dtype not in (torch.float32, torch.float64):
            raise InputError("sparsity.backend", "csr", f"cannot compute in {weight.dtype}", "use float32 or float64")
        flat = inputs.reshape(-1, self.shape[1]).to(weight.dtype)
        product: Tensor = csr_linear(flat, weight, self.structure)
        output = product.view(*inputs.shape[:-1], self.shape[0])
        return output if bias is None else output + bias


@functools.cache
def _quieten() -> None:
    """Have PyTorch say once, unheard, that CSR tensors are in beta: what is used here is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.eye(1).to_sparse_csr()


def _csr(starts: Tensor, index: Tensor, values: Tensor, columns: int) -> Tensor:
    matrix: Tensor = torch.sparse_csr_tensor(starts, index, values, (len(starts) - 1, columns), check_invariants=False)
    return matrix


def _product(matrix: Tensor, features: Tensor) -> Tensor:
    """Multiply a CSR matrix (rows, features) by (features, tokens)."""
    if features.device.type == "cpu":  # PyTorch's own kernel, 1.5 times as fast as MKL's; there is none elsewhere
        product: Tensor = torch.sparse.mm(matrix, features, reduce="sum")
        return product
    return matrix @ features


def _blocks(rows: Tensor) -> list[slice]:
    """Of tokens, so few that transposing them stays in the cache of a CPU."""
    step = CPU_TOKENS if rows.device.type == "cpu" else max(1, len(rows))
    return [slice(start, start + step) for start in range(0, len(rows), step)]


@torch.library.custom_op("smupar_transfer::csr_linear", mutates_args=())
def csr_linear(inputs: Tensor, values: Tensor, structure: list[Tensor]) -> Tensor:
    """Multiply inputs (tokens, fan_in) by the transposed weight: (tokens, fan_out), contiguous.

    Args:
        inputs: of the type of the values.
        values: weights that exist, in row-major order.
        structure: where rows start; columns of the entries; the same two of the transpose; places of its entries.
    """
    starts, columns, *_ = structure
    with torch.autocast(inputs.device.type, enabled=False):  # sparse products know no shorter types
        weight = _csr(starts, columns, values, inputs.shape[1])
        output = inputs.new_empty(inputs.shape[0], len(starts) - 1)
        for tokens in _blocks(inputs):
            output[tokens] = _product(weight, inputs[tokens].T.contiguous()).T
    return output


@torch.library.custom_op("smupar_transfer::csr_linear_backward", mutates_args=())
def csr_linear_backward(
    gradient: Tensor, inputs: Tensor, values: Tensor, structure: list[Tensor], wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients for inputs and values; empty where it is not wanted."""
    starts, columns, starts_t, rows, positions = structure
    transposed = _csr(starts_t, rows, values.index_select(0, positions), len(starts) - 1)
    sums = _csr(starts, columns, torch.zeros_like(values), inputs.shape[1])
    for_inputs = inputs.new_empty(inputs.shape if wanted[0] else 0)
    for tokens in _blocks(gradient):
        by_feature = gradient[tokens].T.contiguous()
        if wanted[0]:
            for_inputs[tokens] = _product(transposed, by_feature).T
        if wanted[1]:
            sums = torch.sparse.sampled_addmm(sums, by_feature, inputs[tokens].T.contiguous().T)
    for_values = sums.values().clone() if wanted[1] else values.new_empty(0)
    return for_inputs, for_values


@csr_linear.register_fake
def _(inputs: Tensor, _values: Tensor, structure: list[Tensor]) -> Tensor:
    return inputs.new_empty(inputs.shape[0], structure[0].shape[0] - 1)


@csr_linear_backward.register_fake
def _(
    _gradient: Tensor, inputs: Tensor, values: Tensor, _structure: list[Tensor], wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    return (
        inputs.new_empty(inputs.shape if wanted[0] else (0,)),
        values.new_empty(values.shape if wanted[1] else (0,)),
    )


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, list[Tensor]], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    rows, values, structure = inputs
    ctx.save_for_backward(rows, values, *structure)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, list[None]]:
    wanted = list(ctx.needs_input_grad[:2])
    inputs, values, *structure = ctx.saved_tensors
    for_inputs, for_values = csr_linear_backward(gradient, inputs, values, structure, wanted)
    return for_inputs if wanted[0] else None, for_values if wanted[1] else None, [None] * len(structure)


csr_linear.register_autograd(_backward, setup_context=_remember)
