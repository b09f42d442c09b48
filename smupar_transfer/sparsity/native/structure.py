"""What the C++ kernels know of a mask: its entries in blocks, and how large blocks and tiles are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smupar_transfer.sparsity.compact import column_order, starts_of


@dataclass(frozen=True)
class Blocking:
    """How a product is cut up.

    Attributes:
        block: entries of the dimension that is summed over that are in use at a time, at most 65,536.
        tile: tokens that are multiplied at a time; kernels round it to what their registers hold.
    """

    block: int
    tile: int


def forward_blocking(density: float) -> Blocking:
    """A block of inputs is read all over for every output: it should stay near, yet leave rows long enough."""
    if density >= 0.1:
        return Blocking(256, 32)
    return Blocking(512 if density >= 0.05 else 1024, 32)


def backward_blocking(density: float) -> Blocking:
    """As forwards; and in wide tiles, because every entry costs a sum over the lanes once a tile."""
    return Blocking(512 if density >= 0.02 else 1024, 128)


@dataclass(frozen=True)
class RowBlocks:
    """Structure for the forward pass; see ``RowBlocks`` in forward.h."""

    index: Tensor
    starts: Tensor
    blocking: Blocking

    @classmethod
    def of(cls, mask: Tensor, blocking: Blocking) -> RowBlocks:
        """Cut the columns of a boolean (rows, columns) mask into blocks."""
        counts = torch.stack([part.sum(1) for part in torch.split(mask, blocking.block, dim=1)])
        first = starts_of(counts.sum(0))[:-1]
        starts = torch.cat([first[None], first + counts.cumsum(0)])
        index = mask.nonzero()[:, 1] % blocking.block
        return cls(_as_uint16(index), starts.to(torch.int32), blocking)

    def places(self, columns: int) -> Tensor:
        """Row * columns + column of every entry, int64, in the order of the entries."""
        counts = self.starts.diff(dim=0)
        blocks, rows = counts.shape
        corner = torch.arange(rows)[:, None] * columns + torch.arange(blocks) * self.blocking.block
        return corner.flatten().repeat_interleave(counts.T.flatten()) + (self.index.long() & 0xFFFF)


@dataclass(frozen=True)
class ColumnBlocks:
    """Structure for the backward pass; see ``ColumnBlocks`` in backward.h."""

    index: Tensor
    starts: Tensor
    positions: Tensor
    blocking: Blocking

    @classmethod
    def of(cls, mask: Tensor, blocking: Blocking) -> ColumnBlocks:
        """Cut the rows of a boolean (rows, columns) mask into blocks."""
        order = column_order(mask, blocking.block)
        starts = starts_of(order.counts).to(torch.int32)
        return cls(_as_uint16(order.rows), starts, order.positions.to(torch.int32), blocking)


def _as_uint16(index: Tensor) -> Tensor:
    """Bits of an unsigned 16-bit integer, in the signed type that every version of PyTorch handles."""
    return torch.where(index > 0x7FFF, index - 0x10000, index).to(torch.int16)
