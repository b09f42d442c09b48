"""Gradients of the C++ operators: those that are asked for, and no others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from smupar_transfer.kernels import native_problem, operators
from smupar_transfer.sparsity import named_generator
from smupar_transfer.sparsity.backends.native import NativeBackend

MASK = torch.rand(12, 20, generator=named_generator(0, "mask", "test")) < 0.3


@pytest.fixture(autouse=True)
def kernels() -> None:
    problem = native_problem()
    if problem is not None:
        pytest.skip(problem)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=named_generator(0, "test", "values"))


def asked(*wanted: bool) -> tuple[Tensor | None, ...]:
    """What the backward pass hands to autograd for inputs, values and bias, if these are wanted."""
    rows, values = drawn(5, 20), drawn(int(MASK.sum()))
    *_, index, starts, positions, panel, block, tile = NativeBackend(MASK).structure
    ctx = SimpleNamespace(
        needs_input_grad=(*wanted, *[False] * 12),
        saved_tensors=(rows, values, index, starts, positions),
        blocking=(panel, block, tile),
    )
    gradients = operators._backward(ctx, drawn(5, 12))
    assert len(gradients) == 15
    assert gradients[3:] == (None,) * 12
    return gradients[:3]


@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_there_is_a_gradient_where_one_is_wanted(inputs: bool, values: bool, bias: bool) -> None:
    wanted, gradients, whole = (inputs, values, bias), asked(inputs, values, bias), asked(True, True, True)
    assert [gradient is not None for gradient in gradients] == [*wanted]
    for gradient, reference in zip(gradients, whole, strict=True):
        assert gradient is None or torch.equal(gradient, reference)  # type: ignore[arg-type]


def test_for_a_bias_alone_no_weight_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, bias = NativeBackend(MASK), drawn(12).requires_grad_()
    output = backend.linear(drawn(5, 20), drawn(int(MASK.sum())), bias)
    monkeypatch.setattr(torch.ops.smupar_native, "linear_backward", None)
    (gradient,) = torch.autograd.grad(output.sum(), bias)
    assert gradient.tolist() == [5.0] * 12
