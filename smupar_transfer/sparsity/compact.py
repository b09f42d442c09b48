"""Weights without their zeros: the layout that the sparse backends share, and the structures they compute with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INT32_MAX = 2**31 - 1


def autocast_type(inputs: Tensor) -> torch.dtype | None:
    """What ``torch.autocast`` asks products on this device to be computed in; None where it is not in force."""
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


class CompactLayout:
    """The parameter is a vector of the weights that exist, in row-major order of the mask.

    Gradients and the optimizer's state have one entry a weight that exists, too.

    Args:
        mask: boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def pack(self, dense: Tensor) -> Tensor:
        """See ``Backend``."""
        return dense[self.mask]

    def unpack(self, weight: Tensor) -> Tensor:
        """See ``Backend``."""
        return weight.new_zeros(self.mask.shape).masked_scatter(self.mask, weight)


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
        place = part.flatten().cumsum(0).view(part.shape) + (before - 1)
        counts.append(part.sum(0))
        rows.append(part.T.nonzero()[:, 1])
        positions.append(place.T[part.T])
        before += int(counts[-1].sum())
    return ColumnOrder(torch.stack(counts), torch.cat(rows), torch.cat(positions))
