"""Masks at a bit per entry: numpy's packing is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smupar_transfer.sparsity.mask_bits import pack_bits, unpack_bits


def drawn(rows: int, columns: int, density: float = 0.4) -> Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows * columns)) < density


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.0, 0.4, 1.0]))
def test_bits_are_those_of_numpy_and_come_back(rows: int, columns: int, density: float) -> None:
    mask = drawn(rows, columns, density)
    packed = pack_bits(mask)
    assert packed.dtype == torch.uint8
    np.testing.assert_array_equal(packed, np.packbits(mask, axis=1, bitorder="little"))
    assert torch.equal(unpack_bits(packed, columns), mask)


def test_a_strided_mask_is_packed_as_its_copy() -> None:
    mask = drawn(19, 11)
    assert torch.equal(pack_bits(mask.T), pack_bits(mask.T.contiguous()))


def test_one_entry_is_one_bit() -> None:
    mask = torch.zeros(2, 11, dtype=torch.bool)
    mask[1, 9] = True
    assert pack_bits(mask).tolist() == [[0, 0], [0, 0b10]]


@pytest.mark.parametrize("columns", [7, 8, 17, 24])
def test_bits_of_wider_or_narrower_rows_are_refused(columns: int) -> None:
    packed = pack_bits(drawn(3, 16))
    assert unpack_bits(packed, 16).shape == (3, 16)
    with pytest.raises(ValueError, match=f"are not those of {columns} columns"):
        unpack_bits(packed, columns)


def test_nothing_but_shapes_without_memory() -> None:
    packed = pack_bits(torch.ones(3, 11, dtype=torch.bool, device="meta"))
    assert unpack_bits(packed, 11).shape == (3, 11)
