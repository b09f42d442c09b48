"""Sizes of what layers compute scale as the tables predict, and only SuPar's do not scale at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from smupar_transfer.model import MLP, build
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import MUP, SMUPAR, SP, Coordinate, Parametrization, predicted
from smupar_transfer.training.optimizer import make_optimizer

SpecMaker = Callable[..., RunSpec]
TABLES = [SP, MUP, SMUPAR]
WIDTHS = [64, 128, 256, 512]
DENSITIES = [1.0, 0.5, 0.25, 0.125]
SEEDS = range(3)


def rms(values: Tensor) -> float:
    return float(values.detach().double().pow(2).mean().sqrt())


def sizes(spec: RunSpec) -> dict[Coordinate, float]:
    """The three coordinates of the hidden layer of an MLP, at initialisation and after one Adam step."""
    network, plan = build(spec)
    assert isinstance(network, MLP)
    layer = network.hidden[0]
    assert isinstance(layer, SparseLinear)
    seen: dict[str, Tensor] = {}

    def keep(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        inputs[0].retain_grad()
        output.retain_grad()
        seen.update(x=inputs[0], y=output)

    handle = layer.register_forward_hook(keep)
    generator = torch.Generator().manual_seed(spec.seed)
    inputs = torch.randn(32, 10, generator=generator)
    labels = torch.randint(5, (32,), generator=generator)
    torch.nn.functional.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
    handle.remove()
    x, y = seen["x"], seen["y"]
    assert x.grad is not None
    assert y.grad is not None
    before = layer.dense_weight().detach().clone()
    make_optimizer(network, plan, spec.optimizer).step()
    change = layer.dense_weight().detach() - before
    return {
        Coordinate.ACTIVATION: rms(y) / rms(x),
        Coordinate.GRADIENT: rms(x.grad) / rms(y.grad),
        Coordinate.UPDATE: rms(x.detach() @ change.T) / rms(x),
    }


def slopes(specs: Sequence[Sequence[RunSpec]], scales: Sequence[float]) -> dict[Coordinate, float]:
    """Log-log slope of each coordinate over scales, mean over seeds."""
    logs = [[{name: math.log2(size) for name, size in sizes(spec).items()} for spec in seeds] for seeds in specs]
    return {
        name: float(np.polyfit(np.log2(scales), [np.mean([run[name] for run in seeds]) for seeds in logs], 1)[0])
        for name in Coordinate
    }


def over_width(mlp: SpecMaker, table: Parametrization) -> dict[Coordinate, float]:
    return slopes(
        [[mlp(width=w, bias=False, depth=1, parametrization=table.name, seed=s) for s in SEEDS] for w in WIDTHS],
        WIDTHS,
    )


def over_density(mlp: SpecMaker, table: Parametrization) -> dict[Coordinate, float]:
    name = table.name
    return slopes(
        [
            [mlp(width=256, bias=False, depth=1, density=rho, parametrization=name, seed=s) for s in SEEDS]
            for rho in DENSITIES
        ],
        DENSITIES,
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_initial_sizes_scale_as_predicted(mlp: SpecMaker, table: Parametrization) -> None:
    by_width, by_density = over_width(mlp, table), over_density(mlp, table)
    for coordinate in (Coordinate.ACTIVATION, Coordinate.GRADIENT):
        assert by_width[coordinate] == pytest.approx(predicted(table, coordinate).width, abs=0.06)
        assert by_density[coordinate] == pytest.approx(predicted(table, coordinate).density, abs=0.06)


def test_only_supar_keeps_its_size_over_density(mlp: SpecMaker) -> None:
    """The control: SP and muP must fail the check that SuPar passes."""
    drift = {table.name: abs(over_density(mlp, table)[Coordinate.ACTIVATION]) for table in TABLES}
    assert drift["smupar"] < 0.06
    assert drift["sp"] > 0.4
    assert drift["mup"] > 0.4


def test_the_first_update_differs_from_sps_by_the_predicted_power(mlp: SpecMaker) -> None:
    """The gap is sharp at any width, where a slope itself reaches its asymptote slowly."""
    sp, supar = over_density(mlp, SP)[Coordinate.UPDATE], over_density(mlp, SMUPAR)[Coordinate.UPDATE]
    gap = predicted(SP, Coordinate.UPDATE).density - predicted(SMUPAR, Coordinate.UPDATE).density
    assert sp - supar == pytest.approx(gap, abs=0.1)
    mup = over_density(mlp, MUP)[Coordinate.UPDATE]
    assert sp - mup == pytest.approx(0.0, abs=0.1)
