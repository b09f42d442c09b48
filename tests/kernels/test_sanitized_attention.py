"""Attention and GELU under AddressSanitizer and UndefinedBehaviorSanitizer, against PyTorch in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.model.gpt import alibi_bias
from tests.kernels.sanitizers import MACHINES, instrumented, run

SOURCE = Path(__file__).with_name("sanitized_attention.cpp")


@pytest.fixture(scope="module", params=MACHINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernels, instrumented."""
    return instrumented(SOURCE, tmp_path_factory.mktemp("sanitized"), request.param)


def content(qkv: Tensor, upstream: Tensor, bias: Tensor | None) -> bytes:
    time, _, heads, channels = qkv.shape
    sizes = np.array([heads, time, channels, bias is not None], dtype=np.int64)
    arrays = [qkv, upstream, *([] if bias is None else [bias])]
    return b"".join([sizes.tobytes(), *(array.numpy().tobytes() for array in arrays)])


@pytest.mark.usefixtures("needs_compiler")
class TestSanitizedAttention:
    @pytest.mark.parametrize("time", [1, 15, 16, 17, 33, 70])
    @pytest.mark.parametrize(("channels", "with_bias"), [(16, True), (48, False), (80, True)])
    def test_it_is_right_and_touches_nothing_else(
        self, program: Path, time: int, channels: int, with_bias: bool
    ) -> None:
        generator = torch.Generator().manual_seed(time)
        qkv, upstream = (torch.randn(time, *rest, channels, generator=generator) for rest in ((3, 2), (2,)))
        bias = alibi_bias(2, time) if with_bias else None
        result = run(program, content(qkv, upstream, bias))
        assert result.returncode == 0, result.stderr.decode()
        computed = torch.frombuffer(bytearray(result.stdout), dtype=torch.float32)
        count = qkv.numel()
        whole, (rounded, activated_brief) = computed[: -2 * count], computed[-2 * count :].view(2, count)
        assert torch.equal(rounded, whole[-3 * count : -2 * count].bfloat16().float()), "as PyTorch rounds"
        torch.testing.assert_close(activated_brief, F.gelu(rounded), rtol=2**-8, atol=1e-6)
        leaf = qkv.double().requires_grad_()
        q, k, v = leaf.permute(1, 2, 0, 3).unbind(0)
        output = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if bias is None else bias.double(), is_causal=bias is None, scale=0.3
        ).transpose(0, 1)
        (gradient,) = torch.autograd.grad(output, leaf, upstream.double())
        leaf = gradient.clone().requires_grad_()
        activated = F.gelu(leaf)
        (through,) = torch.autograd.grad(activated, leaf, gradient)
        parts = (output, gradient, activated, through)
        expected = torch.cat([part.detach().flatten() for part in parts]).float()
        torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-4)

    def test_scratch_that_is_too_short_is_caught(self, program: Path) -> None:
        """The control."""
        given = content(torch.randn(5, 3, 1, 16), torch.randn(5, 1, 16), None)
        assert run(program, given).returncode == 0
        result = run(program, given, "too short")
        assert result.returncode != 0
        assert b"heap-buffer-overflow" in result.stderr
