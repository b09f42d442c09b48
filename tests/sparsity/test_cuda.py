"""``csr`` and ``expand`` on a CUDA device against ``masked`` there; ``native`` leaves such layers to it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import SparseLinear, Workload, calibrate, change_mask, computing_backend, named_generator
from smupar_transfer.theory import InputError

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

SHAPES = [(7, 24, 20, 0.4), (300, 130, 70, 0.05), (1, 33, 1, 0.5)]
"""Of tokens, inputs, outputs; density."""


def layer(backend: str, fan_in: int, fan_out: int, density: float) -> SparseLinear:
    made = SparseLinear(fan_in, fan_out, density=density, backend=backend, bias=True)
    made.draw_mask(named_generator(0, "mask", "layer"))
    made.set_weight(torch.randn(made.shape, generator=named_generator(0, "weight", "layer")))
    assert made.bias is not None
    made.bias.data.fill_(0.5)
    return made.to("cuda")


def stepped(
    made: SparseLinear, tokens: int, shorter: torch.dtype | None = None, *, backwards: bool = False
) -> list[Tensor]:
    """Output and gradients for inputs, (dense) weight and bias, as float32.

    Args:
        made: the layer.
        tokens: of random inputs.
        shorter: type that autocast asks for. backwards: whether it does so in the backward pass, too.
    """
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(tokens, made.in_features, generator=generator).cuda().requires_grad_()
    upstream = torch.randn(tokens, made.out_features, generator=generator).cuda()
    with torch.autocast("cuda", shorter, enabled=shorter is not None):
        output = made(inputs)
    with torch.autocast("cuda", shorter, enabled=backwards):
        (output.float() * upstream).sum().backward()
    assert made.bias is not None
    parameters = [inputs, made.weight, made.bias]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    assert len(gradients) == 3
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    return [output.detach().float(), gradients[0], made.backend.unpack(gradients[1]), gradients[2]]


@pytest.mark.parametrize(("tokens", "fan_in", "fan_out", "density"), SHAPES)
@pytest.mark.parametrize("backend", ["expand", "csr", "native"])
def test_float32_is_that_of_masked(backend: str, tokens: int, fan_in: int, fan_out: int, density: float) -> None:
    assert computing_backend(backend, "cuda") == ("expand" if backend == "expand" else "csr")
    computed = stepped(layer(backend, fan_in, fan_out, density), tokens)
    expected = stepped(layer("masked", fan_in, fan_out, density), tokens)
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shorter", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backwards", [False, True])
def test_under_autocast_it_computes_in_float32(shorter: torch.dtype, backwards: bool) -> None:
    """Also where a person has left it on around the backward pass."""
    made = layer("csr", 24, 20, 0.4)
    full = stepped(copy.deepcopy(made), 7)
    torch.testing.assert_close(stepped(made, 7, shorter, backwards=backwards), full, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["expand", "csr"])
def test_under_autocast_masked_is_near(backend: str) -> None:
    computed = stepped(layer(backend, 24, 20, 0.4), 7, torch.bfloat16)
    expected = stepped(layer("masked", 24, 20, 0.4), 7, torch.bfloat16)
    for value, other in zip(computed, expected, strict=True):
        assert float((value - other).norm() / other.norm()) < 0.02


def test_layers_are_calibrated_there(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert set(calibrate(Workload(64, 48, 300, False, 128, 1, device="cuda"))) == {"masked", "expand", "csr"}


@pytest.mark.parametrize("backend", ["masked", "expand", "csr", "native"])
@pytest.mark.parametrize("density", [0.05, 0.3, 0.9])
def test_moments_follow_the_mask(backend: str, density: float) -> None:
    """To fewer, as many and more weights; left behind they are refused."""
    made, other = layer(backend, 24, 20, 0.3), layer(backend, 24, 20, density)
    other.mask = other.mask.flip(0)
    optimizer = torch.optim.AdamW([made.weight], fused=True)
    stepped(made, 7)
    optimizer.step()
    expected = made.backend.unpack(optimizer.state[made.weight]["exp_avg"]) * (made.mask & other.mask)
    change_mask(made, other.mask.cpu(), optimizer)
    assert torch.equal(made.backend.unpack(optimizer.state[made.weight]["exp_avg"]), expected)
    optimizer.step()
    assert not made.dense_weight()[~made.mask].any()
    made.mask = made.mask.flip(1)
    with pytest.raises(InputError, match="moments for another mask"):
        optimizer.step()
