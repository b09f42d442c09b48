"""Weights without their zeros: the layout that the sparse backends share, and the structures they compute with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

INT32_MAX = 2**31 - 1
"""The largest index that takes four bytes."""


def autocast_type(inputs: Tensor) -> torch.dtype | None:
    """What ``torch.autocast`` asks products on this device to be computed in; None where it is not in force."""
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


class CompactLayout(ABC):
    """The parameter is a vector of the weights that exist, in row-major order of the mask.

    Gradients and the optimizer's state have one entry a weight that exists, too. The mask itself is not kept: where the
    weights are can be read off the structure that a backend computes with.

    Args:
        mask: Which weights exist, boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        self.shape = mask.shape

    @abstractmethod
    def flat_indices(self) -> Tensor:
        """Row * fan_in + column of every weight that exists, int64, ascending."""

    def pack(self, dense: Tensor) -> Tensor:
        """See ``Backend``."""
        return dense.flatten()[self.flat_indices()]

    def unpack(self, weight: Tensor) -> Tensor:
        """See ``Backend``."""
        return weight.new_zeros(self.shape.numel()).index_put((self.flat_indices(),), weight).view(self.shape)


def starts_of(counts: Tensor) -> Tensor:
    """Where each of consecutive runs of ``counts`` (any shape, int64) entries starts, and the end: one int64 more."""
    return torch.cat([counts.new_zeros(1), counts.flatten().cumsum(0)])


@dataclass(frozen=True)
class ColumnOrder:
    """Entries of a mask by column, then row.

    Attributes:
        counts: The number of entries of each column, int64.
        rows: The row of every entry, int64.
        positions: The position of every entry in row-major order, int64.
    """

    counts: Tensor
    rows: Tensor
    positions: Tensor


def column_order(mask: Tensor) -> ColumnOrder:
    """Order the entries of a boolean (rows, columns) mask by column, without sorting."""
    position = mask.flatten().cumsum(0).sub_(1).view(mask.shape)
    return ColumnOrder(mask.sum(0), mask.T.nonzero()[:, 1], position.T[mask.T])
