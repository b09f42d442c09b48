"""The C++ operators as PyTorch sees them: shapes of what they return, for compilers, and gradients."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

WIDEST = 16
"""Lanes of the widest vectors that kernels are built for."""


@functools.cache
def register_operators() -> None:
    """Make the loaded kernels differentiable and traceable."""
    torch.library.register_fake("smupar_native::linear", _linear_shape)
    torch.library.register_fake("smupar_native::linear_backward", _backward_shapes)
    torch.library.register_autograd("smupar_native::linear", _backward, setup_context=_remember)
    torch.library.register_fake("smupar_native::gelu", torch.empty_like)
    torch.library.register_fake("smupar_native::gelu_backward", lambda _gradient, inputs: torch.empty_like(inputs))
    torch.library.register_autograd("smupar_native::gelu", _gelu_backward, setup_context=_remember_inputs)
    torch.library.register_fake("smupar_native::attention", _attention_shapes)
    torch.library.register_fake(
        "smupar_native::attention_backward", lambda _gradient, qkv, *_rest: torch.empty_like(qkv)
    )
    torch.library.register_autograd("smupar_native::attention", _attention_backward, setup_context=_remember_attention)


def _linear_shape(
    inputs: Tensor, _values: Tensor, _bias: Tensor | None, _index: Tensor, _starts: Tensor, rows: Tensor, *_rest: Any
) -> Tensor:
    return inputs.new_empty(inputs.shape[0], rows.shape[0] - 1)


def _backward_shapes(_gradient: Tensor, inputs: Tensor, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    tokens = inputs.shape[0] if rest[-1] else 0
    return inputs.new_empty(tokens, inputs.shape[1]), values.new_empty(values.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    rows, values, _, *_forward, index, starts, positions, panel, block, tile = inputs
    ctx.save_for_backward(rows, values, index, starts, positions)
    ctx.blocking = panel, block, tile


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    for_inputs, for_values, for_bias = ctx.needs_input_grad[:3]
    inputs_gradient = values_gradient = None
    if for_inputs or for_values:
        inputs_gradient, values_gradient = torch.ops.smupar_native.linear_backward(
            gradient, *ctx.saved_tensors, *ctx.blocking, for_inputs
        )
    return (
        inputs_gradient if for_inputs else None,
        values_gradient if for_values else None,
        gradient.sum(0, dtype=torch.float32) if for_bias else None,
        *[None] * 12,
    )


def _attention_shapes(qkv: Tensor, _bias: Tensor | None, _scale: float) -> tuple[Tensor, Tensor]:
    batch, time, _, heads, channels = qkv.shape
    lanes = torch.ops.smupar_native.lanes()
    padded = (time + lanes - 1) // lanes * lanes
    weights = qkv.new_empty((batch * heads, time, padded), dtype=torch.float32)
    return qkv.new_empty(batch, time, heads, channels), weights


def _remember_attention(ctx: Any, inputs: tuple[Tensor, Tensor | None, float], output: tuple[Tensor, Tensor]) -> None:
    qkv, _, ctx.scale = inputs
    ctx.save_for_backward(qkv, output[1])
    ctx.mark_non_differentiable(output[1])


def _attention_backward(ctx: Any, gradient: Tensor, _weights: Tensor) -> tuple[Tensor, None, None]:
    qkv, weights = ctx.saved_tensors
    return torch.ops.smupar_native.attention_backward(gradient, qkv, weights, ctx.scale), None, None


def _remember_inputs(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.save_for_backward(*inputs)


def _gelu_backward(ctx: Any, gradient: Tensor) -> Tensor:
    input_gradient: Tensor = torch.ops.smupar_native.gelu_backward(gradient, *ctx.saved_tensors)
    return input_gradient


def is_computed(values: Tensor) -> bool:
    """Whether the kernels for attention and GELU know these: float32, or bfloat16 (computed in float32), on a CPU."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.bfloat16)


def attention_suits(qkv: Tensor) -> bool:
    """Whether the kernels compute the attention of ``qkv`` (..., channels), of whole vectors on every machine."""
    return is_computed(qkv) and qkv.shape[-1] % WIDEST == 0
