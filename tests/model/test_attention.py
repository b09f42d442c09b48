from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.kernels import attention_suits, native_problem
from smupar_transfer.model.attention import BLOCK, LONGEST, causal_attention
from smupar_transfer.model.gpt import alibi_bias

SCALE = 0.3
TIMES = [1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 7]


@pytest.fixture(params=[False, True], ids=["torch", "native"])
def native(request: pytest.FixtureRequest) -> bool:
    """Both ways to compute in float32 on a CPU."""
    if request.param and (problem := native_problem()) is not None:
        pytest.skip(problem)
    return bool(request.param)


def tokens(time: int, dtype: torch.dtype = torch.float32, channels: int = 16) -> Tensor:
    """Queries, keys and values of two sequences and three heads."""
    generator = torch.Generator().manual_seed(time)
    return torch.randn(2, time, 3, 3, channels, generator=generator).to(dtype).requires_grad_()


def fused(qkv: Tensor, bias: Tensor | None) -> Tensor:
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None, scale=SCALE)
    return attended.transpose(1, 2)


def results(attend: Callable[[Tensor], Tensor], qkv: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted values, and the gradient of some sum of them."""
    output = attend(qkv)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape).to(output)
    return output, torch.autograd.grad((output * weights).sum(), qkv)[0]


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("channels", [8, 16, 80])
def test_it_is_the_fused_kernel_in_double_precision(time: int, channels: int, with_bias: bool, native: bool) -> None:
    bias = alibi_bias(3, time + 2)[:, :time, :time] if with_bias else None  # a part of a longer one, as in a GPT
    qkv = tokens(time, channels=channels)
    doubles = qkv.detach().double().requires_grad_()
    double_bias = None if bias is None else bias.double()
    computed = results(lambda x: causal_attention(x, bias, SCALE, native=native), qkv)
    wanted = results(lambda x: fused(x, double_bias), doubles)
    for value, other in zip(computed, wanted, strict=True):
        torch.testing.assert_close(value.double(), other, rtol=1e-5, atol=1e-5)


def test_large_and_distant_logits_neither_overflow_nor_vanish(native: bool) -> None:
    qkv = tokens(40).detach() * 10
    output = causal_attention(qkv, None, SCALE, native=native)
    torch.testing.assert_close(output.double(), fused(qkv.double(), None), rtol=1e-3, atol=1e-3)


def test_a_token_that_is_not_a_number_shows_in_all_that_see_it(native: bool) -> None:
    qkv = tokens(2 * BLOCK).detach()
    qkv[:, BLOCK] = float("nan")
    output = causal_attention(qkv, None, SCALE, native=native)
    assert bool(output[:, BLOCK:].isnan().all())
    assert bool(output[:, :BLOCK].isfinite().all())


def test_a_wrong_scale_is_seen(native: bool) -> None:
    qkv = tokens(9)
    output = causal_attention(qkv, None, 1.01 * SCALE, native=native)
    assert not torch.allclose(output, fused(qkv, None), rtol=1e-5, atol=2e-6)


def test_the_future_has_no_influence(native: bool) -> None:
    qkv = tokens(2 * BLOCK)
    past = BLOCK + 3
    output = causal_attention(qkv, None, SCALE, native=native)
    (gradient,) = torch.autograd.grad(output[:, past].sum(), qkv)
    assert bool((gradient[:, past + 1 :] == 0).all())
    assert bool((gradient[:, : past + 1, 1:] != 0).any())


@pytest.mark.parametrize(("time", "dtype"), [(LONGEST + 1, torch.float32), (8, torch.float64)], ids=str)
def test_long_sequences_and_other_types_take_the_fused_kernel(time: int, dtype: torch.dtype, native: bool) -> None:
    qkv = tokens(time, dtype).detach()[:1]
    torch.testing.assert_close(causal_attention(qkv, None, SCALE, native=native), fused(qkv, None), rtol=0, atol=0)


def test_bfloat16_takes_it_without_the_kernels() -> None:
    qkv = tokens(8, torch.bfloat16).detach()
    torch.testing.assert_close(causal_attention(qkv, None, SCALE), fused(qkv, None), rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert causal_attention(qkv.float(), None, SCALE).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by the compiler itself
def test_it_compiles_into_one_graph(native: bool) -> None:
    qkv = tokens(2 * BLOCK)

    def plain(qkv: Tensor) -> Tensor:
        return causal_attention(qkv, None, SCALE, native=native)

    compiled = torch.compile(plain, backend="aot_eager", fullgraph=True)
    for value, other in zip(results(compiled, qkv), results(plain, qkv), strict=True):
        torch.testing.assert_close(value, other)


@pytest.mark.usefixtures("native")
class TestNative:
    @pytest.fixture(autouse=True)
    def kernels_are_there(self, native: bool) -> None:
        if not native:
            pytest.skip("of the C++ kernels alone")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_the_operators_are_as_pytorch_wants_them(self, dtype: torch.dtype) -> None:
        # So short that no part of the weights is left unwritten.
        arguments = (tokens(16, dtype), alibi_bias(3, 16), SCALE)
        torch.library.opcheck(torch.ops.smupar_native.attention.default, arguments)

    @pytest.mark.parametrize("with_bias", [False, True])
    @pytest.mark.parametrize("time", [1, 15, 70])
    @pytest.mark.parametrize("autocast", [False, True])
    def test_bfloat16_is_read_and_written_and_float32_computed(
        self, time: int, with_bias: bool, autocast: bool
    ) -> None:
        """No further from the result in float32 than rounding of what comes in and goes out."""
        bias = alibi_bias(3, time) if with_bias else None
        brief = tokens(time, torch.bfloat16, channels=48)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            computed = results(lambda x: causal_attention(x, bias, SCALE, native=True), brief)
        whole = brief.detach().float().requires_grad_()
        weights = torch.linspace(-1, 1, computed[0].numel()).view(computed[0].shape).bfloat16().float()
        output = causal_attention(whole, bias, SCALE, native=True)
        (gradient,) = torch.autograd.grad((output * weights).sum(), whole)
        for value, other in zip(computed, (output, gradient), strict=True):
            assert value.dtype == torch.bfloat16
            assert torch.equal(value, other.bfloat16())

    def test_under_autocast_float32_stays_as_it_is(self) -> None:
        qkv = tokens(70)
        with torch.autocast("cpu", torch.bfloat16):
            computed = causal_attention(qkv, None, SCALE, native=True)
        assert torch.equal(computed, causal_attention(qkv, None, SCALE, native=True))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_results_do_not_depend_on_threads(self, dtype: torch.dtype) -> None:
        qkv, by_threads = tokens(70, dtype), []
        before = torch.get_num_threads()
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            by_threads.append(results(lambda x: causal_attention(x, None, SCALE, native=True), qkv))
        torch.set_num_threads(before)
        assert all(torch.equal(a, b) for other in by_threads[1:] for a, b in zip(by_threads[0], other, strict=True))

    def test_heads_of_broken_vectors_do_not_suit(self) -> None:
        assert attention_suits(tokens(3, channels=32))
        assert not attention_suits(tokens(3, channels=17))
        with pytest.raises(RuntimeError, match="no multiple"):
            torch.ops.smupar_native.attention(tokens(3, channels=17), None, SCALE)

    def test_a_bias_of_another_shape_is_refused(self) -> None:
        with pytest.raises(RuntimeError, match="bias is not"):
            torch.ops.smupar_native.attention(tokens(5), alibi_bias(3, 4), SCALE)
