"""Tables of a stability sweep: a row a family, a row a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from smupar_transfer.verification.asked import HYPERPARAMETER_WORDS, place_label
from smupar_transfer.verification.cells import Family, shared_words
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.drift import Slope
from smupar_transfer.verification.family import FamilySummary, drift_table
from smupar_transfer.verification.outcome import Table
from smupar_transfer.verification.regret import Regret
from smupar_transfer.verification.stability import CellSummary, summary_table
from smupar_transfer.verification.wording import bracketed, fixed, least, loss, percent, signed, span, with_error


def family_table(found: Sequence[FamilySummary], design: Design) -> Table:
    """``drift.csv``: does the optimum stay put, family by family?"""
    name, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    return Table(
        name="drift",
        title=f"Drift of the optimal {name} over {design.axis}",
        note=f"Drift: largest less smallest log2 {symbol}*, with 95 % interval (noise alone makes a range, so it can "
        "reach 0); ≥: an optimum lies at the edge of its grid. By parabola: of plain parabolas, as other work fits "
        f"them. Slope: per octave of {'density' if design.axis == 'sparsity' else design.axis}. Zero-shot regret: loss "
        "at what the proxy says less the best, largest over cells (≥: a best lies at the edge, or a cell was not run "
        "that far). Sensitivity: mean loss over the grid, capped at that of a guess, less the best, nats. κ: growth of "
        "relative curvature per octave of scale; above 0, an error costs ever more."
        + _shared(one.family for one in found),
        frame=drift_table(found),
        columns=(
            "",
            "drift (octaves)",
            "95 % interval",
            "by parabola",
            "slope",
            "zero-shot regret",
            "sensitivity",
            "κ",
        ),
        rows=tuple(
            (
                one.family.label,
                least(not one.at_least, f"{one.drift.value:.2f}"),
                span(one.drift.low, one.drift.high),
                fixed(one.parabola_octaves, 2),
                _slope(one.slope),
                least(not one.regret_at_least, percent(one.largest_zero_shot_regret)),
                fixed(one.sensitivity, 3),
                _slope(one.kappa),
            )
            for one in found
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
        note="Fit: minimum of a cubic through the bottom of the mean loss curve. Edge: smallest point, at the end of "
        "the grid or of what trained; its interval ends at runs that are clearly worse. Flat: noise allows any "
        f"{name} up to an end. Regrets are of the proxy's optimum (of its best trial where a sweep has no cell of the "
        "proxy), with standard errors over paired seeds, which a single seed there does not give; "
        '"to best of all" is against the best of all parametrizations.' + _shared(one.family for one in summaries),
        frame=summary_table(summaries),
        columns=(
            *("", design.axis, f"log2 {symbol}*", "95 % interval", "found by", "best loss"),
            *("zero-shot regret (nats)", "%", "% to best of all", "seeds"),
        ),
        rows=tuple(
            (
                one.family.label,
                place_label(one.cell, design),
                fixed(one.optimum.log2_value, 2),
                span(one.optimum.low, one.optimum.high),
                str(one.optimum.status),
                loss(one.optimum.loss),
                _nats(one.zero_shot, one.at_edge),
                _percent(one.zero_shot, one.at_edge),
                _percent(one.zero_shot_to_best),
                str(len(one.optimum.seeds)),
            )
            for one in summaries
        ),
    )


def _nats(regret: Regret | None, at_least: bool) -> str:
    if regret is None:
        return "-"
    return least(not (at_least and math.isfinite(regret.nats)), with_error(regret.nats, regret.standard_error))


def _percent(regret: Regret | None, at_least: bool = False) -> str:
    if regret is None:
        return "-"
    return least(not (at_least and math.isfinite(regret.percent)), percent(regret.percent))
