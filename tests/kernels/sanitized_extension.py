"""Runs the operators as PyTorch calls them, against dense products in double precision; for a build with sanitizers.

Every tensor has exactly the length it must have. With an argument, an index of the structure points behind what the
backward pass may read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

os.environ.pop("LD_PRELOAD", None)  # the compiler shall run as it is

from smupar_transfer.kernels.build import load_kernels
from smupar_transfer.sparsity.backends.native import NativeBackend

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def masks() -> Iterator[Tensor]:
    """One row, one column, one weight; nothing and everything; several panels and blocks in either direction."""
    for rows, columns, density in [
        *((1, 1, 1.0), (1, 90, 0.5), (90, 1, 0.5), (1, 1100, 1.0), (1100, 1, 1.0), (33, 47, 0.0), (33, 47, 1.0)),
        *((64, 64, 1.0), (17, 31, 0.3), (300, 130, 0.02), (130, 600, 0.3), (270, 1100, 0.01), (1100, 270, 0.01)),
    ]:
        yield torch.rand(rows, columns, generator=GENERATOR) < density


def check(computed: list[Tensor], expected: list[Tensor]) -> None:
    for value, other in zip(computed, expected, strict=True):
        torch.testing.assert_close(value.detach().double(), other, rtol=1e-3, atol=1e-3)


def linear(mask: Tensor, tokens: int, *, for_inputs: bool, biased: bool) -> None:
    """From four tiles of tokens on (512 of them at most) the backward pass is shared out by tokens, below by panels."""
    rows, columns = mask.shape
    backend, inputs = NativeBackend(mask), drawn(tokens, columns).requires_grad_(for_inputs)
    weight, upstream = drawn(rows, columns) * mask, drawn(tokens, rows)
    bias = drawn(rows).requires_grad_() if biased else None
    values = backend.pack(weight).requires_grad_()
    output = backend.linear(inputs, values, bias)
    leaves = [values, *([inputs] if for_inputs else []), *([] if bias is None else [bias])]
    gradients = torch.autograd.grad(output, leaves, upstream)
    x, w, g = inputs.detach().double(), weight.double(), upstream.double()
    expected = [x @ w.T + (0 if bias is None else bias.detach()), (g.T @ x)[mask]]
    expected += [*([g @ w] if for_inputs else []), *([] if bias is None else [g.sum(0)])]
    check([output, *gradients], expected)


def attention(batch: int, time: int, heads: int, channels: int, *, biased: bool) -> None:
    qkv, upstream = drawn(batch, time, 3, heads, channels).requires_grad_(), drawn(batch, time, heads, channels)
    future = torch.full((time, time), float("-inf")).triu(1)
    bias = drawn(heads, time, time) + future if biased else None
    output = torch.ops.smupar_native.attention(qkv, bias, 0.3)[0]
    (gradient,) = torch.autograd.grad(output, qkv, upstream)
    leaf = qkv.detach().double().requires_grad_()
    q, k, v = leaf.permute(2, 0, 3, 1, 4).unbind(0)
    mask = (future if bias is None else bias).double()
    dense = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3).transpose(1, 2)
    check([output, gradient], [dense.detach(), *torch.autograd.grad(dense, leaf, upstream.double())])


def gelu(size: int) -> None:
    inputs, upstream = drawn(size).requires_grad_(), drawn(size)
    output = torch.ops.smupar_native.gelu(inputs)
    (gradient,) = torch.autograd.grad(output, inputs, upstream)
    leaf = inputs.detach().double().requires_grad_()
    dense = F.gelu(leaf)
    check([output, gradient], [dense.detach(), *torch.autograd.grad(dense, leaf, upstream.double())])


def astray() -> None:
    backend = NativeBackend(torch.ones(64, 64, dtype=torch.bool))
    index = backend.structure[6]
    index[-1] = 66  # the place after the last may still lie in the room for alignment
    values = torch.ones(64 * 64, requires_grad=True)
    torch.autograd.grad(backend.linear(drawn(16, 64), values, None).sum(), values)


def everything() -> None:
    for threads in (1, 3):
        torch.set_num_threads(threads)
        for number, mask in enumerate(masks()):
            for tokens in (0, 1, 45, 130, 600):
                linear(mask, tokens, for_inputs=number % 3 != 2, biased=number % 2 == 0)
        for time in (1, 16, 17, 70):
            attention(2, time, 3, 16, biased=time % 2 == 0)
            attention(1, time, 2, 48, biased=time % 2 == 1)
        for size in (0, 1, 17, 100_003):
            gelu(size)
    print("right")


if __name__ == "__main__":
    load_kernels()
    if len(sys.argv) > 1:
        astray()
    else:
        everything()
