"""The structures that kernels compute with, against the mask they were made from."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import named_generator
from smupar_transfer.sparsity.backends.panels import Blocking, Panels, backward_blocking, forward_blocking


def mask_of(rows: int, columns: int, density: float = 0.3) -> Tensor:
    return torch.rand(rows, columns, generator=named_generator(0, "mask", "test")) < density


def found_by_walking(made: Panels, lines: int, along: int, blocking: Blocking, values: Tensor) -> Tensor:
    """The matrix (lines, along) that a kernel would see: every value where panels, blocks and indices put it."""
    matrix = torch.full((lines, along), -1)
    segments = itertools.pairwise(made.starts.tolist())
    for first in range(0, lines, blocking.panel):
        for corner in range(0, along, blocking.block):
            for line in range(first, min(first + blocking.panel, lines)):
                start, end = next(segments)
                columns = corner + (made.index[start:end].int() & 0xFFFF).long()
                assert bool((matrix[line, columns] == -1).all())
                matrix[line, columns] = values[start:end]
    assert next(segments, None) is None
    return matrix


BLOCKINGS = [Blocking(panel, block, 32) for panel in (1, 4, 64) for block in (1, 4, 7, 23, 64)]


@pytest.mark.parametrize("blocking", BLOCKINGS, ids=str)
def test_rows_find_their_entries(blocking: Blocking) -> None:
    mask = mask_of(11, 23)
    flat_indices = torch.arange(mask.numel()).view(mask.shape)
    made = Panels.of_rows(mask, blocking)
    ordered = torch.cat(
        [flat_indices[rows, columns][mask[rows, columns]] for rows, columns in segments_of(mask, blocking)]
    )
    assert torch.equal(found_by_walking(made, 11, 23, blocking, ordered), torch.where(mask, flat_indices, -1))
    assert made.positions is None
    assert torch.equal(made.flat_indices((11, 23)), flat_indices[mask])


def segments_of(mask: Tensor, blocking: Blocking) -> list[tuple[slice, slice]]:
    """Part of a row of each segment, in the order that is documented: by panel, then block, then row."""
    rows, columns = mask.shape
    return [
        (slice(row, row + 1), slice(corner, corner + blocking.block))
        for first in range(0, rows, blocking.panel)
        for corner in range(0, columns, blocking.block)
        for row in range(first, min(first + blocking.panel, rows))
    ]


@pytest.mark.parametrize("blocking", BLOCKINGS, ids=str)
def test_columns_find_their_entries_and_where_they_lie_in_row_major_order(blocking: Blocking) -> None:
    mask = mask_of(11, 23)
    flat_indices = torch.arange(mask.numel()).view(mask.shape)
    made = Panels.of_columns(mask, blocking)
    assert made.positions is not None
    values = flat_indices[mask][made.positions.long()]
    assert torch.equal(found_by_walking(made, 23, 11, blocking, values).T, torch.where(mask, flat_indices, -1))


def test_local_indices_use_all_sixteen_bits() -> None:
    mask = torch.zeros(1, 65_536, dtype=torch.bool)
    mask[0, [0, 32_767, 32_768, 65_535]] = True
    made = Panels.of_rows(mask, Blocking(1, 65_536, 32))
    index = made.index
    assert made.flat_indices((1, 65_536)).tolist() == [0, 32_767, 32_768, 65_535]
    assert index.dtype == torch.int16
    assert (index.int() & 0xFFFF).tolist() == [0, 32_767, 32_768, 65_535]


@pytest.mark.parametrize("density", [0.0, 0.004, 0.016, 0.03, 0.07, 0.25, 1.0])
def test_blocks_fit_local_indices_and_caches(density: float) -> None:
    for blocking in (forward_blocking(density), backward_blocking(density)):
        assert 1 <= blocking.block <= 65_536
        assert blocking.block * blocking.tile * 4 <= 256 * 1024
