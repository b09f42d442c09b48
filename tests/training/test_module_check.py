"""The coordinate check on models that are not the package's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.statistics.coordinate_slopes import Verdict
from smupar_transfer.theory import Coordinate, InputError
from smupar_transfer.training.module_check import CoordinateCheck, coordinate_check

GENERATOR = torch.Generator().manual_seed(0)
BATCH = (torch.randn(256, 10, generator=GENERATOR), torch.randint(0, 3, (256,), generator=GENERATOR))


def network(width: int) -> nn.Module:
    """Plain layers of torch; their own initialisation follows their width by itself."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.Tanh())]
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), *hidden, nn.Linear(width, 3))


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@cache
def check(axis: str) -> CoordinateCheck:
    if axis == "width":
        return coordinate_check(network, BATCH, widths=(64, 128, 256, 512), loss=loss)
    return coordinate_check(network, BATCH, widths=(256,), densities=(1, 0.5, 0.25, 0.125), base_width=64, loss=loss)


@pytest.mark.parametrize(("axis", "drifting"), [("width", {"sp"}), ("sparsity", {"sp", "mup"})])
def test_sizes_stay_put_under_supar_and_drift_under_the_controls(axis: str, drifting: set[str]) -> None:
    verdicts = {name: check(axis).verdict(name) for name in ("sp", "mup", "smupar")}
    assert verdicts["smupar"] is Verdict.INSIDE, str(check(axis))
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.OUTSIDE} == drifting, str(check(axis))


@pytest.mark.parametrize("axis", ["width", "sparsity"])
def test_slopes_at_the_start_are_those_of_theory(axis: str) -> None:
    for slope in check(axis).slopes[axis]:
        if slope.predicted is not None and slope.coordinate is not Coordinate.UPDATE:
            assert slope.estimate.mean == pytest.approx(slope.predicted, abs=0.1), slope


def test_its_table_fits_a_terminal_and_names_what_drifts() -> None:
    text = str(check("sparsity"))
    assert max(map(len, text.splitlines())) <= 100
    assert "smupar        sparsity  stays put" in text
    assert "mup           sparsity  drifts" in text


def test_nothing_outside_changes() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    coordinate_check(network, BATCH, widths=(16, 32), loss=loss, seeds=(0, 1), parametrizations=["smupar"])
    assert torch.equal(torch.get_rng_state(), before)


class WithLoss(nn.Module):
    """As models of ``transformers`` are called."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = network(width)

    def forward(self, inputs: Tensor, labels: Tensor) -> object:
        return type("Output", (), {"loss": loss(self.layers, (inputs, labels))})


def test_models_that_give_their_loss_need_no_function_for_it() -> None:
    batch: Mapping[str, Tensor] = {"inputs": BATCH[0], "labels": BATCH[1]}
    made = coordinate_check(WithLoss, batch, widths=(16, 32), seeds=(0, 1), parametrizations=["smupar"])
    layers = {slope.layer for slope in made.slopes["width"]}
    assert layers == {"layers.2", "layers.4"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"widths": (32,)}, "widths=.*vary nothing"),
        ({"parametrizations": ["nonsense"]}, "parametrizations=nonsense"),
        ({"loss": None}, "gives no loss by itself"),
        ({"loss": lambda model, batch: model(batch[0])}, "is no single number"),
        ({"loss": lambda model, batch: model(batch[0]).sum() * float("nan")}, "is not finite before step 0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ],
)
def test_bad_arguments_are_refused(changed: dict[str, object], message: str) -> None:
    batch = BATCH if "loss" not in changed or changed["loss"] is not None else BATCH[0]
    arguments = {"widths": (16, 32), "loss": loss, "seeds": (0, 1), **changed}
    with pytest.raises(InputError, match=message):
        coordinate_check(network, batch, **arguments)  # type: ignore[arg-type]


def test_a_model_without_hidden_weights_is_refused() -> None:
    def shallow(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(10, width), nn.Linear(width, 3))

    with pytest.raises(InputError, match="has no hidden"):
        coordinate_check(shallow, BATCH, widths=(8, 16), loss=loss)
