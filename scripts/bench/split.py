"""Where the time of a training step goes: clocks in the network that run forwards and backwards.

A part is entered and left in the forward pass; a node of the graph at either end sees the backward pass enter and
leave it. PyTorch runs a thread's nodes in the reverse order of their making, so what lies between is that part's.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.parts import ACTIVATION, ATTENTION, NORMS, READOUT, REST, SPARSE
from smupar_transfer.model import GPT
from smupar_transfer.model.gpt import Attention, FeedForward


class Clock:
    """Seconds of each part, without those of parts inside it; time outside all of them is ``REST``."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._now, self._inside, self._since = now, [REST], now()

    def push(self, part: str) -> None:
        """Enter a part."""
        self._account()
        self._inside.append(part)

    def pop(self, part: str) -> None:
        """Leave the part that was entered last, which must be this one."""
        self._account()
        left = self._inside.pop()
        if left != part:
            raise RuntimeError(f"left {part} while in {left}")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Enter and leave."""
        self.push(name)
        yield
        self.pop(name)

    def take(self) -> dict[str, float]:
        """Seconds since the last call, by part; the clock starts anew."""
        self._account()
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken

    def _account(self) -> None:
        now = self._now()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now


class _Border(torch.autograd.Function):
    """Nothing but a call on the way forwards and another on the way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, forwards: Callable[[], None], backwards: Callable[[], None]) -> Tensor:
        ctx.backwards = backwards
        forwards()
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        ctx.backwards()
        return gradients[0], None, None


def enter(values: Tensor, clock: Clock, part: str) -> Tensor:
    """The same values, from here on inside a part."""
    crossed: Tensor = _Border.apply(values, lambda: clock.push(part), lambda: clock.pop(part))  # type: ignore[no-untyped-call]
    return crossed


def leave(values: Tensor, clock: Clock, part: str) -> Tensor:
    """The same values, from here on outside a part."""
    crossed: Tensor = _Border.apply(values, lambda: clock.pop(part), lambda: clock.push(part))  # type: ignore[no-untyped-call]
    return crossed


def time_module(module: nn.Module, clock: Clock, part: str) -> None:
    """Have a module of one tensor in and one out run on the clock."""

    def before(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (enter(inputs[0], clock, part), *inputs[1:])

    module.register_forward_pre_hook(before)
    module.register_forward_hook(lambda _module, _inputs, output: leave(output, clock, part))


def time_network(network: GPT, clock: Clock, sparse: tuple[type[nn.Module], ...]) -> None:
    """Put clocks around the parts of a network; ``READOUT`` begins, and its user has to end it after the loss.

    Args:
        network: is changed for good.
        clock: that runs.
        sparse: types of its sparse layers.
    """
    kinds = ((sparse, SPARSE), (Attention, ATTENTION), (FeedForward, ACTIVATION), (nn.LayerNorm, NORMS))
    for module in list(network.modules()):
        for kind, part in kinds:
            if isinstance(module, kind):
                time_module(module, clock, part)
    network.norm.register_forward_hook(lambda _module, _inputs, output: enter(output, clock, READOUT))
