"""Masks: exact counts, nesting, impossible densities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.records import MASK_NAMES, MaskKind
from smupar_transfer.sparsity import MaskStructure, draw_mask, masks, named_generator, nominal_nonzero, register_mask
from smupar_transfer.theory import InputError

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
DENSITIES = st.floats(0.01, 1.0)
quick = settings(deadline=None, max_examples=60)


def draw(kind: MaskKind, shape: tuple[int, int], density: float, seed: int = 0) -> torch.Tensor:
    return draw_mask(kind, shape, density, named_generator(seed, "mask", "w"))


@quick
@given(SHAPES, DENSITIES)
def test_random_masks_have_an_exact_count(shape: tuple[int, int], density: float) -> None:
    wanted = density * (shape[0] * shape[1])
    if wanted <= 0.5:
        with pytest.raises(InputError, match=r"target\.sparsity"):
            draw(MaskKind.RANDOM, shape, density)
        return
    mask = draw(MaskKind.RANDOM, shape, density)
    assert tuple(mask.shape) == shape
    assert mask.dtype is torch.bool
    assert abs(int(mask.sum()) - wanted) <= 0.5
    assert int(mask.sum()) == nominal_nonzero(MaskKind.RANDOM, shape, density)


@quick
@given(SHAPES, DENSITIES)
def test_fixed_fan_in_masks_have_an_exact_count_in_every_row(shape: tuple[int, int], density: float) -> None:
    wanted = density * shape[1]
    if wanted <= 0.5:
        with pytest.raises(InputError, match=r"target\.sparsity"):
            draw(MaskKind.FIXED_FAN_IN, shape, density)
        return
    mask = draw(MaskKind.FIXED_FAN_IN, shape, density)
    assert tuple(mask.shape) == shape
    assert mask.dtype is torch.bool
    (count,) = set(mask.sum(dim=1).tolist())
    assert abs(count - wanted) <= 0.5
    assert nominal_nonzero(MaskKind.FIXED_FAN_IN, shape, density) == shape[0] * count


def test_random_masks_do_not_have_equal_rows() -> None:
    """The control of the test above."""
    assert len(set(draw(MaskKind.RANDOM, (64, 64), 0.25).sum(dim=1).tolist())) > 1


def test_bernoulli_masks_have_their_density_on_average_but_no_exact_count() -> None:
    masks = [draw(MaskKind.BERNOULLI, (100, 100), 0.2, seed) for seed in range(40)]
    counts = torch.stack(masks).sum(dim=(1, 2)).double()
    deviation = (10_000 * 0.2 * 0.8) ** 0.5
    assert abs(float(counts.mean()) - 2_000) < 4 * deviation / 40**0.5
    assert 0.6 * deviation < float(counts.std()) < 1.4 * deviation
    assert nominal_nonzero(MaskKind.BERNOULLI, (100, 100), 0.2) == 2_000


@quick
@given(st.sampled_from(MaskKind), SHAPES, st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.integers(0, 5))
def test_masks_are_nested_across_densities(
    kind: MaskKind, shape: tuple[int, int], density: float, other: float, seed: int
) -> None:
    shape = (shape[0] + 9, shape[1] + 9)  # large enough for a tenth of every row
    sparse, dense = draw(kind, shape, min(density, other), seed), draw(kind, shape, max(density, other), seed)
    assert bool((dense | ~sparse).all())


@pytest.mark.parametrize("kind", MaskKind)
def test_masks_from_different_streams_are_not_nested(kind: MaskKind) -> None:
    """The control of the test above."""
    sparse = draw(kind, (32, 48), 0.1)
    assert bool((draw(kind, (32, 48), 0.4) | ~sparse).all())
    assert not bool((draw(kind, (32, 48), 0.4, seed=1) | ~sparse).all())


@pytest.mark.parametrize("kind", MaskKind)
def test_a_mask_depends_on_its_generator_alone(kind: MaskKind) -> None:
    first = draw(kind, (16, 16), 0.5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(draw(kind, (16, 16), 0.5), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(draw(kind, (16, 16), 0.5, seed=1), first)


@pytest.mark.parametrize("kind", MaskKind)
def test_density_one_keeps_everything(kind: MaskKind) -> None:
    assert bool(draw(kind, (5, 7), 1.0).all())
    assert nominal_nonzero(kind, (5, 7), 1.0) == 35


@pytest.mark.parametrize("kind", MaskKind)
def test_entries_are_kept_everywhere_alike(kind: MaskKind) -> None:
    """Guards against a shuffle that favours a corner: every entry is kept about equally often."""
    kept = torch.stack([draw(kind, (8, 8), 0.25, seed) for seed in range(400)]).float().mean(0)
    assert float((kept - 0.25).abs().max()) < 5 * (0.25 * 0.75 / 400) ** 0.5


@pytest.mark.parametrize("kind", MaskKind)
def test_a_density_that_leaves_nothing_is_refused_with_the_way_out(kind: MaskKind) -> None:
    with pytest.raises(InputError, match=r"target\.sparsity=.*leaves none of \d+ weights.*wider model"):
        draw(kind, (4, 4), 1e-6)
    with pytest.raises(InputError, match=r"target\.sparsity=.*leaves none of \d+ weights.*wider model"):
        nominal_nonzero(kind, (4, 4), 1e-6)


@pytest.mark.parametrize("kind", [MaskKind.RANDOM, MaskKind.FIXED_FAN_IN])
def test_the_refusal_repeats_the_sparsity_that_was_asked_for(kind: MaskKind) -> None:
    with pytest.raises(InputError) as refusal:
        draw(kind, (4, 4), 1 / 1024)
    assert refusal.value.value == 1 - 1 / 1024


def test_the_refusal_of_a_bernoulli_mask_does_so_too() -> None:
    test_the_refusal_repeats_the_sparsity_that_was_asked_for(MaskKind.BERNOULLI)


class Nothing(MaskStructure):
    """A structure that keeps no weight."""

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.bool)


def test_a_registered_structure_is_drawn_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_STRUCTURES", dict(masks._STRUCTURES))
    known = set(MASK_NAMES)
    monkeypatch.setattr(masks, "MASK_NAMES", known)
    with pytest.raises(InputError, match="is not one of random, fixed_fan_in, bernoulli"):
        draw_mask("nothing", (4, 4), 0.5, named_generator(0, "mask", "w"))
    register_mask("nothing", Nothing())
    register_mask("nothing", Nothing())  # a module may be imported twice
    with pytest.raises(InputError, match="leaves none of 16 weights"):
        draw_mask("nothing", (4, 4), 0.5, named_generator(0, "mask", "w"))
    assert "nothing" in known
    with pytest.raises(ValueError, match="there is another mask structure 'nothing' already"):
        register_mask("nothing", masks.RandomMask())


def test_names_of_structures_are_those_that_specifications_take() -> None:
    assert set(masks._STRUCTURES) == MASK_NAMES
