"""Masks with a pattern, and densities that differ from layer to layer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.sparsity import BlockMask, NOfMMask, erdos_renyi_kernel, named_generator
from smupar_transfer.theory import InputError


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_every_group_of_inputs_keeps_n_of_m(kept: int, more: int, rows: int, groups: int) -> None:
    structure = NOfMMask(kept, kept + more)
    shape = (rows, groups * (kept + more))
    mask = structure.draw(shape, structure.density, named_generator(0, "mask", "w"))
    assert tuple(mask.shape) == shape
    assert (mask.view(rows, groups, kept + more).sum(-1) == kept).all()
    assert int(mask.sum()) == structure.nonzero(shape, structure.density)
    assert structure.dead_outputs(shape, structure.density) == 0


def test_groups_are_drawn_one_by_one() -> None:
    mask = NOfMMask(2, 4).draw((64, 64), 0.5, named_generator(0, "mask", "w")).view(-1, 4)
    assert len({tuple(group.tolist()) for group in mask}) == 6, "all pairs of four come up"


@pytest.mark.parametrize(("kept", "group"), [(0, 4), (5, 4), (-1, 4)])
def test_impossible_groups_are_refused(kept: int, group: int) -> None:
    with pytest.raises(InputError, match="must keep from 1 to all of a group"):
        NOfMMask(kept, group)


def test_inputs_that_make_no_whole_groups_are_refused() -> None:
    with pytest.raises(InputError, match="fan-in of 6 into groups of 4"):
        NOfMMask(2, 4).nonzero((2, 6), 0.5)
    with pytest.raises(InputError, match="fan-in of 6 into groups of 4"):
        NOfMMask(2, 4).draw((2, 6), 0.5, torch.Generator())


@pytest.mark.parametrize("side", [1, 4, 16])
def test_blocks_are_kept_or_dropped_whole(side: int) -> None:
    structure, shape = BlockMask(side), (32, 64)
    mask = structure.draw(shape, 0.25, named_generator(0, "mask", "w"))
    blocks = mask.view(32 // side, side, 64 // side, side).float().mean(dim=(1, 3))
    assert set(blocks.flatten().tolist()) == {0.0, 1.0}
    assert int(mask.sum()) == structure.nonzero(shape, 0.25) == 512


def test_dead_outputs_of_blocks_come_in_blocks() -> None:
    structure, shape = BlockMask(8), (64, 32)
    draws = [structure.draw(shape, 0.25, named_generator(seed, "mask", "w")) for seed in range(300)]
    dead = [int((~mask.any(dim=1)).sum()) for mask in draws]
    assert all(number % 8 == 0 for number in dead)
    error = torch.tensor(dead, dtype=torch.float).std() / math.sqrt(len(dead))
    assert abs(sum(dead) / len(dead) - structure.dead_outputs(shape, 0.25)) < 4 * float(error)


@pytest.mark.parametrize("shape", [(30, 64), (32, 60)])
def test_matrices_that_make_no_whole_blocks_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"{shape[0]} x {shape[1]} into blocks"):
        BlockMask(16).nonzero(shape, 0.5)


def test_a_block_has_a_side() -> None:
    with pytest.raises(InputError, match="block0"):
        BlockMask(0)


SHAPES = {"square": (64, 64), "wide": (64, 256), "thin": (64, 4), "conv": (64, 64, 3, 3)}


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.9, 1.0])
def test_layers_together_have_the_density_and_alone_follow_their_shape(density: float) -> None:
    densities = erdos_renyi_kernel(SHAPES, density)
    sizes = {name: math.prod(shape) for name, shape in SHAPES.items()}
    kept = sum(densities[name] * sizes[name] for name in SHAPES)
    assert kept == pytest.approx(density * sum(sizes.values()))
    assert all(0 < value <= 1 for value in densities.values())
    ratios = {densities[name] * sizes[name] / sum(SHAPES[name]) for name in SHAPES if densities[name] < 1}
    assert max(ratios, default=1) == pytest.approx(min(ratios, default=1)), "in proportion to the sum over the product"


def test_layers_that_would_be_more_than_full_are_full() -> None:
    densities = erdos_renyi_kernel(SHAPES, 0.5)
    assert densities["thin"] == 1
    assert densities["conv"] < densities["square"]
