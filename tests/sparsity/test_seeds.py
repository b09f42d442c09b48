"""Random streams by name."""

from __future__ import annotations

import torch

from smupar_transfer.sparsity import named_generator


def draw(seed: int, purpose: str, name: str) -> torch.Tensor:
    return torch.rand(4, generator=named_generator(seed, purpose, name))


def test_a_stream_depends_on_seed_purpose_and_name_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    first = draw(0, "mask", "a.weight")
    torch.manual_seed(2)
    assert torch.equal(first, draw(0, "mask", "a.weight"))
    for other in ((1, "mask", "a.weight"), (0, "weight", "a.weight"), (0, "mask", "b.weight")):
        assert not torch.equal(first, draw(*other))


def test_names_that_join_to_the_same_text_are_told_apart() -> None:
    assert not torch.equal(draw(0, "a", "bc"), draw(0, "ab", "c"))
    assert not torch.equal(draw(1, "1", "b"), draw(11, "", "b"))


def test_seeds_stay_as_they_were() -> None:
    """Stored runs are reproducible only as long as seeds are.

    ``printf '0\\nmask\\nblocks.0.mlp.up.weight' | sha256sum`` begins with 0f2cd49710d104a2: reversed, halved.
    """
    assert named_generator(0, "mask", "blocks.0.mlp.up.weight").initial_seed() == 0xA204D11097D42C0F >> 1


def test_the_global_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(0, "mask", "x")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert not torch.equal(torch.get_rng_state(), before)
