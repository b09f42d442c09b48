from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.model.attention import BLOCK, LONGEST, causal_attention
from smupar_transfer.model.gpt import alibi_bias

SCALE = 0.3


def inputs(time: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(time)
    return [torch.randn(2, 3, time, 8, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None, scale=SCALE)


def results(attend: Callable[[Tensor, Tensor, Tensor], Tensor], tensors: list[Tensor]) -> list[Tensor]:
    output = attend(tensors[0], tensors[1], tensors[2])
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape).to(output)
    return [output, *torch.autograd.grad((output * weights).sum(), tensors)]


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("time", [1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_values_and_gradients_are_those_of_the_fused_kernel_in_double_precision(time: int, with_bias: bool) -> None:
    bias = alibi_bias(3, time) if with_bias else None
    tensors = inputs(time)
    doubles = [tensor.detach().double().requires_grad_() for tensor in tensors]
    double_bias = None if bias is None else bias.double()
    found = results(lambda q, k, v: causal_attention(q, k, v, bias, SCALE), tensors)
    wanted = results(lambda q, k, v: fused(q, k, v, double_bias), doubles)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=2e-6)


def test_a_wrong_scale_is_seen() -> None:
    q, k, v = inputs(9)
    found = causal_attention(q, k, v, None, 1.01 * SCALE)
    assert not torch.allclose(found, fused(q, k, v, None), rtol=1e-5, atol=2e-6)


def test_the_future_has_no_influence() -> None:
    q, k, v = inputs(2 * BLOCK)
    output = causal_attention(q, k, v, None, SCALE)
    past = BLOCK + 3
    for_keys, for_values = torch.autograd.grad(output[:, :, past].sum(), [k, v])
    for gradient in (for_keys, for_values):
        assert bool((gradient[:, :, past + 1 :] == 0).all())
        assert bool((gradient[:, :, : past + 1] != 0).any())


@pytest.mark.parametrize(
    ("time", "dtype"), [(LONGEST + 1, torch.float32), (8, torch.float64), (8, torch.bfloat16)], ids=str
)
def test_long_sequences_and_other_types_take_the_fused_kernel(time: int, dtype: torch.dtype) -> None:
    q, k, v = (tensor[:1, :1].detach() for tensor in inputs(time, dtype))
    torch.testing.assert_close(causal_attention(q, k, v, None, SCALE), fused(q, k, v, None), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by the compiler itself
def test_it_compiles_into_one_graph() -> None:
    tensors = inputs(2 * BLOCK)
    compiled = torch.compile(
        lambda q, k, v: causal_attention(q, k, v, None, SCALE), backend="aot_eager", fullgraph=True
    )
    for one, other in zip(
        results(compiled, tensors),
        results(lambda q, k, v: causal_attention(q, k, v, None, SCALE), tensors),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
