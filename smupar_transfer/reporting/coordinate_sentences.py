"""What a coordinate check says, in words: verdicts with the numbers behind them, notes, and what would decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.reporting.coordinate_figure_data import shown
from smupar_transfer.reporting.number_format import joined
from smupar_transfer.statistics.coordinate_slopes import (
    JUDGED,
    LayerSlope,
    SlopeEstimate,
    Verdict,
    scale_of,
    slope_by_seed,
)
from smupar_transfer.statistics.coordinate_verdicts import Judgement, Reason
from smupar_transfer.theory import PARAMETRIZATIONS

SCALE_NAMES = {"sparsity": "density", "width": "width"}


def title(judgement: Judgement) -> str:
    """What people call the parametrization."""
    return PARAMETRIZATIONS[judgement.parametrization].title


def described(judgement: Judgement, axis: str) -> str:
    """A verdict with what it rests on: "drifts: activation ∝ density^0.50 [0.49, 0.51] in blocks.0.mlp.up (start)"."""
    if judgement.verdict is Verdict.OPEN:
        return f"{judgement.verdict}: {', and '.join(_why_open(judgement, axis))}"
    # judge puts the steepest, in allowances, first
    worst = judgement.deciding[0]
    if judgement.verdict is Verdict.OUTSIDE:
        return f"{judgement.verdict}: {power(worst, axis)}"
    under = "" if judgement.clipping is None else f", as trained: {judgement.clipping}"
    return f"{judgement.verdict}: at most {power(worst, axis)}{under}"


def _why_open(judgement: Judgement, axis: str) -> list[str]:
    drifting = [slope for slope in judgement.deciding if slope.verdict is Verdict.OUTSIDE]
    unsure = [slope for slope in judgement.deciding if slope.verdict is Verdict.OPEN]
    reasons = []
    for reason in judgement.reasons:
        if reason is Reason.CLIPPED:
            reasons.append(f"{power(drifting[0], axis)}, but {judgement.clipping}")
        elif reason is Reason.DIVERGED:
            reasons.append(f"{judgement.diverged} of {judgement.runs} runs diverged")
        elif reason is Reason.UNMEASURED:
            size = judgement.unmeasured[0]
            others = _others(len(judgement.unmeasured))
            reasons.append(f"{size.coordinate} in {size.layer} ({size.moment}) could not be measured{others}")
        elif math.isfinite(unsure[0].estimate.interval[0]):
            allowance = JUDGED[unsure[0].coordinate, unsure[0].moment]
            crosses = f"lies across the border of {allowance}"
            reasons.append(f"{power(unsure[0], axis)} {crosses}{_others(len(unsure))}")
        else:
            reasons.append(f"{power(unsure[0], axis)} has one seed, hence no interval{_others(len(unsure))}")
    return reasons


def _others(count: int) -> str:
    return "" if count == 1 else f", as {count - 1} more"


def power(slope: LayerSlope, axis: str) -> str:
    """A slope as a power law: "activation ∝ density^0.50 [0.49, 0.51] in blocks.0.mlp.up (start)"."""
    exponent = f"{SCALE_NAMES[axis]}^{shown(slope.estimate.mean, '')}"
    spread = f" {interval(slope.estimate)}" if math.isfinite(slope.estimate.interval[0]) else ""
    return f"{slope.coordinate} ∝ {exponent}{spread} in {slope.layer} ({slope.moment})"


def interval(estimate: SlopeEstimate) -> str:
    """The interval of a slope; a dash where there is none."""
    low, high = estimate.interval
    return f"[{shown(low, '')}, {shown(high, '')}]" if math.isfinite(low) else "-"


def ways_out(judgement: Judgement, most_seeds: int) -> list[str]:
    """What would decide an open verdict.

    Args:
        judgement: A judgement whose verdict is open.
        most_seeds: How many seeds a parametrization may have.
    """
    if judgement.seeds_would_decide:
        one_seed = all(len(slope.estimate.by_seed) < 2 for slope in judgement.deciding)
        return ["two seeds or more" if one_seed else f"more seeds than max_seeds={most_seeds}"]
    ways = {
        Reason.UNMEASURED: "scales at which every size is positive in some seed",
        Reason.DIVERGED: "a smaller hparams.learning_rate",
        Reason.CLIPPED: "optimizer.gradient_clip=0, which measures the parametrization alone",
    }
    return [ways[reason] for reason in judgement.reasons if reason in ways]


def notes(
    judgements: Sequence[Judgement],
    slopes: Sequence[LayerSlope],
    records: Sequence[CoordinateRecord],
    axis: str,
    added: Mapping[str, Sequence[int]],
) -> tuple[str, ...]:
    """What a reader must know beside the verdicts, which rest on ``slopes``."""
    said = [f"{title(item)} is {described(item, axis)}." for item in judgements if item.verdict is Verdict.OPEN]
    lost = sum(record.diverged for record in records)
    if lost:
        said.append(f"{lost} of {len(records)} runs diverged; their seeds are left out where a size is missing.")
    if any(math.isnan(slope.estimate.interval[0]) for slope in slopes):
        said.append("Some slopes have fewer than two seeds, hence no interval: what rests on them is open.")
    for name, seeds in added.items():
        said.append(
            f"{PARAMETRIZATIONS[name].title} was open with the seeds of the file: "
            f"{joined([str(seed) for seed in seeds])} were added. Its intervals are wider than those of one look at as "
            "many seeds: they hold for two looks at once."
        )
    # also where the verdict is settled: without the clip, sizes may scale in another way
    said += [_clip_note(item, records, axis) for item in judgements if item.clipping is not None]
    said += [
        f"{PARAMETRIZATIONS[slope.parametrization].title} is not as theory predicts: the {slope.coordinate} in "
        f"{slope.layer} at the {slope.moment} has a slope of {shown(slope.estimate.mean)} {interval(slope.estimate)}, "
        f"where theory predicts {slope.predicted:+g} and {JUDGED[slope.coordinate, slope.moment]} is allowed around it."
        for slope in slopes
        if slope.agreement is Verdict.OUTSIDE
    ]
    return tuple(said)


def _clip_note(judgement: Judgement, records: Sequence[CoordinateRecord], axis: str) -> str:
    """What the gradient clip did, and to which sizes."""
    factor = _first_factor([r for r in records if r.spec.parametrization == judgement.parametrization], axis)
    size = f", ∝ {SCALE_NAMES[axis]}^{shown(factor.mean, '')} {interval(factor)} at the first" if factor.by_seed else ""
    clipping = judgement.clipping
    first = "First updates are given without that factor; all" if clipping and clipping.taken_out else "All updates and"
    return (
        f"{title(judgement)}: {clipping}. It multiplies gradients with the clip over the norm of all of them"
        f"{size}. {first} later sizes include it: optimizer.gradient_clip=0 measures the parametrization alone."
    )


def _first_factor(records: Sequence[CoordinateRecord], axis: str) -> SlopeEstimate:
    """How the factor of the first clip scales."""
    # the first of each run alone: later gradients are those of weights that updates have changed already
    rows = [(r.spec.seed, scale_of(r.spec, axis), r.clip_factors[0]) for r in records if r.clip_factors]
    table = pd.DataFrame(rows, columns=["seed", "scale", "size"])
    return SlopeEstimate(slope_by_seed(table, sorted(table["scale"].unique())))
