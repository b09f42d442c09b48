"""Layers with more entries than 32 bits count, by calling fewer too many: the results of ``masked``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import BACKENDS, Backend, named_generator
from smupar_transfer.sparsity.backends import csr, native
from smupar_transfer.sparsity.backends.csr import CsrBackend

MASK = torch.rand(30, 50, generator=named_generator(0, "mask", "test")) < 0.2
TOKENS = [7, 256]  # in one range, and in several


def products(made: Backend, tokens: int) -> list[Tensor]:
    """Output and gradients for inputs, weight (as a dense matrix) and bias."""
    generator = named_generator(0, "test", "values")
    shapes = [(tokens, 50), (30, 50), (30,), (tokens, 30)]
    inputs, weight, bias, upstream = (torch.randn(shape, generator=generator) for shape in shapes)
    leaves = [value.requires_grad_() for value in (inputs, made.pack(weight * MASK), bias)]
    output = made.linear(leaves[0], leaves[1], leaves[2])
    for_inputs, for_weight, for_bias = torch.autograd.grad(output, leaves, upstream)
    return [output.detach(), for_inputs, made.unpack(for_weight), for_bias]


def index_type(made: CsrBackend) -> torch.dtype:
    (dtype,) = {part.dtype for part in made.structure}
    return dtype


@pytest.mark.parametrize("tokens", TOKENS)
def test_csr_counts_in_64_bits(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index_type(CsrBackend(MASK)) == torch.int32
    monkeypatch.setattr(csr, "INT32_MAX", 4 * int(MASK.sum()) - 1)  # all ranges must fit
    made = CsrBackend(MASK)
    assert index_type(made) == torch.int64
    torch.testing.assert_close(products(made, tokens), products(BACKENDS["masked"](MASK), tokens))


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.usefixtures("needs_compiler")
def test_native_leaves_them_to_csr(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    most = int(MASK.sum())
    monkeypatch.setattr(native, "INT32_MAX", most)
    assert hasattr(BACKENDS["native"](MASK), "structure")
    monkeypatch.setattr(native, "INT32_MAX", most - 1)
    monkeypatch.setattr(csr, "INT32_MAX", most - 1)
    made = BACKENDS["native"](MASK)
    assert not hasattr(made, "structure")
    torch.testing.assert_close(products(made, tokens), products(BACKENDS["masked"](MASK), tokens))
    assert torch.equal(made.pack(MASK.float()), torch.ones(most))
