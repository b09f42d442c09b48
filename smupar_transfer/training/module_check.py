"""``coordinate_check``: do sizes stay put across width and density, on a model of anybody's?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from smupar_transfer.statistics.coordinate_slopes import LayerSlope, Verdict, slopes
from smupar_transfer.theory import PARAMETRIZATIONS, Coordinate, InputError, Role, update_rule
from smupar_transfer.training.module_coordinates import Loss, measure_module
from smupar_transfer.transfer import plan

COLUMNS = ("parametrization", "seed", "scale", "layer", "coordinate", "step", "size")
RATE = 2.0**-9
"""A base learning rate at which first steps are small; sizes of updates are relative to it anyway."""


@dataclass(frozen=True)
class CoordinateCheck:
    """What a coordinate check found.

    Attributes:
        sizes: By axis, ``width`` or ``sparsity``, the table of all measured sizes: a row each, with parametrization,
            seed, scale (width, or density), layer, coordinate (activation, gradient, update), step and size.
        slopes: By axis, the log-log slope of every size of every layer, with its spread over seeds.
        left_out: The names of hidden parameters that could not be measured, as what multiplies with them is not known
            here, or happens several times in a pass.
    """

    sizes: Mapping[str, pd.DataFrame]
    slopes: Mapping[str, tuple[LayerSlope, ...]]
    left_out: tuple[str, ...] = ()

    def verdict(self, parametrization: str) -> Verdict:
        """Whether all sizes stay put under a parametrization, on all axes; it drifts if any does.

        Raises:
            InputError: the check was not made under it.
        """
        own = [slope for slope in self._all if slope.parametrization == parametrization]
        if not own:
            raise InputError(
                "parametrization", parametrization, "was not checked", f"there are {', '.join(self.names)}"
            )
        return _together(own)

    @property
    def names(self) -> tuple[str, ...]:
        """The parametrizations that were checked."""
        return tuple(dict.fromkeys(slope.parametrization for slope in self._all))

    @property
    def _all(self) -> list[LayerSlope]:
        return [slope for axis in self.slopes.values() for slope in axis]

    def __str__(self) -> str:
        lines = [f"{'':<14}{'axis':<10}{'sizes':<11}{'slope':<23}of"]
        for name in self.names:
            for axis, members in self.slopes.items():
                own = [slope for slope in members if slope.parametrization == name]
                verdict = _together(own)
                # among those that the verdict comes from, the one that speaks for it most clearly
                shown = max((slope for slope in own if slope.verdict is verdict), key=lambda slope: slope.strain)
                low, high = shown.estimate.interval
                said = f"{shown.estimate.mean:+.2f} [{low:+.2f}, {high:+.2f}]"
                what = f"{shown.coordinate} at the {shown.moment}, {shown.layer}"
                lines.append(f"{name:<14}{axis:<10}{verdict:<11}{said:<23}{what}")
        lines += [f"not measured: {name}" for name in self.left_out]
        return "\n".join(lines)


def _together(members: Iterable[LayerSlope]) -> Verdict:
    """It drifts if any size does, and stays put only if every size does."""
    verdicts = {slope.verdict for slope in members}
    if Verdict.OUTSIDE in verdicts:
        return Verdict.OUTSIDE
    return Verdict.INSIDE if verdicts == {Verdict.INSIDE} else Verdict.OPEN


def coordinate_check(
    make_model: Callable[[int], nn.Module],
    batch: Any,
    *,
    widths: Sequence[int],
    densities: Sequence[float] = (1.0,),
    base_width: int | None = None,
    loss: Loss | None = None,
    parametrizations: Iterable[str] = ("sp", "mup", "smupar"),
    learning_rate: float = RATE,
    steps: int = 2,
    seeds: Sequence[int] = (0, 1, 2, 3),
    **planning: Any,
) -> CoordinateCheck:
    """Measure activations, gradients and updates of all hidden layers, and fit how they scale.

    Across ``widths`` at the first density, and across ``densities`` at the last width, whichever are two or more. Under
    a parametrization that transfers, all slopes are 0; ``sp`` and ``mup`` are the controls that must drift.

    Args:
        make_model: From a width to a model, as it initialises itself; seeded by this check.
        batch: One batch, for all steps.
        widths: The widths, from 4 times the base's on best.
        densities: The densities of hidden weights.
        base_width: The width of the base; the smallest of ``widths`` if left out.
        loss: From model and batch to a loss; if left out, ``model(**batch).loss``, as models of ``transformers`` have.
        parametrizations: The names of the tables.
        learning_rate: The base learning rate of AdamW.
        steps: The number of optimizer steps.
        seeds: Of models and masks; intervals need two at least.
        **planning: What ``plan`` takes beside: ``roles``, ``sample``, ``delta``, ``hparams``.

    Raises:
        InputError: nothing is varied, or a model cannot be planned or measured.
    """
    names = list(dict.fromkeys(parametrizations))
    axes = axes_of(widths, densities)
    base = base_width or min(widths)
    # at the base's own width no dimension grows: what would is seen on the widest model
    delta = planning.pop("delta", None) or _seeded(make_model, max(widths), 0)
    setting = _Setting(make_model, batch, loss or own_loss, base, learning_rate, steps, {**planning, "delta": delta})
    sizes = {
        axis: pd.DataFrame(_rows(setting, axis, cells, names, seeds), columns=list(COLUMNS))
        for axis, cells in axes.items()
    }
    # which measure_module trains with
    rule = update_rule("adamw")
    fitted = {axis: tuple(slopes(table, axis, steps, rule)) for axis, table in sizes.items()}
    return CoordinateCheck(sizes, fitted, tuple(setting.left_out))


def axes_of(widths: Sequence[int], densities: Sequence[float]) -> dict[str, list[tuple[int, float]]]:
    """By axis, the widths and densities along it: widths at the first density, densities at the last width.

    Raises:
        InputError: nothing is varied, or there is no width or no density.
    """
    axes = {}
    for key, values in (("widths", widths), ("densities", densities)):
        if not values:
            raise InputError(key, list(values), "is empty", "give one at least")
    if len(set(widths)) > 1:
        axes["width"] = [(width, densities[0]) for width in dict.fromkeys(widths)]
    if len(set(densities)) > 1:
        axes["sparsity"] = [(widths[-1], density) for density in dict.fromkeys(densities)]
    if not axes:
        raise InputError("widths", list(widths), "vary nothing", "give two widths, or two densities")
    return axes


@dataclass(frozen=True)
class _Setting:
    """What all runs of a check have in common."""

    make_model: Callable[[int], nn.Module]
    batch: Any
    loss: Loss
    base_width: int
    learning_rate: float
    steps: int
    planning: Mapping[str, Any]
    left_out: dict[str, None] = field(default_factory=dict)


def _seeded(make_model: Callable[[int], nn.Module], width: int, seed: int) -> nn.Module:
    """A model whose values depend on width and seed alone; the global stream of random numbers stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_model(width)


def _rows(
    setting: _Setting, axis: str, cells: Sequence[tuple[int, float]], names: Sequence[str], seeds: Sequence[int]
) -> Iterable[tuple[Any, ...]]:
    for name in names:
        if name not in PARAMETRIZATIONS:
            raise InputError("parametrizations", name, f"is not one of {', '.join(PARAMETRIZATIONS)}")
        for seed in seeds:
            base = _seeded(setting.make_model, setting.base_width, seed)
            for width, density in cells:
                scale = float(width) if axis == "width" else density
                for layer, coordinate, step, size in _sizes(setting, base, name, width, density, seed):
                    yield name, seed, scale, layer, coordinate, step, size


def _sizes(
    setting: _Setting, base: nn.Module, name: str, width: int, density: float, seed: int
) -> Iterable[tuple[str, str, int, float]]:
    model = _seeded(setting.make_model, width, seed)
    given = {"hparams": {"learning_rate": setting.learning_rate}, **setting.planning}
    made = plan(model, base, density=density, parametrization=name, seed=seed, **given)
    made.apply_(model)
    if not any(row.role is Role.HIDDEN for row in made.rows):
        raise InputError("model", type(model).__name__, "has no hidden weights", "there is nothing to check")
    probes = measure_module(model, made, setting.batch, setting.loss, setting.steps)
    # layers are known by their path, other parameters by their name
    measured = {*probes, *(f"{path}.weight" for path in probes)}
    hidden = (row.name for row in made.rows if row.role is Role.HIDDEN)
    setting.left_out.update(dict.fromkeys(name for name in hidden if name not in measured))
    for layer, probe in probes.items():
        for coordinate in Coordinate:
            for step, size in enumerate(getattr(probe, coordinate)):
                yield layer, str(coordinate), step, size


def own_loss(model: nn.Module, batch: Any) -> Tensor:
    """The loss that a model gives by itself, as models of ``transformers`` do.

    Raises:
        InputError: it gives none.
    """
    output = model(**batch) if isinstance(batch, Mapping) else model(batch)
    loss = getattr(output, "loss", None)
    if not isinstance(loss, Tensor):
        problem = "gives no loss by itself"
        raise InputError("loss", type(model).__name__, problem, "give loss=(function of model and batch)")
    return loss
