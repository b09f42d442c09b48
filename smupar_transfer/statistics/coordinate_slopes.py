"""Log-log slopes of coordinate checks, with intervals over seeds.

A slope is judged by its whole 95 % interval: inside the allowance around the exponent in question, outside it, or
neither, which more seeds would decide. How intervals and allowances are chosen is argued in docs/coordinates.md.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from smupar_transfer.records import CoordinateRecord, RunSpec, to_plain
from smupar_transfer.statistics.clipping import first_clip
from smupar_transfer.statistics.variance import student
from smupar_transfer.theory import (
    ADAMW,
    PARAMETRIZATIONS,
    Coordinate,
    InputError,
    UpdateRule,
    UpdateSize,
    predicted,
)

CHECK_AXES = ("sparsity", "width")
"""Scales along which a coordinate check measures."""
LOOKS = 2
"""How often, at most, seeds are added to a parametrization that those planned left open (see ``added_seeds``)."""


class Moment(StrEnum):
    """When a size was measured."""

    START = "start"
    """Before the first step; of updates, the first one."""
    END = "end"
    """After the last step; of updates, the last one."""


class Verdict(StrEnum):
    """What an interval of slopes decides about an exponent."""

    INSIDE = "stays put"
    OUTSIDE = "drifts"
    OPEN = "open"


@dataclass(frozen=True)
class Allowance:
    """How far below and above an exponent a slope may lie at finite width and still count as it."""

    below: float
    above: float

    def __str__(self) -> str:
        return f"-{self.below:g} to +{self.above:g}"

    def strain(self, slope: float) -> float:
        """How much of the allowance around 0 a slope uses up; above 1 is beyond, NaN if unknown."""
        return slope / self.above if slope > 0 else -slope / self.below


EXACT = Allowance(0.1, 0.1)
"""At initialisation theory is exact but for finite width; the smallest wrong exponent of any table is 1/2."""
PARTIAL = Allowance(0.6, 0.25)
"""Updates are partly aligned with their inputs: sums grow with a power from 1/2 to 1 of the number of their terms."""

SHARED_BY_ALL = ("budget.steps", "optimizer.name")
"""Settings that may not differ between parametrizations of one check; others may, such as learning rates."""

JUDGED: dict[tuple[Coordinate, Moment], Allowance] = {
    (Coordinate.ACTIVATION, Moment.START): EXACT,
    (Coordinate.GRADIENT, Moment.START): EXACT,
    (Coordinate.UPDATE, Moment.START): PARTIAL,
    (Coordinate.ACTIVATION, Moment.END): PARTIAL,
    (Coordinate.GRADIENT, Moment.END): PARTIAL,
}
"""Every size that counts."""


@dataclass(frozen=True)
class SlopeEstimate:
    """A slope with its spread over seeds.

    Attributes:
        by_seed: Seed to slope; empty where nothing could be measured.
        looks: How many intervals, from fewer and from more seeds, are to hold the slope all at once in 95 % of cases.
    """

    by_seed: Mapping[int, float]
    looks: int = 1

    @property
    def _values(self) -> list[float]:
        return list(self.by_seed.values())

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(np.mean(self._values)) if self.by_seed else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % by Student's t over seeds, after Bonferroni for several looks; NaN with fewer than two seeds."""
        count = len(self.by_seed)
        if count < 2:
            return math.nan, math.nan
        half = student(count - 1.0, self.looks) * float(np.std(self._values, ddof=1)) / math.sqrt(count)
        return self.mean - half, self.mean + half

    def judge(self, exponent: float, allowance: Allowance) -> Verdict:
        """Whether the interval lies within the allowance around an exponent, beyond it, or across its border."""
        low, high = self.interval
        bottom, top = exponent - allowance.below, exponent + allowance.above
        if bottom <= low and high <= top:
            return Verdict.INSIDE
        return Verdict.OUTSIDE if high < bottom or low > top else Verdict.OPEN


@dataclass(frozen=True)
class LayerSlope:
    """How one size of one layer scales with density or width under one parametrization.

    Attributes:
        parametrization: The name of the parametrization.
        layer: The name of the layer.
        coordinate: The size that was measured.
        moment: When it was measured.
        estimate: The slope with its spread over seeds.
        predicted: The exponent by theory; None where it makes no sharp prediction, which is after the first step.
    """

    parametrization: str
    layer: str
    coordinate: Coordinate
    moment: Moment
    estimate: SlopeEstimate
    predicted: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether the size stays put."""
        return self.estimate.judge(0.0, JUDGED[self.coordinate, self.moment])

    @property
    def agreement(self) -> Verdict | None:
        """Whether the slope is the predicted one; None without a prediction."""
        if self.predicted is None:
            return None
        return self.estimate.judge(self.predicted, JUDGED[self.coordinate, self.moment])

    @property
    def strain(self) -> float:
        """How much of its allowance around 0 the mean slope uses up; above 1 is beyond."""
        return JUDGED[self.coordinate, self.moment].strain(self.estimate.mean)


def scale_of(spec: RunSpec, axis: str) -> float:
    """Where a run stands on the axis: its density or its width."""
    return spec.sparsity.density if axis == "sparsity" else float(spec.model.width)


def require_one_axis(specs: Iterable[RunSpec], axis: str) -> None:
    """Check that slopes over the axis are about nothing else.

    Raises:
        InputError: the axis is unknown, or runs of one parametrization differ in more than their scale and seed, or
            runs of any two in what all must share.
    """
    if axis not in CHECK_AXES:
        raise InputError("axis", axis, f"is not one of {', '.join(CHECK_AXES)}")
    first: dict[str, dict[str, Any]] = {}
    for spec in specs:
        own = _settings(spec, axis)
        shared = dict(first.setdefault(spec.parametrization, own))
        shared |= {key: next(iter(first.values()))[key] for key in SHARED_BY_ALL}
        for key in sorted(own.keys() | shared.keys()):
            if own.get(key) != shared.get(key):
                problem = f"is not all that runs differ in: {key} is {shared.get(key)} and {own.get(key)}"
                raise InputError("axis", axis, problem, "keep it the same along the axis")


def _settings(spec: RunSpec, axis: str) -> dict[str, Any]:
    """Dotted key to value of everything but parametrization, seed and scale."""
    plain = to_plain(spec)
    flat = {
        f"{group}.{name}": value
        for group, values in plain.items()
        for name, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
    for key in ("parametrization.", "seed.", "sparsity.density" if axis == "sparsity" else "model.width"):
        del flat[key]
    return flat


def sizes_table(records: Iterable[CoordinateRecord], axis: str) -> pd.DataFrame:
    """A row a measured size.

    First updates of SGD, and of rules like it, are what they would be without the gradient clip (see
    ``clipping.first_clip``).

    Args:
        records: The records of one check.
        axis: The scale along which they differ, "sparsity" or "width".

    Returns:
        A table with the columns parametrization, seed, scale (density or width), layer, coordinate, step and size.

    Raises:
        InputError: the axis is another, or runs differ in more than it; see ``require_one_axis``.
    """
    records = list(records)
    require_one_axis([record.spec for record in records], axis)
    rows = []
    for record in records:
        identity = record.spec.parametrization, record.spec.seed, scale_of(record.spec, axis)
        clip = first_clip(record)
        for layer in record.layers:
            for coordinate in ("output", *Coordinate):
                for step, size in enumerate(getattr(layer, coordinate)):
                    unclipped = size / clip if (coordinate, step) == (Coordinate.UPDATE, 0) else size
                    rows.append((*identity, layer.name, str(coordinate), step, unclipped))
    columns = ["parametrization", "seed", "scale", "layer", "coordinate", "step", "size"]
    return pd.DataFrame(rows, columns=columns)


def slopes(
    sizes: pd.DataFrame,
    axis: str,
    steps: int,
    optimizer: UpdateRule = ADAMW,
    extended: Container[str] = (),
) -> list[LayerSlope]:
    """Fitted slopes of everything that is judged, by parametrization (in the order of ``theory``), moment and layer.

    Args:
        sizes: The measured sizes, as ``sizes_table`` makes them.
        axis: The scale along which they differ, "sparsity" or "width".
        steps: The number of optimizer steps after which sizes were measured again.
        optimizer: The rule by which these steps were taken.
        extended: The parametrizations to which seeds were added, so that their intervals must hold for several looks.

    Raises:
        InputError: no parametrization has two positions on the axis.
    """
    scales = {str(name): sorted(group.unique()) for name, group in sizes.groupby("parametrization")["scale"]}
    if max(map(len, scales.values()), default=0) < 2:
        raise InputError("axis", axis, "has a single value: there is no slope", "measure at two at least")
    layers = list(dict.fromkeys(sizes["layer"]))
    keyed = dict(iter(sizes.groupby(["parametrization", "coordinate", "step", "layer"], sort=False)))
    fitted = []
    for name in [name for name in PARAMETRIZATIONS if name in scales]:
        looks = LOOKS if name in extended else 1
        for coordinate, moment in JUDGED:
            step = 0 if moment is Moment.START else steps
            exponent = exponent_at_start(name, coordinate, axis, optimizer) if moment is Moment.START else None
            for layer in layers:
                group = keyed.get((name, str(coordinate), step, layer))
                by_seed = {} if group is None else slope_by_seed(group, scales[name])
                fitted.append(LayerSlope(name, layer, coordinate, moment, SlopeEstimate(by_seed, looks), exponent))
    return fitted


def slope_by_seed(group: pd.DataFrame, scales: Sequence[float]) -> dict[int, float]:
    """A slope for every seed that has a positive size at every scale; none of fewer than two scales."""
    table = group.pivot_table(index="seed", columns="scale", values="size").reindex(columns=list(scales))
    # all scales or none: slopes over different scales cannot be averaged
    whole = table[(table > 0).all(axis=1)]
    if whole.empty or len(scales) < 2:
        return {}
    fitted = np.polyfit(np.log2(scales), np.log2(whole.to_numpy(dtype=np.float64)).T, 1)[0]
    return {int(seed): float(slope) for seed, slope in zip(whole.index, fitted, strict=True)}


def exponent_at_start(name: str, coordinate: Coordinate, axis: str, optimizer: UpdateRule) -> float | None:
    """What theory predicts; None where it predicts nothing.

    That is so of the first update of a rule of which theory knows nothing, and of one like SGD's where sizes drift at
    initialisation already.
    """
    table = PARAMETRIZATIONS[name]

    def along(coordinate: Coordinate) -> float | None:
        power = predicted(table, coordinate, optimizer)
        return None if power is None else power["density" if axis == "sparsity" else "width"]

    if coordinate is Coordinate.UPDATE and optimizer.size is UpdateSize.PROPORTIONAL:
        still = along(Coordinate.ACTIVATION) == along(Coordinate.GRADIENT) == 0
        return along(coordinate) if still else None
    return along(coordinate)


def mean_of(estimates: Iterable[SlopeEstimate]) -> SlopeEstimate:
    """Mean of several layers' slopes, seed by seed; empty if a layer lacks a seed that another has."""
    members = list(estimates)
    looks = max(member.looks for member in members)
    if len({frozenset(member.by_seed) for member in members}) != 1:
        return SlopeEstimate({}, looks)
    # seed by seed: layers of one run share its noise, and would make intervals far too narrow as independent ones
    means = {seed: float(np.mean([member.by_seed[seed] for member in members])) for seed in members[0].by_seed}
    return SlopeEstimate(means, looks)


def difference(minuend: SlopeEstimate, subtrahend: SlopeEstimate) -> SlopeEstimate:
    """The difference of two slopes, over the seeds that both have."""
    shared = minuend.by_seed.keys() & subtrahend.by_seed.keys()
    return SlopeEstimate(
        {seed: minuend.by_seed[seed] - subtrahend.by_seed[seed] for seed in sorted(shared)},
        max(minuend.looks, subtrahend.looks),
    )


@dataclass(frozen=True)
class Gap:
    """How much more steeply the first updates scale under one parametrization than under a control that must fail.

    Attributes:
        parametrization: The name of the parametrization.
        control: The name of the parametrization that must fail.
        estimate: The mean over layers, paired by seed.
        low_layer: The gap of the layer that has the least; NaN without any.
        high_layer: The gap of the layer that has the most; NaN without any.
        predicted: The gap by theory; met sharply at any width, where a slope itself nears its exponent slowly. None if
            theory predicts one of the two slopes only.
    """

    parametrization: str
    control: str
    estimate: SlopeEstimate
    low_layer: float
    high_layer: float
    predicted: float | None


def gaps(slopes: Sequence[LayerSlope], axis: str) -> list[Gap]:
    """Gaps of first updates to muP over density, and to SP over width; none if the control was not measured."""
    control = "mup" if axis == "sparsity" else "sp"
    first = [slope for slope in slopes if (slope.coordinate, slope.moment) == (Coordinate.UPDATE, Moment.START)]
    reference = {slope.layer: slope for slope in first if slope.parametrization == control}
    others = dict.fromkeys(slope.parametrization for slope in first if slope.parametrization != control)
    result = []
    for name in others if reference else ():
        members = [slope for slope in first if slope.parametrization == name]
        layers = [difference(reference[slope.layer].estimate, slope.estimate) for slope in members]
        # a layer that no seed measured has no gap, and must not be the least or the most
        means = [layer.mean for layer in layers if layer.by_seed] or [math.nan]
        own, other = members[0].predicted, reference[members[0].layer].predicted
        exponent = None if own is None or other is None else other - own
        result.append(Gap(name, control, mean_of(layers), min(means), max(means), exponent))
    return result
