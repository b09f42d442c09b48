"""The coordinate check on the model of every example of an integration, over width and over density."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.statistics.coordinate_slopes import Verdict
from smupar_transfer.training.module_check import CoordinateCheck, coordinate_check
from tests.hugging_face import hide_torchvision, transformers

SMUPAR_SEEDS, CONTROL_SEEDS = range(6), range(3)
"""To stay put, every interval of some dozens has to be narrow; one that lies outside is enough to drift."""


def tokens(module: Any) -> dict[str, Tensor]:
    """Pieces of the example's own file."""
    pieces = module.batch()["input_ids"] if hasattr(module, "batch") else [row["input_ids"] for row in module.pieces()]
    found = torch.cat(list(pieces))[: 8 * 32].view(8, 32)
    return {"input_ids": found, "labels": found}


def vectors(_module: Any) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(256, 32, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :10].argmax(1)


def classified(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@dataclass(frozen=True)
class Integration:
    """An example, what its model is checked with, and the scales: few, far apart, 16 weights an output at least."""

    batch: Any
    widths: Sequence[int] = (64, 256)
    density_width: int = 128
    densities: Sequence[float] = (1, 0.25, 0.125)
    options: Mapping[str, Any] = field(default_factory=dict)


CLASSIFIER = {"loss": classified}
INTEGRATIONS = {
    "gpt2_loop": Integration(tokens),
    "llama_trainer": Integration(tokens),
    "mixtral": Integration(tokens),
    "lightning_module": Integration(vectors, (64, 128, 256), options=CLASSIFIER),
    # the convolution of 1 x 1 has 64 inputs
    "resnet_digits": Integration(lambda module: module.digits(0, 64), (16, 64), 64, (1, 0.25), CLASSIFIER),
    "pruned_model": Integration(vectors, (64, 128, 256), options=CLASSIFIER),
}
each = pytest.mark.parametrize("name", list(INTEGRATIONS))


def example(name: str) -> Any:
    """An example as a module."""
    if name == "lightning_module" and importlib.util.find_spec("lightning") is None:
        pytest.skip("the extra 'lightning' is not installed")
    hide_torchvision()
    transformers()
    return importlib.import_module(f"examples.{name}")


def check(name: str, axis: str, parametrizations: Sequence[str], seeds: Sequence[int]) -> CoordinateCheck:
    module, setting = example(name), INTEGRATIONS[name]
    batch = setting.batch(module)
    sample = {"sample": batch} if name == "mixtral" else {}
    scales: dict[str, Any] = {"widths": setting.widths, "base_width": min(setting.widths)}
    if axis == "sparsity":
        scales |= {"widths": (setting.density_width,), "densities": setting.densities}
    options = {**scales, **setting.options, **sample}
    return coordinate_check(module.make, batch, parametrizations=parametrizations, seeds=seeds, **options)


@each
@pytest.mark.parametrize("axis", ["width", "sparsity"])
def test_sizes_stay_put_under_supar(name: str, axis: str) -> None:
    made = check(name, axis, ["smupar"], SMUPAR_SEEDS)
    assert made.verdict("smupar") is Verdict.INSIDE, str(made)


@each
@pytest.mark.parametrize(("axis", "controls"), [("width", ["sp"]), ("sparsity", ["sp", "mup"])])
def test_sizes_drift_under_the_controls(name: str, axis: str, controls: list[str]) -> None:
    made = check(name, axis, controls, CONTROL_SEEDS)
    assert {made.verdict(control) for control in controls} == {Verdict.OUTSIDE}, str(made)
