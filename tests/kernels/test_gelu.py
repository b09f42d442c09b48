"""GELU in C++ against PyTorch's in double precision."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.kernels import native_problem

CLOSE = 1e-6


@pytest.fixture(autouse=True)
def kernels() -> None:
    problem = native_problem()
    if problem is not None:
        pytest.skip(problem)


def gelu(inputs: Tensor) -> Tensor:
    outputs: Tensor = torch.ops.smupar_native.gelu(inputs)
    return outputs


def with_gradient(activate: object, inputs: Tensor) -> tuple[Tensor, Tensor]:
    assert callable(activate)
    leaf = inputs.clone().requires_grad_()
    output: Tensor = activate(leaf)
    (gradient,) = torch.autograd.grad(output, leaf, torch.linspace(-1, 1, leaf.numel()).view(leaf.shape).to(leaf))
    return output.detach(), gradient


@pytest.mark.parametrize("size", [0, 1, 7, 16, 17, 100_003])
def test_it_and_its_gradient_are_right_everywhere(size: int) -> None:
    inputs = torch.linspace(-40, 40, size)
    for value, other in zip(with_gradient(gelu, inputs), with_gradient(F.gelu, inputs.double()), strict=True):
        torch.testing.assert_close(value.double(), other, rtol=0, atol=CLOSE)


def test_the_tanh_approximation_would_be_seen() -> None:
    inputs = torch.linspace(-4, 4, 1000)
    assert float((F.gelu(inputs, approximate="tanh") - gelu(inputs)).abs().max()) > 100 * CLOSE


def test_what_is_no_number_stays_so() -> None:
    inputs = torch.tensor([float("nan"), float("inf"), -1e30, 0.0])
    assert gelu(inputs)[0].isnan()
    assert gelu(inputs)[1:].tolist() == [float("inf"), 0.0, 0.0]


def test_any_layout_and_number_of_threads_gives_the_same() -> None:
    inputs = torch.randn(300, 700, generator=torch.Generator().manual_seed(0))
    before, outputs = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        outputs.append(gelu(inputs))
    torch.set_num_threads(before)
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])
    assert torch.equal(gelu(inputs.T), outputs[0].T)


def test_the_operators_are_as_pytorch_wants_them() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        inputs = torch.randn(5, 33, dtype=dtype, requires_grad=True)
        torch.library.opcheck(torch.ops.smupar_native.gelu.default, (inputs,))


@pytest.mark.parametrize("size", [0, 1, 7, 16, 17, 100_003])
def test_bfloat16_is_read_and_written_and_float32_computed(size: int) -> None:
    """The result in float32, rounded, but for numbers so small that processors may take them for zero."""
    brief = torch.linspace(-40, 40, size).bfloat16()
    upstream = torch.linspace(-1, 1, size).bfloat16().float()
    value, gradient = with_gradient(gelu, brief)
    whole = brief.float().requires_grad_()
    output = gelu(whole)
    (wanted,) = torch.autograd.grad(output, whole, upstream)
    torch.testing.assert_close(value, output.bfloat16(), rtol=0, atol=1e-37)
    torch.testing.assert_close(gradient, wanted.bfloat16(), rtol=0, atol=1e-37)


def test_what_is_no_number_in_bfloat16_stays_so() -> None:
    inputs = torch.tensor([float("nan"), float("inf"), -1e30, 0.0, 3e38]).bfloat16()
    assert gelu(inputs)[0].isnan()
    assert gelu(inputs)[1:].tolist() == [float("inf"), 0.0, 0.0, float(inputs[-1])]


def test_other_types_are_refused() -> None:
    with pytest.raises(RuntimeError, match="has type Double, not Float or BFloat16"):
        gelu(torch.zeros(3, dtype=torch.float64))
