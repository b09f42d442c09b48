"""The structures that kernels compute with, against the mask they were made from."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import named_generator
from smupar_transfer.sparsity.native.structure import (
    Blocking,
    ColumnBlocks,
    RowBlocks,
    backward_blocking,
    forward_blocking,
)


def mask_of(rows: int, columns: int, density: float = 0.3) -> Tensor:
    return torch.rand(rows, columns, generator=named_generator(0, "mask", "test")) < density


@pytest.mark.parametrize("block", [1, 4, 7, 23, 64])
def test_rows_find_their_entries_block_by_block(block: int) -> None:
    mask = mask_of(11, 23)
    made = RowBlocks.of(mask, Blocking(block, 32))
    values = torch.arange(mask.numel()).view(mask.shape)[mask]
    found = torch.full(mask.shape, -1)
    for number, (starts, ends) in enumerate(zip(made.starts[:-1], made.starts[1:], strict=True)):
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            found[row, number * block + made.index[start:end].long()] = values[start:end]
    assert torch.equal(found[mask], values)
    assert bool((found[~mask] == -1).all())
    assert torch.equal(made.places(23), values)


@pytest.mark.parametrize("block", [1, 4, 7, 11, 64])
def test_columns_find_their_entries_block_by_block(block: int) -> None:
    mask = mask_of(11, 23)
    made = ColumnBlocks.of(mask, Blocking(block, 32))
    values = torch.arange(mask.numel()).view(mask.shape)[mask][made.positions.long()]
    found = torch.full(mask.shape, -1)
    runs = made.starts.tolist()
    for number, (start, end) in enumerate(itertools.pairwise(runs)):
        first, column = number // 23 * block, number % 23
        found[first + made.index[start:end].long(), column] = values[start:end]
    assert torch.equal(found, torch.where(mask, torch.arange(mask.numel()).view(mask.shape), -1))


def test_local_indices_use_all_sixteen_bits() -> None:
    mask = torch.zeros(1, 65_536, dtype=torch.bool)
    mask[0, [0, 32_767, 32_768, 65_535]] = True
    made = RowBlocks.of(mask, Blocking(65_536, 32))
    index = made.index
    assert made.places(65_536).tolist() == [0, 32_767, 32_768, 65_535]
    assert index.dtype == torch.int16
    assert (index.int() & 0xFFFF).tolist() == [0, 32_767, 32_768, 65_535]


@pytest.mark.parametrize("density", [0.0, 0.004, 0.016, 0.03, 0.07, 0.25, 1.0])
def test_blocks_fit_local_indices_and_caches(density: float) -> None:
    for blocking in (forward_blocking(density), backward_blocking(density)):
        assert 1 <= blocking.block <= 65_536
        assert blocking.block * blocking.tile * 4 <= 512 * 1024
