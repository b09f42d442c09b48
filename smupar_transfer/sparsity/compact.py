"""Weights without their zeros: the layout that the sparse backends share, and the structures they compute with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

INT32_MAX = 2**31 - 1


class CompactLayout(ABC):
    """The parameter is a vector of the weights that exist, in row-major order of the mask.

    Gradients and the optimizer's state have one entry a weight that exists, too. The mask itself is not kept: where the
    weights are can be read off the structure that a backend computes with.

    Args:
        mask: boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        self.shape = mask.shape

    @abstractmethod
    def places(self) -> Tensor:
        """Row * fan_in + column of every weight that exists, int64, ascending."""

    def pack(self, dense: Tensor) -> Tensor:
        """See ``Backend``."""
        return dense.flatten()[self.places()]

    def unpack(self, weight: Tensor) -> Tensor:
        """See ``Backend``."""
        return weight.new_zeros(self.shape.numel()).index_put((self.places(),), weight).view(self.shape)


def starts_of(counts: Tensor) -> Tensor:
    """Where each of consecutive runs of ``counts`` (any shape, int64) entries starts, and the end: one int64 more."""
    return torch.cat([counts.new_zeros(1), counts.flatten().cumsum(0)])


@dataclass(frozen=True)
class ColumnOrder:
    """Entries of a mask by block of rows, then column, then row.

    Attributes:
        counts: entries of each column within each block, int64 (blocks, columns).
        rows: row within its block, of every entry, int64.
        positions: place of every entry in row-major order, int64.
    """

    counts: Tensor
    rows: Tensor
    positions: Tensor


def column_order(mask: Tensor, block: int | None = None) -> ColumnOrder:
    """Order the entries of a boolean (rows, columns) mask by column, within blocks of ``block`` rows (or in one).

    A block at a time and without sorting: the memory it takes for a moment is a few dense blocks.
    """
    counts, rows, positions = [], [], []
    before = 0
    for part in torch.split(mask, block or mask.shape[0]):
        place = part.flatten().cumsum(0).add_(before - 1).view(part.shape)
        counts.append(part.sum(0))
        rows.append(part.T.nonzero()[:, 1])
        positions.append(place.T[part.T])
        before += int(counts[-1].sum())
    return ColumnOrder(torch.stack(counts), torch.cat(rows), torch.cat(positions))
