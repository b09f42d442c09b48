"""What the C++ kernels know of a mask: its entries in panels and blocks, and how large these and tiles are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.sparsity.backends.compact_layout import starts_of

PANEL = 256


@dataclass(frozen=True)
class Blocking:
    """How a product is cut up.

    Attributes:
        panel: The number of lines (rows forwards, columns backwards) whose sums wait together.
        block: The number of entries of the dimension that is summed over that are in use at a time, at most 65,536.
        tile: The number of tokens that are multiplied at a time; kernels round it to what their registers hold.
    """

    panel: int
    block: int
    tile: int


def forward_blocking(density: float) -> Blocking:
    """A block of inputs is read all over for every row: its tile fits the first cache unless rows would get too short.

    Measured on Zen 4 for densities of 0.008 to 0.5: within a few percent of the best of a full search.
    """
    block = _block(density)
    return Blocking(PANEL, block, 128 if block < 128 else 64)


def backward_blocking(density: float) -> Blocking:
    """As forwards; in wider tiles, because every entry costs a sum over the lanes once a tile."""
    block = _block(density)
    return Blocking(PANEL, block, 128 if block < 1024 else 64)


def _block(density: float) -> int:
    """Such that a line has about 16 entries in a block."""
    # 1e-9 stands in for the density of an empty mask, by which nothing can be divided
    return int(min(max(2 ** round(math.log2(16 / max(density, 1e-9))), 64), 1024))


@dataclass(frozen=True)
class Panels:
    """Structure for one pass; see ``Panels`` in panels.h.

    Attributes:
        index: The position within its block, of every entry, int16 holding unsigned bits.
        starts: Where each line of each block of each panel starts, and the end, int32.
        positions: The position of every entry in row-major order, int32; None for rows.
        blocking: How the matrix was cut up.
    """

    index: Tensor
    starts: Tensor
    positions: Tensor | None
    blocking: Blocking

    @classmethod
    def of_rows(cls, mask: Tensor, blocking: Blocking) -> Panels:
        """Panels of the rows of a boolean (rows, columns) mask."""
        index, counts = [], []
        for part in torch.split(mask, blocking.panel):
            blocked = _blocked(part, blocking.block)
            index.append(_as_uint16(blocked.nonzero()[:, 2]))
            counts.append(blocked.sum(2).flatten())
        return cls(torch.cat(index), starts_of(torch.cat(counts)).to(torch.int32), None, blocking)

    def flat_indices(self, shape: tuple[int, int]) -> Tensor:
        """Of panels of rows: row * columns + column of every entry of a (rows, columns) mask, int64, ascending."""
        (rows, columns), (panel, block) = shape, (self.blocking.panel, self.blocking.block)
        row, blocks = torch.arange(rows)[:, None], -(-columns // block)
        number = torch.arange(blocks)  # of a block
        width = (rows - row // panel * panel).clamp(max=panel)
        segment = (row // panel * panel * blocks + number * width + row % panel).flatten()  # of each row and block
        counts = self.starts.diff()[segment]
        # Entries of each segment in turn: where the segment starts, less where it starts among the ascending ones.
        shift = self.starts[segment] - starts_of(counts)[:-1]
        order = torch.arange(len(self.index)) + shift.repeat_interleave(counts)
        corner = (row * columns + number * block).flatten()
        return corner.repeat_interleave(counts) + (self.index[order].long() & 0xFFFF)

    @classmethod
    def of_columns(cls, mask: Tensor, blocking: Blocking) -> Panels:
        """Panels of its columns, with the positions of their entries."""
        index, counts, positions = [], [], []
        before = starts_of(mask.sum(1))[:-1]
        for part in torch.split(mask, blocking.panel, dim=1):
            position = part.cumsum(1) + (before - 1)[:, None]
            blocked = _blocked(part.T, blocking.block)
            index.append(_as_uint16(blocked.nonzero()[:, 2]))
            counts.append(blocked.sum(2).flatten())
            positions.append(_blocked(position.T, blocking.block)[blocked].to(torch.int32))
            before = before + part.sum(1)
        return cls(torch.cat(index), starts_of(torch.cat(counts)).to(torch.int32), torch.cat(positions), blocking)


def _blocked(part: Tensor, block: int) -> Tensor:
    """(lines, along) as (blocks, lines, block), filled up with zeros."""
    filled = F.pad(part, (0, -part.shape[1] % block))
    return filled.view(part.shape[0], -1, block).transpose(0, 1)


def _as_uint16(index: Tensor) -> Tensor:
    """Bits of an unsigned 16-bit integer, in the signed type that every version of PyTorch handles."""
    return torch.where(index > 0x7FFF, index - 0x10000, index).to(torch.int16)
