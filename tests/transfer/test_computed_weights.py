"""Weights that a module computes from its parameters: planned where they grow with these, refused where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import plan

RATE = {"learning_rate": 0.1}


class Symmetric(nn.Module):
    """The upper half of a matrix on both sides of its diagonal."""

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix.triu() + matrix.triu(1).T


class Exponential(nn.Module):
    """Positive weights."""

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix.exp()


def parametrized(kind: Callable[[], nn.Module]) -> Callable[[nn.Linear], nn.Module]:
    return lambda layer: register_parametrization(layer, "weight", kind())


def network(width: int, computed: Callable[[nn.Linear], nn.Module]) -> Any:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(6, width), nn.Sequential(computed(nn.Linear(width, width))), nn.Linear(width, 5))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize(
    ("computed", "by"),
    [
        pytest.param(parametrizations.weight_norm, "WeightNorm", id="weight norm"),
        pytest.param(parametrizations.spectral_norm, "SpectralNorm", id="spectral norm"),
        pytest.param(parametrizations.orthogonal, "Orthogonal", id="orthogonal"),
        pytest.param(parametrized(Exponential), "Exponential", id="positive"),
        pytest.param(nn.utils.weight_norm, "WeightNorm", id="weight norm, its older form"),
        pytest.param(nn.utils.spectral_norm, "SpectralNorm", id="spectral norm, its older form"),
    ],
)
def test_weights_that_do_not_grow_with_their_parameters_are_refused(
    computed: Callable[[nn.Linear], nn.Module], by: str
) -> None:
    """Guards against initial values that are rescaled to no effect, and rates for another size of weights."""
    narrow, wide = network(16, computed), network(32, computed)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(InputError, match=rf"^model=1\.0\.weight: is computed by {by}, .*undo it with .*, then plan"):
        plan(wide, narrow, hparams=RATE)
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())
    with torch.device("meta"):
        outline = network(32, nn.Sequential if by == "Orthogonal" else computed)
    if by != "Orthogonal":  # which looks at values while it is made
        with pytest.raises(InputError, match=r"^model=1\.0\.weight"):
            plan(outline, narrow, hparams=RATE)


@pytest.mark.parametrize("computed", [parametrized(Symmetric), parametrized(nn.Identity)], ids=["symmetric", "same"])
def test_weights_that_grow_with_their_parameters_are_planned(computed: Callable[[nn.Linear], nn.Module]) -> None:
    narrow, wide = network(16, computed), network(32, computed)
    expected = wide[1][0].weight.detach() * 1.5
    planned = plan(wide, narrow, hparams={**RATE, "init_scale": 1.5})
    planned.apply_(wide)
    torch.testing.assert_close(wide[1][0].weight.detach(), expected)
    assert planned["1.0.weight"].learning_rate_factor == 0.5
    assert len(planned.groups(wide)) == 3


def test_frozen_weights_may_be_computed_in_any_way() -> None:
    """A plan does not touch them."""
    made = [network(width, parametrizations.spectral_norm) for width in (16, 32)]
    for each in made:
        each[1].requires_grad_(False)
    planned = plan(made[1], made[0], hparams=RATE)
    planned.apply_(made[1])
    assert planned.groups(made[1])


class Cosine(nn.Linear):
    """An angle to each row, whatever the size of that."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, F.normalize(self.weight), self.bias)


class Standardised(nn.Conv1d):
    """As residual networks for transfer have it (arXiv 1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight - self.weight.mean((1, 2), keepdim=True)
        return F.conv1d(x, kernel / (kernel.std((1, 2), keepdim=True) + 1e-6), self.bias)


class Equalised(nn.Linear):
    """A factor beside the weight, and something added: both leave the weight what it is."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) * 0.3 + x.mean()


class Curious(nn.Linear):
    """Takes something that nobody can guess."""

    def forward(self, x: Tensor, mood: str) -> Tensor:  # type: ignore[override]
        return F.linear(x, self.weight, self.bias) if mood else x


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "Cosine": lambda width: Cosine(width, width),
    "Standardised": lambda width: Standardised(width, width, 3),
    "Embedding": lambda width: nn.Embedding(11, width, max_norm=1.0),
}


def pair(make: Callable[[int], nn.Module]) -> list[nn.Module]:
    return [nn.Sequential(nn.Linear(6, width), make(width), nn.Linear(width, 5)) for width in (32, 16)]


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_of_ones_own_that_normalise_their_weight_are_refused(kind: str) -> None:
    before = torch.random.get_rng_state()
    wide, narrow = pair(LAYERS[kind])
    drawn = torch.random.get_rng_state()
    with pytest.raises(InputError, match=rf"^model=1\.weight: is computed by {kind}, .*undo it with an ordinary layer"):
        plan(wide, narrow, hparams=RATE)
    assert torch.equal(torch.random.get_rng_state(), drawn), "trying draws nothing from the stream of the person"
    assert not torch.equal(before, drawn)


@pytest.mark.parametrize("kind", [Equalised, Curious])
def test_layers_of_ones_own_are_planned_otherwise(kind: type[nn.Linear]) -> None:
    wide, narrow = pair(lambda width: kind(width, width))
    assert plan(wide, narrow, hparams=RATE)["1.weight"].learning_rate == 0.05
