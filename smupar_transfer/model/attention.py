"""Causal attention over short sequences, faster on a CPU than PyTorch's fused kernel.

Shape suffixes: B batch, H heads, T time, C channels of a head, N batch times heads.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from smupar_transfer.kernels import attention_suits

LONGEST = 1024
"""Longest sequence whose attention weights are kept for the backward pass; memory grows with its square."""
BLOCK = 32
"""Queries at a time: each block reads only the keys up to its own last one, which saves almost half of the products."""


def causal_attention(qkv_BT3HC: Tensor, bias_HTT: Tensor | None, scale: float, *, native: bool = False) -> Tensor:
    """Softmax of scaled products of queries and keys, times values; the future is masked.

    Args:
        qkv_BT3HC: queries, keys and values of every token, of any float type.
        bias_HTT: added to the logits and negatively infinite in the future; None for the causal mask alone.
        scale: of the logits.
        native: whether the C++ kernels, which must be loaded, compute what suits them.

    Returns:
        Weighted values (B, T, H, C), of the type of the queries.
    """
    if native and attention_suits(qkv_BT3HC) and qkv_BT3HC.shape[1] <= LONGEST:
        attended: Tensor = torch.ops.smupar_native.attention(qkv_BT3HC, bias_HTT, scale)[0]
        return attended
    if _suits(qkv_BT3HC):
        return _Blocked.apply(*_parts(qkv_BT3HC), bias_HTT, scale).transpose(1, 2)  # type: ignore[no-any-return, no-untyped-call]
    q_BHTC, k_BHTC, v_BHTC = _parts(qkv_BT3HC)
    return F.scaled_dot_product_attention(
        q_BHTC, k_BHTC, v_BHTC, attn_mask=bias_HTT, is_causal=bias_HTT is None, scale=scale
    ).transpose(1, 2)


def _parts(qkv_BT3HC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q_BHTC, k_BHTC, v_BHTC = qkv_BT3HC.permute(2, 0, 3, 1, 4).unbind(0)
    return q_BHTC, k_BHTC, v_BHTC


def _suits(qkv_BT3HC: Tensor) -> bool:
    """Whether this is float32 on a CPU; elsewhere PyTorch's own kernels are better."""
    on_cpu = qkv_BT3HC.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_cpu and qkv_BT3HC.dtype == torch.float32 and qkv_BT3HC.shape[1] <= LONGEST


class _Blocked(torch.autograd.Function):
    """Blocks of queries, each against all keys that it may see."""

    @staticmethod
    def forward(
        ctx: Any, q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, bias_HTT: Tensor | None, scale: float
    ) -> Tensor:
        q_NTC, k_NTC, v_NTC = (x.reshape(-1, *x.shape[2:]) for x in (q_BHTC, k_BHTC, v_BHTC))
        y_NTC = torch.empty_like(v_NTC)
        weights = []
        for start, end in _blocks(q_NTC):
            logits = torch.bmm(q_NTC[:, start:end], k_NTC[:, :end].transpose(1, 2)).mul_(scale)
            by_head = logits.view(*q_BHTC.shape[:2], end - start, end)
            if bias_HTT is None:
                by_head[..., start:] += torch.full((end - start,) * 2, float("-inf")).triu(1)
            else:
                by_head += bias_HTT[:, start:end, :end]
            weights.append(logits.softmax(-1))
            y_NTC[:, start:end] = torch.bmm(weights[-1], v_NTC[:, :end])
        ctx.save_for_backward(q_NTC, k_NTC, v_NTC, *weights)
        ctx.scale, ctx.shape = scale, q_BHTC.shape
        return y_NTC.view(q_BHTC.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BHTC: Tensor) -> tuple[Tensor | None, ...]:
        q_NTC, k_NTC, v_NTC, *weights = ctx.saved_tensors
        dy_NTC = gradient_BHTC.reshape(q_NTC.shape)
        dq_NTC, dk_NTC, dv_NTC = torch.empty_like(q_NTC), torch.zeros_like(k_NTC), torch.zeros_like(v_NTC)
        for (start, end), weight in zip(_blocks(q_NTC), weights, strict=True):
            dy = dy_NTC[:, start:end]
            # Not baddbmm_, which multiplies transposed matrices one by one.
            dv_NTC[:, :end] += torch.bmm(weight.transpose(1, 2), dy)
            d_weight = torch.bmm(dy, v_NTC[:, :end].transpose(1, 2))
            # Through the softmax: d_logits = weight * (d_weight - sum(weight * d_weight)).
            d_logits = torch._softmax_backward_data(d_weight, weight, -1, weight.dtype).mul_(ctx.scale)
            dq_NTC[:, start:end] = torch.bmm(d_logits, k_NTC[:, :end])
            dk_NTC[:, :end] += torch.bmm(d_logits.transpose(1, 2), q_NTC[:, start:end])
        return *(gradient.view(ctx.shape) for gradient in (dq_NTC, dk_NTC, dv_NTC)), None, None


def _blocks(q_NTC: Tensor) -> list[tuple[int, int]]:
    time = q_NTC.shape[1]
    return [(start, min(start + BLOCK, time)) for start in range(0, time, BLOCK)]
