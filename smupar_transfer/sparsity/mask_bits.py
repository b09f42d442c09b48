"""Masks at a bit per entry, as layers and checkpoints keep them."""

from __future__ import annotations

import torch
from torch import Tensor


def pack_bits(mask: Tensor) -> Tensor:
    """Eight neighbours of a row in a byte, the first in its lowest bit; bits past the end of a row are zero.

    Takes no more memory for a moment than the result.

    Args:
        mask: The mask, boolean (rows, columns).

    Returns:
        The bits as ``numpy.packbits(mask, axis=1, bitorder="little")`` gives them, uint8 (rows, columns / 8 rounded
        up).
    """
    rows, columns = mask.shape
    if mask.is_meta:  # there are no bits, and PyTorch takes a second to import what shifts them nowhere
        return mask.new_empty((rows, -(-columns // 8)), dtype=torch.uint8)
    packed = mask.new_zeros((rows, -(-columns // 8)), dtype=torch.uint8)
    for bit in range(8):
        part = mask[:, bit::8]
        packed[:, : part.shape[1]] |= part.to(torch.uint8) << bit
    return packed


def unpack_bits(packed: Tensor, columns: int) -> Tensor:
    """The way back from ``pack_bits``: boolean (rows, columns).

    Raises:
        ValueError: no mask of that many columns is packed like this.
    """
    if packed.shape[1] != -(-columns // 8):
        raise ValueError(f"bits of shape {tuple(packed.shape)} are not those of {columns} columns")
    mask = packed.new_empty((packed.shape[0], columns), dtype=torch.bool)
    for bit in range(8):
        part = mask[:, bit::8]
        part.copy_(packed[:, : part.shape[1]] & (1 << bit))
    return mask
