"""A task of one's own, as tests name it on a command line."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def make_model(width: int) -> nn.Module:
    """Three plain layers."""
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, width), nn.Linear(width, 2))


def batches(split: str, seed: int) -> Iterator[Tensor]:
    """One batch of zeros."""
    del split, seed
    yield torch.zeros(4, 3)


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    """How far outputs are from zero."""
    squares: Tensor = model(batch).square()
    return squares.mean()
