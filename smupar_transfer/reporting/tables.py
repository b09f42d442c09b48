"""Tables of a stability sweep: a row a family, a row a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from smupar_transfer.records import Design
from smupar_transfer.reporting.number_format import bracketed, fixed, least, loss, percent, signed, span, with_error
from smupar_transfer.reporting.outcome import Table
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS, position_label
from smupar_transfer.statistics import CellSummary, Family, FamilySummary, Regret, drift_table, summary_table
from smupar_transfer.statistics.cell import shared_words
from smupar_transfer.statistics.drift import Slope


def family_table(summaries: Sequence[FamilySummary], design: Design) -> Table:
    """``drift.csv``: does the optimum stay put, family by family?"""
    name, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    return Table(
        name="drift",
        title=f"Drift of the optimal {name} over {design.axis}",
        note=f"Drift is the largest less the smallest log2 {symbol}* of a family, with its 95 % interval; noise alone "
        "makes a range, so that the interval can reach 0. ≥ means that an optimum lies at the edge of its grid. By "
        "parabola is the same drift from plain parabolas, as other work fits them. Slope is the change of "
        f"log2 {symbol}* per octave of {'density' if design.axis == 'sparsity' else design.axis}. Regret is the loss "
        f"lost by using the proxy's {name} as it is, the largest over cells; ≥ means that a best loss lies at the edge "
        "of its grid, or that a cell was not run as far as the proxy's optimum. Sensitivity is the mean loss over the "
        "grid, counted as that of a guess where it is worse, less the best, in nats. κ is the growth of relative "
        "curvature per octave of scale: above 0, an error of a given size costs ever more."
        + _shared(summary.family for summary in summaries),
        frame=drift_table(summaries),
        columns=(
            "",
            "drift (octaves)",
            "95 % interval",
            "by parabola",
            "slope",
            "largest regret",
            "sensitivity",
            "κ",
        ),
        rows=tuple(
            (
                summary.family.label,
                least(not summary.at_least, f"{summary.drift.value:.2f}"),
                span(summary.drift.low, summary.drift.high),
                fixed(summary.parabola_octaves, 2),
                _slope(summary.slope),
                least(not summary.regret_at_least, percent(summary.largest_zero_shot_regret)),
                fixed(summary.sensitivity, 3),
                _slope(summary.kappa),
            )
            for summary in summaries
        ),
    )


def _shared(families: Iterable[Family]) -> str:
    words = shared_words(families)
    return f" Where nothing else is said: {words}." if words else ""


def _slope(slope: Slope) -> str:
    return signed(slope.value, 2) + bracketed(slope.low, slope.high)


def cell_table(summaries: Sequence[CellSummary], design: Design) -> Table:
    """``summary.csv``: the optimum of every cell, and what not tuning it costs."""
    name, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    return Table(
        name="summary",
        title="Optimum of every cell",
        note="An optimum is found by a fit, the minimum of a cubic through the bottom of the mean loss curve, or "
        "lies at the edge: then it is the smallest point, at the end of the grid or of what trained, and its "
        f"interval ends at runs that are clearly worse. Flat means that noise allows any {name} up to an end. Regret "
        f"is the loss lost by using the proxy's optimal {name} as it is (that of the search's best trial where a "
        "sweep has no cell of the proxy), with standard errors over paired seeds, which a single seed does not give; "
        "to the best of all means against the best of all parametrizations."
        + _shared(summary.family for summary in summaries),
        frame=summary_table(summaries),
        columns=(
            *("", design.axis, f"log2 {symbol}*", "95 % interval", "found by", "best loss"),
            *("regret (nats)", "regret", "regret to best of all", "seeds"),
        ),
        rows=tuple(
            (
                summary.family.label,
                position_label(summary.cell, design),
                fixed(summary.optimum.log2_value, 2),
                span(summary.optimum.low, summary.optimum.high),
                str(summary.optimum.status),
                loss(summary.optimum.loss),
                _nats(summary.zero_shot, summary.at_edge),
                _percent(summary.zero_shot, summary.at_edge),
                _percent(summary.zero_shot_to_best),
                str(len(summary.optimum.seeds)),
            )
            for summary in summaries
        ),
    )


def _nats(regret: Regret | None, at_least: bool) -> str:
    if regret is None:
        return "-"
    # a run that diverged is no bound of anything
    return least(not (at_least and math.isfinite(regret.nats)), with_error(regret.nats, regret.standard_error))


def _percent(regret: Regret | None, at_least: bool = False) -> str:
    if regret is None:
        return "-"
    return least(not (at_least and math.isfinite(regret.percent)), percent(regret.percent))
