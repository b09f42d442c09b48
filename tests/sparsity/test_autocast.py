"""Layers under bfloat16 autocast: close to float32, with float32 weights and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import BACKENDS, SparseLinear, named_generator
from smupar_transfer.sparsity.backends import csr

ROUNDING = 0.02


def layer(backend: str) -> SparseLinear:
    made = SparseLinear(24, 20, density=0.4, backend=backend, bias=True)
    made.draw_mask(named_generator(0, "mask", "layer"))
    made.set_weight(torch.randn(made.shape, generator=named_generator(0, "weight", "layer")))
    assert made.bias is not None
    made.bias.data.fill_(0.5)
    return made


def stepped(made: SparseLinear, *, shorter: bool) -> list[Tensor]:
    """Output and gradients of inputs and (dense) weight, as float32."""
    inputs = torch.randn(7, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    made.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=shorter):
        output = made(inputs)
    output.float().square().sum().backward()
    assert inputs.grad is not None
    assert made.weight.grad is not None
    assert made.weight.grad.dtype == torch.float32
    return [output.detach().float(), inputs.grad, made.backend.unpack(made.weight.grad)]


@pytest.mark.parametrize("backend", [*BACKENDS])
def test_results_are_those_of_float32_up_to_rounding(backend: str) -> None:
    made = layer(backend)
    for short, full in zip(stepped(made, shorter=True), stepped(made, shorter=False), strict=True):
        assert float((short - full).norm() / full.norm()) < ROUNDING


@pytest.mark.parametrize("backend", [*BACKENDS])
def test_gradients_off_the_mask_stay_zero(backend: str) -> None:
    made = layer(backend)
    gradient = stepped(made, shorter=True)[2]
    assert bool((gradient[~made.mask] == 0).all())


def test_dense_products_really_are_shorter() -> None:
    made = layer("masked")
    assert not torch.equal(stepped(made, shorter=True)[0], stepped(made, shorter=False)[0])


def bfloat16_step(made: SparseLinear) -> list[Tensor]:
    """Output and gradients of inputs, weight and bias, from inputs that are bfloat16 already."""
    inputs = torch.randn(70, 24, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()
    upstream = torch.randn(70, 20, generator=torch.Generator().manual_seed(2)).bfloat16()
    made.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        output = made(inputs)
    output.backward(upstream.to(output.dtype))
    gradients = [inputs.grad, made.weight.grad, None if made.bias is None else made.bias.grad]
    return [output.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.usefixtures("needs_compiler")
def test_kernels_read_and_write_bfloat16_and_compute_in_float32() -> None:
    made = layer("native")
    output, for_inputs, for_weight, for_bias = bfloat16_step(made)
    assert [value.dtype for value in (output, for_inputs)] == [torch.bfloat16] * 2
    assert [value.dtype for value in (for_weight, for_bias)] == [torch.float32] * 2
    inputs = torch.randn(70, 24, generator=torch.Generator().manual_seed(1)).bfloat16().float().requires_grad_()
    upstream = torch.randn(70, 20, generator=torch.Generator().manual_seed(2)).bfloat16().float()
    made.zero_grad()
    whole = made(inputs)
    whole.backward(upstream)
    assert torch.equal(output, whole.bfloat16())
    assert inputs.grad is not None
    assert made.bias is not None
    assert made.weight.grad is not None
    assert torch.equal(for_inputs, inputs.grad.bfloat16())
    assert torch.equal(for_weight, made.weight.grad)
    torch.testing.assert_close(for_bias, made.bias.grad)


@pytest.mark.usefixtures("needs_compiler")
def test_inputs_that_are_float32_stay_so_under_the_kernels() -> None:
    made, inputs = layer("native"), torch.randn(7, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made(inputs), made(inputs))
        assert made(inputs).dtype == torch.float32
    with torch.autocast("cpu", torch.float16):
        assert made(inputs.bfloat16()).dtype == torch.float32


def test_expanded_weights_are_multiplied_as_masked_ones_are() -> None:
    for value, other in zip(bfloat16_step(layer("expand")), bfloat16_step(layer("masked")), strict=True):
        dense = other[layer("masked").mask] if value.shape != other.shape else other
        torch.testing.assert_close(value, dense.to(value.dtype), rtol=1e-2, atol=1e-2)


def test_sparse_products_of_either_direction_are_out_of_its_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is left on around the backward pass. On a CPU it knows none of them, elsewhere it does."""
    seen = []

    def watched(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*given: Tensor, **options: float) -> Tensor:
            seen.append(torch.is_autocast_enabled("cpu"))
            return function(*given, **options)

        return call

    made = layer("csr")
    monkeypatch.setattr(csr, "_product", watched(csr._product))
    monkeypatch.setattr(torch.sparse, "sampled_addmm", watched(torch.sparse.sampled_addmm))
    with torch.autocast("cpu", torch.bfloat16):
        made(torch.randn(7, 24, requires_grad=True)).sum().backward()
    assert seen == [False] * 3
