"""Do sizes stay put? Log-log slopes of coordinate checks, with intervals over seeds, and what follows from them.

A slope is judged by its whole 95 % interval: inside the allowance around the exponent in question, outside it, or
neither, which more seeds would decide. How intervals and allowances are chosen is argued in docs/coordinates.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.theory import PARAMETRIZATIONS, Coordinate, InputError, predicted
from smupar_transfer.verification.noise import student

AXES = ("sparsity", "width")


class Moment(StrEnum):
    """When a size was measured."""

    START = "start"
    """Before the first step; of updates, the first one."""
    END = "end"
    """After the last step; of updates, the last one."""


class Verdict(StrEnum):
    """What an interval of slopes says about an exponent."""

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

JUDGED: dict[tuple[Coordinate, Moment], Allowance] = {
    (Coordinate.ACTIVATION, Moment.START): EXACT,
    (Coordinate.GRADIENT, Moment.START): EXACT,
    (Coordinate.UPDATE, Moment.START): PARTIAL,
    (Coordinate.ACTIVATION, Moment.END): PARTIAL,
    (Coordinate.GRADIENT, Moment.END): PARTIAL,
}
"""Every size that counts."""


@dataclass(frozen=True)
class Estimate:
    """A slope with its spread over seeds.

    Attributes:
        by_seed: seed to slope; empty where nothing could be measured.
    """

    by_seed: Mapping[int, float]

    @property
    def _values(self) -> list[float]:
        return list(self.by_seed.values())

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(np.mean(self._values)) if self.by_seed else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % by Student's t over seeds; NaN with fewer than two."""
        count = len(self.by_seed)
        if count < 2:
            return math.nan, math.nan
        half = student(count - 1.0) * float(np.std(self._values, ddof=1)) / math.sqrt(count)
        return self.mean - half, self.mean + half

    def judge(self, exponent: float, allowance: Allowance) -> Verdict:
        """Whether the interval lies within the allowance around an exponent, beyond it, or across its border."""
        low, high = self.interval
        bottom, top = exponent - allowance.below, exponent + allowance.above
        if bottom <= low and high <= top:
            return Verdict.INSIDE
        return Verdict.OUTSIDE if high < bottom or low > top else Verdict.OPEN


@dataclass(frozen=True)
class Slope:
    """How one size of one layer scales with density or width under one parametrization.

    Attributes:
        predicted: exponent by theory; None where it makes no sharp prediction, which is after the first step.
    """

    parametrization: str
    layer: str
    coordinate: Coordinate
    moment: Moment
    estimate: Estimate
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
        """See ``Allowance.strain``."""
        return JUDGED[self.coordinate, self.moment].strain(self.estimate.mean)


def sizes_table(records: Iterable[CoordinateRecord], axis: str) -> pd.DataFrame:
    """A row a measured size.

    Args:
        records: of one check.
        axis: "sparsity" or "width".

    Returns:
        Columns parametrization, seed, scale (density or width), layer, coordinate, step, size.

    Raises:
        InputError: the axis is another, or two records differ in something else.
    """
    if axis not in AXES:
        raise InputError("axis", axis, f"is not one of {', '.join(AXES)}")
    rows = []
    seen: dict[tuple[str, int, float], str] = {}
    for record in records:
        spec = record.spec
        scale = spec.sparsity.density if axis == "sparsity" else float(spec.model.width)
        place = spec.parametrization, spec.seed, scale
        if seen.setdefault(place, record.key) != record.key:
            raise InputError("axis", axis, f"has two runs of {place[0]} at {scale:g} with seed {spec.seed}")
        for layer in record.layers:
            for coordinate in ("output", *Coordinate):
                for step, size in enumerate(getattr(layer, coordinate)):
                    rows.append((*place, layer.name, str(coordinate), step, size))
    columns = ["parametrization", "seed", "scale", "layer", "coordinate", "step", "size"]
    return pd.DataFrame(rows, columns=columns)


def slopes(sizes: pd.DataFrame, axis: str, steps: int) -> list[Slope]:
    """Fitted slopes of everything that is judged, by parametrization (in the order of ``theory``), moment and layer.

    Args:
        sizes: of ``sizes_table``.
        axis: of it.
        steps: of optimization.

    Raises:
        InputError: there are fewer than two places on the axis.
    """
    scales = sorted(sizes["scale"].unique())
    if len(scales) < 2:
        raise InputError("axis", axis, "has a single value: there is no slope", "measure at two at least")
    layers = list(dict.fromkeys(sizes["layer"]))
    keyed = dict(iter(sizes.groupby(["parametrization", "coordinate", "step", "layer"], sort=False)))
    found = []
    for name in [name for name in PARAMETRIZATIONS if name in set(sizes["parametrization"])]:
        for coordinate, moment in JUDGED:
            step = 0 if moment is Moment.START else steps
            for layer in layers:
                group = keyed.get((name, str(coordinate), step, layer))
                by_seed = {} if group is None else _by_seed(group, scales)
                exponent = _predicted(name, coordinate, axis) if moment is Moment.START else None
                found.append(Slope(name, layer, coordinate, moment, Estimate(by_seed), exponent))
    return found


def _by_seed(group: pd.DataFrame, scales: Sequence[float]) -> dict[int, float]:
    """A slope for every seed that has a positive size at every scale."""
    table = group.pivot_table(index="seed", columns="scale", values="size").reindex(columns=list(scales))
    whole = table[(table > 0).all(axis=1)]
    if whole.empty:
        return {}
    fitted = np.polyfit(np.log2(scales), np.log2(whole.to_numpy(dtype=np.float64)).T, 1)[0]
    return {int(seed): float(slope) for seed, slope in zip(whole.index, fitted, strict=True)}


def _predicted(name: str, coordinate: Coordinate, axis: str) -> float:
    power = predicted(PARAMETRIZATIONS[name], coordinate)
    return power.density if axis == "sparsity" else power.width


def mean_of(estimates: Iterable[Estimate]) -> Estimate:
    """Mean of several layers' slopes, seed by seed; empty if a layer lacks a seed that another has."""
    members = [estimate.by_seed for estimate in estimates]
    if len({frozenset(member) for member in members}) != 1:
        return Estimate({})
    return Estimate({seed: float(np.mean([member[seed] for member in members])) for seed in members[0]})


def difference(minuend: Estimate, subtrahend: Estimate) -> Estimate:
    """Of two slopes, over the seeds that both have."""
    shared = minuend.by_seed.keys() & subtrahend.by_seed.keys()
    return Estimate({seed: minuend.by_seed[seed] - subtrahend.by_seed[seed] for seed in sorted(shared)})


@dataclass(frozen=True)
class Judgement:
    """What a check says about one parametrization.

    Attributes:
        worst: the steepest slope, in allowances, of those that decide the verdict; None if nothing was measured.
        expected: verdict that theory predicts on this axis.
    """

    parametrization: str
    verdict: Verdict
    worst: Slope | None
    expected: Verdict


def judge(found: Sequence[Slope], axis: str) -> list[Judgement]:
    """One verdict a parametrization: it drifts if any size does, and stays put only if every size does."""
    judgements = []
    for name in dict.fromkeys(slope.parametrization for slope in found):
        members = [slope for slope in found if slope.parametrization == name]
        verdicts = {member.verdict for member in members}
        verdict = next((v for v in (Verdict.OUTSIDE, Verdict.OPEN) if v in verdicts), Verdict.INSIDE)
        known = [member for member in members if member.verdict is verdict and not math.isnan(member.strain)]
        worst = max(known, key=lambda member: member.strain, default=None)
        still = all(_predicted(name, coordinate, axis) == 0 for coordinate in Coordinate)
        judgements.append(Judgement(name, verdict, worst, Verdict.INSIDE if still else Verdict.OUTSIDE))
    return judgements


@dataclass(frozen=True)
class Gap:
    """How much more steeply the first updates scale under one parametrization than under a control that must fail.

    Attributes:
        estimate: mean over layers, paired by seed. low_layer, high_layer: that of the least and the most of the layers.
        predicted: by theory; met sharply at any width, where a slope itself nears its exponent slowly.
    """

    parametrization: str
    control: str
    estimate: Estimate
    low_layer: float
    high_layer: float
    predicted: float


def gaps(found: Sequence[Slope], axis: str) -> list[Gap]:
    """Gaps of first updates to muP over density, and to SP over width; none if the control was not measured."""
    control = "mup" if axis == "sparsity" else "sp"
    first = [slope for slope in found if (slope.coordinate, slope.moment) == (Coordinate.UPDATE, Moment.START)]
    reference = {slope.layer: slope.estimate for slope in first if slope.parametrization == control}
    others = dict.fromkeys(slope.parametrization for slope in first if slope.parametrization != control)
    result = []
    for name in others if reference else ():
        layers = [difference(reference[s.layer], s.estimate) for s in first if s.parametrization == name]
        exponent = _predicted(control, Coordinate.UPDATE, axis) - _predicted(name, Coordinate.UPDATE, axis)
        means = [layer.mean for layer in layers]
        result.append(Gap(name, control, mean_of(layers), min(means), max(means), exponent))
    return result
