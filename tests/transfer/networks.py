"""Small ordinary networks, which initialise themselves, and what plans of them are made with."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.transfer import Plan, plan

VOCABULARY, FEATURES, CLASSES, LENGTH = 11, 6, 5, 7


class Mlp(nn.Module):
    """Two hidden layers in a list, a normalisation and a readout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + F.gelu(block(x))
        return self.head(self.norm(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention of two heads and a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, -1, 4).transpose(1, 2) for part in self.qkv(self.norm(x)).split(width, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(x)))  # type: ignore[no-any-return]


class TiedTransformer(nn.Module):
    """A language model whose readout is its embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))  # type: ignore[no-any-return]


class Convolutional(nn.Module):
    """Three convolutions, one of them depthwise, with batch normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(self.middle(self.depthwise(x)))
        return self.head(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


KINDS: dict[str, type[nn.Module]] = {"mlp": Mlp, "transformer": TiedTransformer, "convolutional": Convolutional}


def make(kind: str, width: int, seed: int = 0) -> Any:
    """A network whose initial values come from a seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return KINDS[kind](width)


def batch(kind: str, seed: int = 0, size: int = 4) -> Tensor:
    """What a network of a kind takes."""
    generator = torch.Generator().manual_seed(seed)
    match kind:
        case "mlp":
            return torch.randn(size, FEATURES, generator=generator)
        case "transformer":
            return torch.randint(VOCABULARY, (size, LENGTH), generator=generator)
    return torch.randn(size, 3, 5, 5, generator=generator)


HPARAMS = {"learning_rate": 0.01, "input_multiplier": 3.0, "output_multiplier": 2.0, "weight_decay": 0.1}


def planned(kind: str = "mlp", width: int = 32, seed: int = 0, **options: Any) -> tuple[Plan, Any]:
    """A plan at density 1/4 with base multipliers, and a network that it was applied to."""
    network = make(kind, width, seed)
    options = {"density": 0.25, "hparams": HPARAMS, **options}
    made = plan(network, make(kind, 16, seed=100), **options)
    made.apply_(network)
    return made, network


def loss_of(output: Tensor) -> Tensor:
    """Something to descend on, with gradients of ordinary size."""
    return (output - 1).float().square().mean()


def masks_of(network: nn.Module) -> dict[str, Tensor]:
    """The masks that a network holds, by the names of their weights."""
    return {
        name.removesuffix("_mask"): buffer for name, buffer in network.named_buffers() if name.endswith("weight_mask")
    }


def off_mask_values(network: nn.Module) -> float:
    """The largest weight off the masks, of a network that has some."""
    masks = masks_of(network)
    assert masks
    return max(float(network.get_parameter(name).detach()[~mask].abs().max()) for name, mask in masks.items())


def off_mask_gradients(network: nn.Module) -> float:
    """The largest gradient off the masks."""
    largest = 0.0
    for name, mask in masks_of(network).items():
        gradient = network.get_parameter(name).grad
        assert gradient is not None
        largest = max(largest, float(gradient[~mask].abs().max()))
    return largest


def state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of everything that a network holds."""
    return copy.deepcopy(network.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two states agree to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(network: nn.Module, optimizer: torch.optim.Optimizer, kind: str, steps: range) -> None:
    """Steps on batches whose seeds are the steps' numbers."""
    for step in steps:
        optimizer.zero_grad()
        loss_of(network(batch(kind, seed=step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def extended(width: int, **parameters: nn.Parameter) -> Any:
    """The perceptron, with parameters of its own beside its modules."""
    network = make("mlp", width)
    for name, parameter in parameters.items():
        network.register_parameter(name, parameter)
    return network
