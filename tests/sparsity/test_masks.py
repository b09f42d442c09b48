"""Masks: exact counts, nesting, impossible densities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.records import MaskKind
from smupar_transfer.sparsity import draw_mask, named_generator, nominal_nonzero
from smupar_transfer.theory import InputError

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
DENSITIES = st.floats(0.01, 1.0)


def draw(kind: MaskKind, shape: tuple[int, int], density: float, seed: int = 0) -> torch.Tensor:
    return draw_mask(kind, shape, density, named_generator(seed, "mask", "w"))


@given(SHAPES, DENSITIES)
def test_random_masks_have_an_exact_count(shape: tuple[int, int], density: float) -> None:
    expected = round(density * shape[0] * shape[1])
    if expected == 0:
        with pytest.raises(InputError, match=r"target\.sparsity"):
            draw(MaskKind.RANDOM, shape, density)
        return
    mask = draw(MaskKind.RANDOM, shape, density)
    assert tuple(mask.shape) == shape
    assert mask.dtype is torch.bool
    assert int(mask.sum()) == expected == nominal_nonzero(MaskKind.RANDOM, (shape[0], shape[1]), density)


@given(SHAPES, DENSITIES)
def test_fixed_fan_in_masks_have_an_exact_count_in_every_row(shape: tuple[int, int], density: float) -> None:
    expected = round(density * shape[1])
    if expected == 0:
        with pytest.raises(InputError, match=r"target\.sparsity"):
            draw(MaskKind.FIXED_FAN_IN, shape, density)
        return
    counts = draw(MaskKind.FIXED_FAN_IN, shape, density).sum(dim=1)
    assert set(counts.tolist()) == {expected}
    assert nominal_nonzero(MaskKind.FIXED_FAN_IN, shape, density) == shape[0] * expected


def test_random_masks_do_not_have_equal_rows() -> None:
    """The control of the test above."""
    assert len(set(draw(MaskKind.RANDOM, (64, 64), 0.25).sum(dim=1).tolist())) > 1


def test_bernoulli_masks_have_their_density_on_average_but_no_exact_count() -> None:
    counts = [int(draw(MaskKind.BERNOULLI, (100, 100), 0.2, seed).sum()) for seed in range(20)]
    assert len(set(counts)) > 1
    deviation = (10_000 * 0.2 * 0.8) ** 0.5
    assert abs(sum(counts) / 20 - 2_000) < 4 * deviation / 20**0.5
    assert nominal_nonzero(MaskKind.BERNOULLI, (100, 100), 0.2) == 2_000


@pytest.mark.parametrize("kind", MaskKind)
def test_masks_are_nested_across_densities(kind: MaskKind) -> None:
    sparse, dense = draw(kind, (32, 48), 0.1), draw(kind, (32, 48), 0.4)
    assert bool((dense | ~sparse).all())
    assert not bool((draw(kind, (32, 48), 0.4, seed=1) | ~sparse).all())


@pytest.mark.parametrize("kind", MaskKind)
def test_density_one_keeps_everything(kind: MaskKind) -> None:
    assert bool(draw(kind, (5, 7), 1.0).all())


def test_entries_are_kept_everywhere_alike() -> None:
    """Guards against a shuffle that favours a corner: every entry is kept about equally often."""
    kept = torch.stack([draw(MaskKind.RANDOM, (8, 8), 0.25, seed) for seed in range(400)]).float().mean(0)
    assert float((kept - 0.25).abs().max()) < 5 * (0.25 * 0.75 / 400) ** 0.5


@pytest.mark.parametrize("kind", MaskKind)
def test_a_density_that_leaves_nothing_is_refused_with_the_way_out(kind: MaskKind) -> None:
    with pytest.raises(InputError, match=r"target\.sparsity=.*leaves none.*wider model"):
        draw(kind, (4, 4), 1e-6)
