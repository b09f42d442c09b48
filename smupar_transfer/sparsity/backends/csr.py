"""The ``csr`` backend: PyTorch's own sparse products, wherever PyTorch runs.

A CSR tensor as a parameter would get a dense gradient. So the parameter is the vector of values, and the backward pass
samples the product of gradients and inputs at the mask alone (``torch.sparse.sampled_addmm``).

These products are so much faster on operands with features in rows and tokens in columns that it pays to transpose
before them. They share out rows of the matrix among threads, so that what is transposed by one would be multiplied by
another. A matrix of several equal diagonal blocks, each for its own range of tokens, keeps a range with one thread, and
in its cache.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.backends.compact_layout import INT32_MAX, CompactLayout, column_order, starts_of
from smupar_transfer.theory import InputError

RANGES, SHORTEST_RANGE = 4, 64
"""Into how many ranges tokens are cut, each of which takes a copy of the structure while it is multiplied; and how many
tokens are worth that."""


class CsrBackend(CompactLayout):
    """Compact values, multiplied as a CSR matrix forwards and as its transpose backwards; float32 and float64.

    Args:
        mask: Which weights exist, boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        _quieten()
        by_column = column_order(mask)
        # of all ranges together: along the diagonal, indices of one block go on from those of the block before
        largest = RANGES * max(len(by_column.rows), *mask.shape)
        small = torch.int32 if largest <= INT32_MAX else torch.int64
        self.structure = [
            starts_of(mask.sum(1)).to(small),
            mask.nonzero()[:, 1].to(small),
            starts_of(by_column.counts).to(small),
            by_column.rows.to(small),
            by_column.positions.to(small),
        ]

    def flat_indices(self) -> Tensor:
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
        product: Tensor = csr_linear(flat, weight, self.structure, _ranges(flat))[0]
        output = product.view(*inputs.shape[:-1], self.shape[0])
        return output if bias is None else output + bias


@functools.cache
def _quieten() -> None:
    """Have PyTorch say once, unheard, that CSR tensors are in beta: what is used here is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.eye(1).to_sparse_csr()


def _ranges(rows: Tensor) -> int:
    """How many equal ranges of tokens are computed apart. Not by the number of threads, on which no result depends."""
    if rows.device.type != "cpu" or len(rows) % RANGES or len(rows) < RANGES * SHORTEST_RANGE:
        return 1
    return RANGES


def _by_feature(rows: Tensor, ranges: int) -> Tensor:
    """Transpose each range of (tokens, features): (ranges * features, tokens / ranges), contiguous."""
    length, features = len(rows) // ranges, rows.shape[1]
    return _transposed(rows.reshape(ranges, length, features)).view(ranges * features, length)


def _by_token(features: Tensor, ranges: int) -> Tensor:
    """Undo ``_by_feature``."""
    rows, length = len(features) // ranges, features.shape[1]
    return _transposed(features.view(ranges, rows, length)).view(ranges * length, rows)


def _transposed(parts: Tensor) -> Tensor:
    """Transpose each of (parts, rows, columns): by oneDNN, as PyTorch does several on one thread or slowly."""
    if len(parts) == 1:
        return parts[0].T.clone(memory_format=torch.contiguous_format)[None]
    if parts.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return parts.to_mkldnn().transpose(1, 2).to_dense()
    return parts.transpose(1, 2).clone(memory_format=torch.contiguous_format)


def _matrix(starts: Tensor, index: Tensor, values: Tensor, columns: int, ranges: int) -> Tensor:
    """A CSR matrix, as many times along the diagonal as there are ranges."""
    if ranges > 1:
        number = torch.arange(ranges, dtype=starts.dtype, device=starts.device)[:, None]
        starts = torch.cat([(starts[:-1] + number * len(values)).view(-1), starts[-1:] * ranges])
        index = (index + number * columns).view(-1)
        values = values.repeat(ranges)
    size = (len(starts) - 1, columns * ranges)
    # unchecked: checks would read the whole structure in every product
    matrix: Tensor = torch.sparse_csr_tensor(starts, index, values, size, check_invariants=False)
    return matrix


def _product(matrix: Tensor, features: Tensor) -> Tensor:
    """Multiply a CSR matrix (rows, features) by (features, tokens)."""
    if features.device.type == "cpu":  # PyTorch's own kernel, 1.5 times as fast as MKL's; there is none elsewhere
        product: Tensor = torch.sparse.mm(matrix, features, reduce="sum")
        return product
    return matrix @ features


@torch.library.custom_op("smupar_transfer::csr_linear", mutates_args=())
def csr_linear(inputs: Tensor, values: Tensor, structure: list[Tensor], ranges: int) -> tuple[Tensor, Tensor]:
    """Multiply inputs (tokens, fan_in) by the transposed weight.

    Args:
        inputs: The inputs, (tokens, fan_in), of the type of the values.
        values: The weights that exist, in row-major order.
        structure: Where rows start; the columns of the entries; the same two of the transpose; the positions of its
            entries.
        ranges: The number of ranges, all of the same length, that tokens are divided into.

    Returns:
        The product (tokens, fan_out), contiguous, and the inputs as the backward pass needs them, transposed range by
        range.
    """
    starts, columns, *_ = structure
    features = _by_feature(inputs, ranges)
    with torch.autocast(inputs.device.type, enabled=False):  # sparse products know no shorter types
        weight = _matrix(starts, columns, values, inputs.shape[1], ranges)
        return _by_token(_product(weight, features), ranges), features


@torch.library.custom_op("smupar_transfer::csr_linear_backward", mutates_args=())
def csr_linear_backward(
    gradient: Tensor, features: Tensor, values: Tensor, structure: list[Tensor], ranges: int, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients for inputs and values; empty where it is not wanted."""
    starts, columns, starts_t, rows, positions = structure
    for_inputs, for_values = values.new_empty(0), values.new_empty(0)
    by_feature = _by_feature(gradient, ranges)
    with torch.autocast(gradient.device.type, enabled=False):  # a person may have left it on for the backward pass
        if wanted[0]:
            transposed = _matrix(starts_t, rows, values.index_select(0, positions), len(starts) - 1, ranges)
            for_inputs = _by_token(_product(transposed, by_feature), ranges)
        if wanted[1]:
            pattern = _matrix(starts, columns, torch.zeros_like(values), len(starts_t) - 1, ranges)
            sampled = torch.sparse.sampled_addmm(pattern, by_feature, features.T, beta=0)
            for_values = sampled.values().view(ranges, -1).sum(0)
    return for_inputs, for_values


@csr_linear.register_fake
def _(inputs: Tensor, _values: Tensor, structure: list[Tensor], ranges: int) -> tuple[Tensor, Tensor]:
    tokens, fan_in = inputs.shape
    return inputs.new_empty(tokens, structure[0].shape[0] - 1), inputs.new_empty(ranges * fan_in, tokens // ranges)


@csr_linear_backward.register_fake
def _(
    gradient: Tensor, _features: Tensor, values: Tensor, structure: list[Tensor], _ranges: int, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    return (
        values.new_empty((gradient.shape[0], structure[2].shape[0] - 1) if wanted[0] else (0,)),
        values.new_empty(values.shape if wanted[1] else (0,)),
    )


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, list[Tensor], int], output: tuple[Tensor, Tensor]) -> None:
    _, values, structure, ctx.ranges = inputs
    ctx.mark_non_differentiable(output[1])
    # else PyTorch would fill a gradient for the transposed inputs with zeros, which nobody reads
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1], values, *structure)


def _backward(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, Tensor | None, list[None], None]:
    wanted = list(ctx.needs_input_grad[:2])
    features, values, *structure = ctx.saved_tensors
    if gradient is None:
        return None, None, [None] * len(structure), None
    for_inputs, for_values = csr_linear_backward(gradient, features, values, structure, ctx.ranges, wanted)
    return for_inputs if wanted[0] else None, for_values if wanted[1] else None, [None] * len(structure), None


csr_linear.register_autograd(_backward, setup_context=_remember)
