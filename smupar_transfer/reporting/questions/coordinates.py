"""The outcome of a coordinate check: does what a parametrization computes keep its size across density or width?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from smupar_transfer.reporting.coordinate_figure_data import scale_rows, shown, step_rows
from smupar_transfer.reporting.coordinate_sentences import SCALE_NAMES, interval, notes, title
from smupar_transfer.reporting.figures.coordinates import draw_panels
from smupar_transfer.reporting.findings import CheckFindings
from smupar_transfer.reporting.number_format import joined
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.statistics.coordinate_slopes import (
    EXACT,
    JUDGED,
    PARTIAL,
    Gap,
    LayerSlope,
    Moment,
    Verdict,
    gaps,
    mean_of,
)
from smupar_transfer.statistics.coordinate_verdicts import Judgement
from smupar_transfer.statistics.drift_verdicts import DOES_NOT_HOLD, HOLDS, OPEN
from smupar_transfer.theory import PARAMETRIZATIONS, Coordinate

SPOKEN = {
    Verdict.INSIDE: "stay put under ",
    Verdict.OUTSIDE: "drift under ",
    Verdict.OPEN: "may or may not drift under ",
}


@question("coordinates")
def outcome(findings: CheckFindings) -> Outcome:
    """Sentence and tables of a check.

    Raises:
        InputError: see ``slopes.sizes_table`` and ``slopes.slopes``.
    """
    axis, added = findings.manifest.axis, findings.manifest.added_seeds
    slopes, judgements, scale = findings.slopes, findings.judgements, SCALE_NAMES[axis]
    return Outcome(
        sentence=sentence(judgements, axis),
        summary=summary(judgements, axis),
        claim=f"over {scale}, sizes stay or drift under every parametrization as its exponents predict",
        verdict=_overall(judgements),
        notes=notes(judgements, slopes, findings.records, axis, added),
        tables=(verdict_table(judgements), slope_table(slopes), gap_table(gaps(slopes, axis))),
    )


@register_figure("coordinates")
def sizes_over_scale(findings: CheckFindings) -> Picture:
    """All sizes against density or width."""
    axis, scale = findings.manifest.axis, SCALE_NAMES[findings.manifest.axis]
    position = f"log2 {scale}" + (" of hidden weights (dense on the left)" if axis == "sparsity" else "")
    rows = scale_rows(findings.sizes, findings.slopes)
    return Picture(
        findings.manifest.name,
        f"Sizes against {scale}: geometric means over layers and seeds, with a line for each number of steps "
        "that were taken. Updates are those of the step that follows, so that there are none after the last.",
        draw_panels(rows, position, "step", flipped=axis == "sparsity"),
    )


@register_figure("coordinates")
def outputs_over_steps(findings: CheckFindings) -> Picture:
    """Layer outputs over the first steps, whose fan shows at a glance whether scale matters."""
    scale = SCALE_NAMES[findings.manifest.axis]
    return Picture(
        "steps",
        f"The size of layer outputs over the first steps, with a line for each {scale}.",
        draw_panels(step_rows(findings.sizes, findings.manifest.axis), "optimizer step", scale),
    )


def sentence(judgements: Sequence[Judgement], axis: str) -> str:
    """The verdict in plain words."""
    told = [
        words + joined([title(item) for item in those])
        for verdict, words in SPOKEN.items()
        if (those := [item for item in judgements if item.verdict is verdict])
    ]
    agrees = {
        HOLDS: "as theory predicts",
        DOES_NOT_HOLD: "which is not what theory predicts",
        OPEN: "so that the prediction of theory is not settled",
    }[_overall(judgements)]
    return f"Across {SCALE_NAMES[axis]} the sizes of activations, gradients and updates {joined(told)}, {agrees}."


def summary(judgements: Sequence[Judgement], axis: str) -> Summary:
    """A row a parametrization, with the size that decides its verdict."""
    scale = SCALE_NAMES[axis]
    return Summary(
        columns=("", f"largest slope (power of {scale})", "of", "in layer", "measured at", "theory expects", "verdict"),
        rows=tuple((title(item), *_worst(item)) for item in judgements),
        # 6 is the column of the verdict
        best=frozenset((row, 6) for row, item in enumerate(judgements) if _is_settled(item) and _is_as_expected(item)),
        note="A slope of 0 means that a size does not change. Named is the size that comes closest to its allowance, "
        "or lies farthest beyond it, with the 95 % interval of its slope. A parametrization drifts if the interval "
        f"of a slope lies beyond the allowance around 0, which is {EXACT} at initialisation and {PARTIAL} for "
        "updates and after them, because updates are only partly aligned with their inputs (docs/coordinates.md). "
        "Bold is as theory expects.",
    )


def _worst(item: Judgement) -> tuple[str, ...]:
    worst, judged = item.worst, (str(item.expected), str(item.verdict))
    if worst is None:
        return "-", "-", "-", "-", *judged
    slope = f"{shown(worst.estimate.mean)} {interval(worst.estimate)}"
    return slope, str(worst.coordinate), worst.layer, str(worst.moment), *judged


def _overall(judgements: Sequence[Judgement]) -> str:
    # an open verdict refutes nothing; a settled one that is wrong does, whatever else is open
    known = [item for item in judgements if _is_settled(item)]
    if not all(map(_is_as_expected, known)):
        return DOES_NOT_HOLD
    return HOLDS if judgements and len(known) == len(judgements) else OPEN


def _is_settled(item: Judgement) -> bool:
    """Whether there is a verdict, and one that theory predicts, to hold against each other."""
    return Verdict.OPEN not in (item.verdict, item.expected)


def _is_as_expected(item: Judgement) -> bool:
    return item.verdict is item.expected


def verdict_table(judgements: Sequence[Judgement]) -> Table:
    """A row a parametrization, for the file; people see ``summary``."""
    frame = pd.DataFrame(
        [
            {
                "parametrization": item.parametrization,
                "verdict": str(item.verdict),
                "expected": str(item.expected),
                "worst_layer": item.worst and item.worst.layer,
                "worst_coordinate": item.worst and str(item.worst.coordinate),
                "worst_moment": item.worst and str(item.worst.moment),
                "worst_slope": item.worst.estimate.mean if item.worst else math.nan,
            }
            for item in judgements
        ]
    )
    return Table("summary", "", "", frame, (), ())


def slope_table(slopes: Sequence[LayerSlope]) -> Table:
    """In the file a row a layer; for people a row a size, over all layers."""
    frame = pd.DataFrame(
        [
            {
                "parametrization": slope.parametrization,
                "coordinate": str(slope.coordinate),
                "moment": str(slope.moment),
                "layer": slope.layer,
                "slope": slope.estimate.mean,
                "low": slope.estimate.interval[0],
                "high": slope.estimate.interval[1],
                "seeds": len(slope.estimate.by_seed),
                "allowed_below": JUDGED[slope.coordinate, slope.moment].below,
                "allowed_above": JUDGED[slope.coordinate, slope.moment].above,
                "verdict": str(slope.verdict),
                "predicted": math.nan if slope.predicted is None else slope.predicted,
                "agreement": slope.agreement and str(slope.agreement),
            }
            for slope in slopes
        ]
    )
    groups: dict[tuple[str, Coordinate, Moment], list[LayerSlope]] = {}
    for slope in slopes:
        groups.setdefault((slope.parametrization, slope.coordinate, slope.moment), []).append(slope)
    return Table(
        "slopes",
        "Slopes",
        "A slope is the exponent with which a size grows in scale: its mean over layers with the 95 % interval over "
        "seeds, and the least and the most of the layers. Theory predicts it sharply at the start only. The "
        "allowance is how far from 0 the slope of a layer may lie, and the last column says how many layers keep to "
        "it.",
        frame,
        ("", "size", "moment", "slope", "95 %", "layers from", "to", "theory", "allowance", "stay put"),
        tuple(_slope_row(members) for members in groups.values()),
    )


def _slope_row(members: Sequence[LayerSlope]) -> tuple[str, ...]:
    first, mean = members[0], mean_of(member.estimate for member in members)
    of_layers = [member.estimate.mean for member in members]
    still = sum(member.verdict is Verdict.INSIDE for member in members)
    return (
        PARAMETRIZATIONS[first.parametrization].title,
        str(first.coordinate),
        str(first.moment),
        _number(mean.mean),
        interval(mean),
        _number(min(of_layers)),
        _number(max(of_layers)),
        "-" if first.predicted is None else f"{first.predicted:+g}",
        str(JUDGED[first.coordinate, first.moment]),
        f"{still} of {len(members)}",
    )


def gap_table(gaps: Sequence[Gap]) -> Table:
    """A row a parametrization that has a control beside it."""
    frame = pd.DataFrame(
        [
            {
                "parametrization": gap.parametrization,
                "control": gap.control,
                "gap": gap.estimate.mean,
                "low": gap.estimate.interval[0],
                "high": gap.estimate.interval[1],
                "low_layer": gap.low_layer,
                "high_layer": gap.high_layer,
                "predicted": math.nan if gap.predicted is None else gap.predicted,
            }
            for gap in gaps
        ],
        # named, since a check may have no control
        columns=["parametrization", "control", "gap", "low", "high", "low_layer", "high_layer", "predicted"],
    )
    rows = tuple(
        (
            PARAMETRIZATIONS[gap.parametrization].title,
            PARAMETRIZATIONS[gap.control].title,
            _number(gap.estimate.mean),
            interval(gap.estimate),
            _number(gap.low_layer),
            _number(gap.high_layer),
            "-" if gap.predicted is None else f"{gap.predicted:+g}",
        )
        for gap in gaps
    )
    return Table(
        "gaps",
        "First update against a control",
        "The gap is how much more steeply the first updates of the control scale, paired by seed. The slope of updates "
        "nears its exponent slowly as width grows; the gap meets its own sharply, because both see the same "
        "activations.",
        frame,
        ("", "control", "gap", "95 %", "layers from", "to", "theory"),
        rows,
    )


def _number(value: float) -> str:
    return shown(value) if math.isfinite(value) else "-"
