"""From summaries to what figures draw: plain tuples, computed and tested apart from any drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from smupar_transfer.records import Design, Evaluation, RunRecord
from smupar_transfer.reporting.figures.curves import Training, TrainingPanel
from smupar_transfer.reporting.figures.stability import Curve, LossPanel
from smupar_transfer.reporting.figures.tracks import Ticks, Track
from smupar_transfer.reporting.vocabulary import AXIS_WORDS, position_label
from smupar_transfer.statistics import CellSummary, Family, Status
from smupar_transfer.theory import PARAMETRIZATIONS

HEADROOM = 0.8  # nats above the best loss that loss curves show
MARGIN_BELOW = 0.06  # nats below it
ROUNDING = 1e-9  # octaves by which equal values may differ
FEWEST_STEPS = 3  # of a learning curve: two make a straight line
TrackPoint = tuple[float, float, float, bool, tuple[bool, bool]]
"""Value, ends of its interval, whether it is more than a bound, and on which sides the interval has no end."""


def by_family(summaries: Sequence[CellSummary]) -> list[list[CellSummary]]:
    """Summaries of every family, in their order."""
    # by identity, since labels need not be different
    families: dict[int, list[CellSummary]] = {}
    for summary in summaries:
        families.setdefault(id(summary.family), []).append(summary)
    return list(families.values())


def long_families(summaries: Sequence[CellSummary]) -> list[list[CellSummary]]:
    """Those of two cells or more, for figures along an axis; all if there is none: a proxy is a family of one."""
    families = by_family(summaries)
    return [members for members in families if len(members) > 1] or families


def loss_panels(summaries: Sequence[CellSummary], design: Design) -> list[LossPanel]:
    """A panel of loss curves per family."""
    return [
        LossPanel(
            members[0].family.label,
            tuple(_curve(member, design) for member in members),
            None if members[0].zero_shot is None else _known(members[0].zero_shot.log2_value),
        )
        for members in long_families(summaries)
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def loss_range(panels: Sequence[LossPanel]) -> tuple[float, float]:
    """Bottom and top of the loss axis: from just below the best loss up, no further than ``HEADROOM`` above it."""
    losses = [loss for panel in panels for curve in panel.curves for loss in curve.losses]
    best, worst = min(losses, default=0.0), max(losses, default=HEADROOM)
    return best - MARGIN_BELOW, min(best + HEADROOM, worst + MARGIN_BELOW)


def _curve(summary: CellSummary, design: Design) -> Curve:
    cell, optimum = summary.cell, summary.optimum
    means = cell.mean_losses
    finite = np.isfinite(means)
    marked = None if optimum.status is Status.NOTHING else (optimum.log2_value, _height(summary))
    return Curve(
        label=position_label(cell, design),
        log2_values=tuple(cell.log2_values[finite]),
        losses=tuple(means[finite]),
        errors=tuple(_standard_errors(cell.losses[:, finite])),
        partial=tuple(bool(np.isnan(column).any()) for column in cell.losses[:, finite].T),
        optimum=marked,
        at_edge=optimum.status is not Status.FIT,
    )


def _height(summary: CellSummary) -> float:
    """Loss at which the optimum is marked: on the fitted curve, else at the smallest point."""
    fitted = summary.optimum.fitted_loss
    return fitted if math.isfinite(fitted) else summary.optimum.loss


def _standard_errors(losses: np.ndarray) -> list[float]:
    """Of the mean of every column, over the seeds that ran; 0 with one."""
    errors = []
    for column in losses.T:
        # of the seeds that ran; the mean beside it levels seeds that are missing, this does not
        own = column[np.isfinite(column)]
        errors.append(float(own.std(ddof=1) / math.sqrt(len(own))) if len(own) > 1 else 0.0)
    return errors


def ticks_of(summaries: Sequence[CellSummary], design: Design) -> Ticks:
    """The axis of scale of a sweep; dense is on the left."""
    # along sparsity a position is the density: a sparsity of 0 has no logarithm
    positions = {
        math.log2(member.cell.position(design.axis)): position_label(member.cell, design)
        for members in long_families(summaries)
        for member in members
    }
    ordered = sorted(positions)
    label = ", ".join([AXIS_WORDS[design.axis], *(AXIS_WORDS.get(name, name) for name in design.tied)])
    return Ticks(tuple(ordered), tuple(positions[position] for position in ordered), label, design.axis == "sparsity")


def optimum_tracks(summaries: Sequence[CellSummary]) -> list[Track]:
    """The optimum over scale, a track per family; cells in which nothing trained are left out."""

    def point(member: CellSummary) -> TrackPoint:
        optimum = member.optimum
        first, last = float(member.cell.log2_values[0]), float(member.cell.log2_values[-1])
        low, high = max(optimum.low, first), min(optimum.high, last)  # one without end: as far as was looked
        endless = optimum.low == -math.inf, optimum.high == math.inf
        return optimum.log2_value, low, high, optimum.status is Status.FIT, endless

    return _tracks(summaries, point)


def regret_tracks(summaries: Sequence[CellSummary]) -> list[Track]:
    """Zero-shot regret in percent over scale, with a standard error each way."""

    def point(member: CellSummary) -> TrackPoint:
        if member.zero_shot is None:
            return math.nan, math.nan, math.nan, True, (False, False)
        value, error = member.zero_shot.percent, 100 * member.zero_shot.standard_error / member.optimum.loss
        return value, value - error, value + error, not member.at_edge, (False, False)

    return _tracks(summaries, point)


def _tracks(summaries: Sequence[CellSummary], point: Callable[[CellSummary], TrackPoint]) -> list[Track]:
    tracks: list[Track] = []
    for members in long_families(summaries):
        family = members[0].family
        points = [(_position(family, member), *point(member)) for member in members]
        finite = [entry for entry in points if math.isfinite(entry[1])]
        if not finite:
            continue
        positions, values, low, high, exact, endless = zip(*finite, strict=True)
        tracks.append(
            Track(
                name=family.parametrization,
                title=PARAMETRIZATIONS[family.parametrization].title,
                variant=family.variant,
                positions=positions,
                values=values,
                low=low,
                high=high,
                exact=exact,
                endless=endless,
                # infinite where runs diverged; NaN, where nothing is known, is not drawn at all
                lost=tuple(entry[0] for entry in points if math.isinf(entry[1])),
            )
        )
    return tracks


def _position(family: Family, member: CellSummary) -> float:
    return math.log2(member.cell.position(family.axis))


def learning_curves(
    summaries: Sequence[CellSummary], records: Sequence[RunRecord], runs: pd.DataFrame, design: Design
) -> list[TrainingPanel]:
    """Validation loss over steps at the best point of every cell's grid; none below ``FEWEST_STEPS`` validations.

    Mean over the seeds that entered the optimum, at the steps that all of them have.

    Args:
        summaries: The optima.
        records: The runs that they are of.
        runs: The table of these; see ``statistics.runs_table``.
        design: What the sweep looks for.
    """
    keys = _keys_at_best(summaries, runs, design)
    histories = {record.key: record.history for record in records}
    panels = []
    for members in long_families(summaries):
        curves = [
            _training(position_label(member.cell, design), [histories[key] for key in keys[id(member)]])
            for member in members
            if keys[id(member)]
        ]
        panels.append(TrainingPanel(members[0].family.label, tuple(curve for curve in curves if curve.steps)))
    longest = max((len(curve.steps) for panel in panels for curve in panel.curves), default=0)
    return [panel for panel in panels if panel.curves] if longest >= FEWEST_STEPS else []


def _keys_at_best(summaries: Sequence[CellSummary], runs: pd.DataFrame, design: Design) -> dict[int, list[str]]:
    """Of every summary (by its id), the runs at the best point of its grid."""
    keys = {}
    for summary in summaries:
        values = np.log2(runs[design.swept[0]].to_numpy(dtype=np.float64))
        # by closeness: what was swept has been through powers and logarithms of two
        chosen = (runs["parametrization"] == summary.cell.parametrization) & (
            np.abs(values - summary.optimum.grid_log2_value) < ROUNDING
        )
        for name, value in summary.cell.settings.items():
            chosen &= runs[name] == value
        chosen &= runs["seed"].isin(summary.optimum.seeds)
        keys[id(summary)] = list(runs.loc[chosen, "key"])
    return keys


def _training(label: str, histories: Sequence[tuple[Evaluation, ...]]) -> Training:
    losses = [
        {entry.step: entry.validation_loss for entry in history if entry.validation_loss is not None}
        for history in histories
    ]
    # a mean over other seeds at the next step would jump without anything having happened
    steps = sorted(set.intersection(*map(set, losses)))
    return Training(label, tuple(steps), tuple(float(np.mean([by_step[step] for by_step in losses])) for step in steps))
