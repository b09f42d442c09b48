"""Sizes of what layers compute scale as the tables predict, and only SuPar's do not scale at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.model import build
from smupar_transfer.records import GPTSpec, MLPSpec, RunSpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import MUP, PARAMETRIZATIONS, SMUPAR, SP, Coordinate, Parametrization, predicted
from smupar_transfer.training import make_optimizer

SpecMaker = Callable[..., RunSpec]
Slopes = dict[tuple[str, Coordinate], tuple[float, float]]
Fit = Callable[[str, str, str], Slopes]

AT_START = [Coordinate.ACTIVATION, Coordinate.GRADIENT]
DENSITIES = [1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16]
# The GPT's widest is half the MLP's: it has twelve times as many weights at equal width.
SCALES: dict[tuple[str, str], Sequence[float]] = {
    ("mlp", "width"): [64, 128, 256, 512],
    ("gpt", "width"): [32, 64, 128, 256],
    ("mlp", "density"): DENSITIES,
    ("gpt", "density"): DENSITIES,
}
SEEDS = range(8)
TOLERANCE = 0.03  # a sixteenth of the half that a wrong rule would make; the largest standard error is 0.02
by_table = pytest.mark.parametrize("table", [SP, MUP, SMUPAR], ids=lambda table: table.name)
by_axis = pytest.mark.parametrize("axis", ["width", "density"])
by_kind = pytest.mark.parametrize("kind", ["mlp", "gpt"])


def rms(values: Tensor) -> float:
    return float(values.detach().double().pow(2).mean().sqrt())


def batch(spec: RunSpec, examples: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(spec.seed)
    if isinstance(spec.model, GPTSpec):
        ids = torch.randint(spec.model.vocab_size, (examples // 8, 9), generator=generator)
        return ids[:, :-1], ids[:, 1:]
    assert isinstance(spec.model, MLPSpec)
    inputs = torch.randn(examples, spec.model.features, generator=generator)
    return inputs, torch.randint(spec.model.classes, (examples,), generator=generator)


def sizes(spec: RunSpec) -> dict[tuple[str, Coordinate], float]:
    """The coordinates of every hidden layer, at initialisation and for the first step of Adam."""
    network, plan = build(spec)
    seen: dict[str, tuple[SparseLinear, Tensor, Tensor, Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def keep(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            assert isinstance(layer, SparseLinear)
            inputs[0].retain_grad()
            output.retain_grad()
            seen[name] = layer, layer.dense_weight().detach().clone(), inputs[0], output

        return keep

    for name, module in network.named_modules():
        if isinstance(module, SparseLinear):
            module.register_forward_hook(watch(name))
    inputs, targets = batch(spec)
    torch.autograd.backward(F.cross_entropy(network(inputs).flatten(0, -2), targets.flatten()))
    make_optimizer(network, plan, spec.optimizer).step()
    ratios = {}
    for name, (layer, before, x, y) in seen.items():
        assert x.grad is not None
        assert y.grad is not None
        change = layer.dense_weight().detach() - before
        ratios[name, Coordinate.ACTIVATION] = rms(y) / rms(x)
        ratios[name, Coordinate.GRADIENT] = rms(x.grad) / rms(y.grad)
        ratios[name, Coordinate.UPDATE] = rms(x.detach() @ change.T) / rms(x)
    return ratios


@pytest.fixture(scope="module")
def fit(gpt: SpecMaker, mlp: SpecMaker) -> Fit:
    """Log-log slope over an axis of every layer and coordinate: mean over seeds, and its standard error."""

    def spec(kind: str, table: str, axis: str, scale: float, seed: int) -> RunSpec:
        widest = int(SCALES[kind, "width"][-1])
        width, density = (int(scale), 1 / 4) if axis == "width" else (widest, scale)
        shape = {"head_dim": 16} if kind == "gpt" else {"features": 64, "classes": 32}
        maker = gpt if kind == "gpt" else mlp
        size = {"width": width, "density": density, "depth": 1}
        made = maker(**size, **shape, bias=False, parametrization=table, seed=seed)
        return replace(made, hparams=replace(made.hparams, weight_decay=0.0))

    @cache
    def fitted(kind: str, table: str, axis: str) -> Slopes:
        scales = SCALES[kind, axis]
        measured = [[sizes(spec(kind, table, axis, scale, seed)) for scale in scales] for seed in SEEDS]
        slopes: Slopes = {}
        for key in measured[0][0]:
            logs = np.array([[math.log2(ratios[key]) for ratios in run] for run in measured])
            by_seed = np.polyfit(np.log2(scales), logs.T, 1)[0]
            slopes[key] = float(by_seed.mean()), float(by_seed.std(ddof=1) / math.sqrt(len(by_seed)))
        return slopes

    return fitted


def expected(table: Parametrization, coordinate: Coordinate, axis: str) -> float:
    power = predicted(table, coordinate)
    assert power is not None
    return power[axis]


def agree(slopes: Slopes, table: Parametrization, axis: str) -> bool:
    """Whether every hidden layer follows the prediction of a table at initialisation."""
    errors = [abs(s - expected(table, at, axis)) for (_, at), (s, _) in slopes.items() if at in AT_START]
    return max(errors) < TOLERANCE


@by_table
@by_axis
@by_kind
def test_initial_sizes_scale_as_predicted(fit: Fit, kind: str, axis: str, table: Parametrization) -> None:
    slopes = fit(kind, table.name, axis)
    assert len(slopes) == {"mlp": 1, "gpt": 4}[kind] * len(Coordinate)
    assert agree(slopes, table, axis), slopes
    assert max(error for (_, at), (_, error) in slopes.items() if at in AT_START) < 0.02


@by_axis
@by_kind
def test_the_prediction_of_another_table_is_rejected(fit: Fit, kind: str, axis: str) -> None:
    """The control of the test above: wherever two tables differ on an axis, so do the measured slopes."""
    for measured in (SP, MUP, SMUPAR):
        for claimed in PARAMETRIZATIONS.values():
            same = all(expected(measured, at, axis) == expected(claimed, at, axis) for at in AT_START)
            assert agree(fit(kind, measured.name, axis), claimed, axis) is same


@by_kind
def test_only_supar_keeps_its_sizes_over_density(fit: Fit, kind: str) -> None:
    """The control: SP and muP must fail the check that SuPar passes, in every layer."""
    for table in (SP, MUP, SMUPAR):
        slopes = [slope for (_, at), (slope, _) in fit(kind, table.name, "density").items() if at in AT_START]
        still = [abs(slope) < TOLERANCE for slope in slopes]
        assert still == [table is SMUPAR] * len(slopes)
        assert table is SMUPAR or min(slopes) > 0.4


def gaps(steeper: Slopes, flatter: Slopes) -> list[float]:
    """How much more steeply the first updates of each layer scale in one fit than in another."""
    return [steeper[key][0] - flatter[key][0] for key in steeper if key[1] is Coordinate.UPDATE]


@by_axis
@by_kind
def test_first_updates_differ_from_sps_by_the_predicted_power(fit: Fit, kind: str, axis: str) -> None:
    """The gap is sharp at any width, where a slope itself reaches its asymptote slowly; mean over layers."""
    for table in (MUP, SMUPAR):
        gap = expected(SP, Coordinate.UPDATE, axis) - expected(table, Coordinate.UPDATE, axis)
        measured = gaps(fit(kind, "sp", axis), fit(kind, table.name, axis))
        assert np.mean(measured) == pytest.approx(gap, abs=0.15)


@by_kind
@pytest.mark.parametrize(("axis", "control"), [("width", "sp"), ("density", "mup")])
def test_first_updates_of_every_layer_differ_by_it(fit: Fit, kind: str, axis: str, control: str) -> None:
    """Over density from muP's, which is SuPar in all else; SP's layers also change what others see."""
    for gap in gaps(fit(kind, control, axis), fit(kind, "smupar", axis)):
        assert gap == pytest.approx(1.0, abs=0.15)


@by_axis
@by_kind
def test_first_updates_of_supar_hardly_scale_where_sps_do(fit: Fit, kind: str, axis: str) -> None:
    for (_, at), (slope, _) in fit(kind, "smupar", axis).items():
        assert at in AT_START or abs(slope) < 0.35
    for (_, at), (slope, _) in fit(kind, "sp", axis).items():
        assert at in AT_START or slope > 0.65
