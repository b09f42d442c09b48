from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.split import Clock, enter, leave, time_module


class Ticks:
    """A clock for the clock: stands still unless told to go."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_parts_inside_a_part_are_not_counted_twice() -> None:
    ticks = Ticks()
    clock = Clock(ticks)
    ticks.now = 1
    with clock.part("outer"):
        ticks.now = 3
        with clock.part("inner"):
            ticks.now = 7
        ticks.now = 15
    ticks.now = 31
    assert clock.take() == {"rest": 17, "outer": 10, "inner": 4}
    assert clock.take() == {"rest": 0}


def test_parts_are_left_in_reverse_order() -> None:
    clock = Clock()
    clock.push("outer")
    clock.push("inner")
    with pytest.raises(RuntimeError, match="left outer while in inner"):
        clock.pop("outer")


class _Work(torch.autograd.Function):
    """Takes one tick forwards and ten backwards."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ticks: Ticks, cost: float) -> Tensor:
        ctx.ticks, ctx.cost = ticks, cost
        ticks.now += cost
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        ctx.ticks.now += 10 * ctx.cost
        return gradients[0], None, None


class Worker(nn.Module):
    def __init__(self, ticks: Ticks, cost: float, inside: nn.Module | None = None) -> None:
        super().__init__()
        self.ticks, self.cost, self.inside = ticks, cost, inside

    def forward(self, values: Tensor) -> Tensor:
        worked: Tensor = _Work.apply(values, self.ticks, self.cost)  # type: ignore[no-untyped-call]
        return worked if self.inside is None else self.inside(worked)


def test_both_passes_are_accounted_to_the_innermost_part() -> None:
    ticks = Ticks()
    clock = Clock(ticks)
    inner = Worker(ticks, 100.0)
    outer, after = Worker(ticks, 1.0, inner), Worker(ticks, 10_000.0)
    time_module(inner, clock, "inner")
    time_module(outer, clock, "outer")
    values = torch.ones(3, requires_grad=True)
    hidden = outer(values * 2)
    loss = leave(after(enter(values * 3 + hidden, clock, "after")).sum(), clock, "after")
    loss.backward()  # type: ignore[no-untyped-call]
    assert clock.take() == {"rest": 0, "outer": 11, "inner": 1100, "after": 110_000}
    assert values.grad is not None
    assert values.grad.tolist() == [5.0] * 3


def test_a_weights_gradient_is_its_layers() -> None:
    """Nodes of the weight's branch run before the layer is left."""
    ticks = Ticks()
    clock = Clock(ticks)
    layer = nn.Linear(4, 4)
    layer.weight.register_hook(lambda _gradient: setattr(ticks, "now", ticks.now + 7))  # type: ignore[no-untyped-call]
    time_module(layer, clock, "layer")
    layer(torch.ones(2, 3, 4, requires_grad=True) * 2).sum().backward()
    assert clock.take() == {"rest": 0, "layer": 7}
