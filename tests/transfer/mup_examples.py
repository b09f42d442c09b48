"""An MLP, a ResNet and a Transformer after the public examples of the ``mup`` package, small.

With ``mup.MuReadout`` as their output layer they are as the examples have them; with ``nn.Linear``, plain torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mup
import torch
from torch import Tensor, nn
from torch.nn import functional

BASE_HEAD = 16
"""Channels of a head of the transformer at width 32, where ``mup``'s and torch's attention agree."""


class Mlp(nn.Module):
    """As ``examples/MLP``, with biases."""

    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.first = nn.Linear(48, width)
        self.middle = nn.Linear(width, width)
        self.readout = readout(width, 40)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.relu(self.middle(functional.relu(self.first(inputs))))
        outputs: Tensor = self.readout(hidden)
        return outputs


class _Block(nn.Module):
    """The basic block of ``examples/ResNet``."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(inputs)))))
        return functional.relu(outputs + self.shortcut(inputs))


class ResNet(nn.Module):
    """As ``examples/ResNet``, with two stages."""

    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1, self.layer2 = _Block(width, width, 1), _Block(width, 2 * width, 2)
        self.linear = readout(2 * width, 40)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(inputs)))))
        outputs: Tensor = self.linear(hidden.mean((2, 3)))
        return outputs


class _Attention(nn.Module):
    """The attention of ``examples/Transformer``, its projections kept apart."""

    def __init__(self, width: int, heads: int, is_mup: bool) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.scaling = math.sqrt(BASE_HEAD) / self.head_dim if is_mup else self.head_dim**-0.5
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        # a bias of keys changes nothing behind a softmax: its gradient is rounding alone, and Adam would follow that
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        query, key, value = (
            projection(inputs).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        scores = (query @ key.transpose(-1, -2)) * self.scaling
        outputs: Tensor = self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return outputs


class Transformer(nn.Module):
    """As ``examples/Transformer``, one layer with learned positions; heads grow with the width, as there."""

    heads = 2

    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.encoder, self.positions = nn.Embedding(96, width), nn.Embedding(16, width)
        self.attention = _Attention(width, self.heads, is_mup=readout is mup.MuReadout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.decoder = readout(width, 96)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.encoder(tokens) + self.positions(torch.arange(tokens.shape[1]))
        hidden = self.norm1(hidden + self.attention(hidden))
        hidden = self.norm2(hidden + self.linear2(functional.relu(self.linear1(hidden))))
        outputs: Tensor = self.decoder(hidden)
        return outputs


EXAMPLES: dict[str, Callable[[int, type[nn.Linear]], nn.Module]] = {
    "MLP": Mlp,
    "ResNet": ResNet,
    "Transformer": Transformer,
}


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


INPUTS: dict[str, Callable[[], Tensor]] = {
    "MLP": lambda: _random(8, 48),
    "ResNet": lambda: _random(4, 3, 8, 8),
    "Transformer": lambda: torch.randint(96, (2, 16), generator=torch.Generator().manual_seed(0)),
}
"""What the examples take."""
