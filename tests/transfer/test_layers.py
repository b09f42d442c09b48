"""The dense layers at the two ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from smupar_transfer.transfer import Embedding, InputLinear, ReadoutLinear

PAIRS: list[tuple[Callable[[int, int], nn.Module], Callable[[int, int], nn.Module]]] = [
    (Embedding, nn.Embedding),
    (InputLinear, nn.Linear),
    (ReadoutLinear, nn.Linear),
]


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_making_one_draws_nothing_from_the_global_stream(
    ours: Callable[[int, int], nn.Module], torchs: Callable[[int, int], nn.Module]
) -> None:
    before = torch.get_rng_state()
    made = ours(3, 4)
    assert torch.equal(torch.get_rng_state(), before)
    known = torchs(3, 4)
    assert not torch.equal(torch.get_rng_state(), before)
    made.load_state_dict(known.state_dict())
    inputs = torch.tensor([0, 2]) if isinstance(made, nn.Embedding) else torch.randn(2, 3)
    assert torch.equal(made(inputs), known(inputs))
