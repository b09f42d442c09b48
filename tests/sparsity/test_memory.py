"""What a sparse layer holds while it trains, and what building it takes for a moment, in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.sparsity.mask_bits import pack_bits

TEXTBOOK = 24
"""Bytes a dense entry: weight, mask, their product, gradient and two moments, in float32."""
DENSITY = 0.016


def layer(backend: str, width: int) -> SparseLinear:
    made = SparseLinear(width, width, density=DENSITY, backend=backend)
    made.draw_mask(named_generator(0, "mask", "w"))
    made.set_weight(torch.ones(width, width))
    return made


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in an object, through containers and attributes."""
    if isinstance(value, Tensor):
        yield value
        if value.grad is not None:
            yield value.grad
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors(part)
    elif hasattr(value, "__dict__"):
        yield from tensors(vars(value))


def held(*owners: Any) -> int:
    """Bytes of all memory behind the tensors that are reachable, views at the size of what they keep alive."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors(list(owners))}
    return sum(storage.nbytes() for storage in storages.values())


def trained(module: SparseLinear) -> torch.optim.Optimizer:
    """The optimizer of a layer after one step; gradients are there still."""
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    module(torch.ones(4, module.in_features)).sum().backward()
    optimizer.step()
    return optimizer


def peak(action: Callable[[], Any]) -> int:
    """Most bytes of tensors that are alive at once, beyond those that are there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = action()
    del result
    assert profiler.profiler is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        most = max(most, level)
    return most


def test_everything_is_counted_once() -> None:
    class Owner:
        view = property(lambda self: torch.ones(99))

        def __init__(self) -> None:
            self.kept = torch.ones(10, requires_grad=True)
            self.kept.grad = torch.ones(10)
            self.nested = {"a": [self.kept, (torch.ones(100)[:1],)]}

    assert held(Owner()) == 4 * (10 + 10 + 100)


def test_the_peak_is_not_the_sum() -> None:
    def action() -> Tensor:
        for _ in range(3):
            last = torch.ones(1_000_000)
            del last
        return torch.ones(2_000_000) + 1

    assert peak(action) == pytest.approx(16_000_000, rel=1e-3)


@pytest.mark.parametrize("backend", ["expand", "csr", "native"], indirect=True)
@pytest.mark.parametrize("width", [1024, 2048])
def test_training_holds_a_fortieth_of_the_textbook(backend: str, width: int) -> None:
    """Parameters, gradients, moments, bits of the mask and all that the backend computes with, at 98.4 % sparsity."""
    module = layer(backend, width)
    textbook = TEXTBOOK * width**2
    assert held(module, trained(module)) <= textbook / 40
    module.register_buffer("boolean_mask", module.mask)
    assert held(module) > textbook / 40, "a boolean mask alone is too much"


def step_peak(*backends: str) -> int:
    """Most bytes that are alive at once in a bfloat16 step of layers one after the other."""
    layers = torch.nn.Sequential(*(layer(name, 512) for name in backends))
    optimizer = torch.optim.AdamW(layers.parameters(), fused=True)
    inputs = torch.ones(64, 512)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = layers(inputs).float().square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # makes the moments
    return peak(step)


@pytest.mark.usefixtures("needs_compiler")
def test_a_step_takes_one_dense_layer_for_a_moment_however_many_expand() -> None:
    """Over what the kernels take: in bfloat16."""
    dense = 2 * 512**2
    least, most = step_peak(*["native"] * 4), step_peak(*["expand"] * 4)
    assert dense / 2 < most <= least + dense
    assert step_peak(*["masked"] * 4) > least + dense, "a dense gradient a layer is more"


def test_nothing_of_a_dense_size_stays_from_the_forward_pass_to_the_backward_pass() -> None:
    module, saved = layer("expand", 512), list[int]()
    before = held(module)

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.nbytes)
        return tensor

    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(torch.ones(4, 512, requires_grad=True))
    assert held(module) == before
    assert max(saved) == 8 * module.nonzero < 512**2


def test_masked_holds_dense_matrices() -> None:
    """The control: weight, gradient, two moments and the mask as floats, beside its bits."""
    module = layer("masked", 256)
    assert held(module, trained(module).state) == pytest.approx((5 * 4 + 1 / 8) * 256**2, rel=1e-3)


def test_the_mask_is_kept_in_bits() -> None:
    module = layer("masked", 1024)
    assert held(module.mask_bits) == 1024**2 / 8
    mask = module.mask
    assert peak(lambda: pack_bits(mask)) <= 4 * 1024**2 / 8


def test_building_takes_no_more_for_a_moment_than_the_textbook_does_all_the_time(backend: str) -> None:
    """Dense initial values, the draw of the mask and the making of the structure included."""
    assert peak(lambda: layer(backend, 1024)) <= TEXTBOOK * 1024**2
