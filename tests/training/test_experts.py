"""Experts and router of Mixtral, which compute with slices of a tensor and which hooks of layers do not see."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.statistics.coordinate_slopes import JUDGED, Moment, SlopeEstimate, Verdict
from smupar_transfer.theory import Coordinate
from smupar_transfer.training.sizes import rms
from smupar_transfer.transfer import plan
from tests.hugging_face import transformers
from tests.training.test_integrations import tokens

SEEDS = range(6)
SCALES = {"width": ((64, 1.0), (256, 1.0)), "sparsity": ((128, 1.0), (128, 0.125))}
EXPERTS = ("gate_up_proj", "down_proj")


def _activated(products: Tensor) -> Tensor:
    gate, up = products.chunk(2, dim=-1)
    return nn.functional.silu(gate) * up


def _sizes(weight: Tensor, inputs: Tensor) -> float:
    """The size of W x over that of x, of all experts together; x has a dimension of experts, or none."""
    return rms(inputs @ weight.mT) / rms(inputs)


def measured(name: str, width: int, density: float, seed: int) -> dict[tuple[str, Coordinate], float]:
    """The size of W x over that of x before the first step, and of dW x after it, in the last layer."""
    transformers()
    module: Any = importlib.import_module("examples.mixtral")
    batch = tokens(module)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base, model = module.make(64), module.make(width)
    made = plan(model, base, delta=module.make(96), sample=batch, density=density, parametrization=name, seed=seed)
    made.apply_(model)
    block = model.model.layers[-1].mlp
    seen: list[Tensor] = []
    handle = block.gate.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    model(**batch).loss.backward()
    handle.remove()
    inputs = seen[0].reshape(-1, width)
    weights = {part: getattr(block.experts, part) for part in EXPERTS} | {"router": block.gate.weight}
    before = {part: weight.detach().clone() for part, weight in weights.items()}
    into = {**dict.fromkeys(weights, inputs), "down_proj": _activated(inputs @ before["gate_up_proj"].mT)}
    torch.optim.AdamW(made.groups(model, learning_rate=2.0**-9)).step()
    found = {}
    for part, weight in weights.items():
        found[part, Coordinate.ACTIVATION] = _sizes(before[part], into[part])
        found[part, Coordinate.UPDATE] = _sizes(weight.detach() - before[part], into[part])
    return found


@cache
def slopes(name: str, axis: str) -> dict[tuple[str, Coordinate], SlopeEstimate]:
    """Log-log slopes over an axis, with their spread over seeds."""
    by_seed: dict[tuple[str, Coordinate], dict[int, float]] = {}
    (first, last) = SCALES[axis]
    octaves = math.log2(last[0] * last[1] / (first[0] * first[1]))
    for seed in SEEDS:
        low, high = measured(name, *first, seed), measured(name, *last, seed)
        for key in low:
            by_seed.setdefault(key, {})[seed] = math.log2(high[key] / low[key]) / octaves
    return {key: SlopeEstimate(values) for key, values in by_seed.items()}


def _verdicts(name: str, axis: str, parts: Sequence[str]) -> set[Verdict]:
    found = slopes(name, axis)
    return {
        found[part, coordinate].judge(0.0, JUDGED[coordinate, Moment.START])
        for part in parts
        for coordinate in (Coordinate.ACTIVATION, Coordinate.UPDATE)
    }


@pytest.mark.parametrize("axis", list(SCALES))
def test_sizes_of_experts_stay_put_under_supar(axis: str) -> None:
    assert _verdicts("smupar", axis, EXPERTS) == {Verdict.INSIDE}, slopes("smupar", axis)


@pytest.mark.parametrize(("name", "axis"), [("sp", "width"), ("sp", "sparsity"), ("mup", "sparsity")])
def test_sizes_of_experts_drift_under_the_controls(name: str, axis: str) -> None:
    assert _verdicts(name, axis, EXPERTS) == {Verdict.OUTSIDE}, slopes(name, axis)


def test_what_a_router_puts_out_shrinks_as_that_of_output_weights_and_its_updates_stay_put() -> None:
    found = slopes("smupar", "width")
    assert found["router", Coordinate.ACTIVATION].mean == pytest.approx(-0.5, abs=0.15)
    update = found["router", Coordinate.UPDATE].judge(0.0, JUDGED[Coordinate.UPDATE, Moment.START])
    assert update is Verdict.INSIDE, found
    assert slopes("sp", "width")["router", Coordinate.UPDATE].mean > 0.75
