"""Does the optimum stay put? Cells, drifts and regrets of a sweep as tables, figures and a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.verification.cells import cells, runs_table
from smupar_transfer.verification.drawn import families, loss_panels, optimum_tracks, title_of
from smupar_transfer.verification.figures.stability import draw_loss_curves, draw_optimum_tracks
from smupar_transfer.verification.optimum import LOSS_WINDOW
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.stability import (
    CellSummary,
    Drift,
    drift_table,
    drifts,
    summarise,
    summary_table,
)
from smupar_transfer.verification.wording import bracketed, fixed, loss, percent, signed, span, with_error

LARGEST_DRIFT = 0.35
"""Octaves; what the SuPar paper's own figure shows by this fit."""


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    summaries = summarise(cells(runs_table(records)), manifest.proxy_log2_learning_rate)
    found = drifts(summaries)
    return Outcome(
        sentence=sentence(found, summaries),
        verdict=verdict(found),
        notes=(),
        tables=(_drift_table(found, manifest.proxy_log2_learning_rate), _cell_table(summaries)),
        pictures=(
            Picture(
                manifest.name,
                "Loss against learning rate. Stars: optima; open stars: smallest points of the grid.",
                draw_loss_curves(*loss_panels(summaries)),
            ),
            Picture(
                "optimum",
                "Optimal learning rate against density, with 95 % intervals; open markers are bounds.",
                draw_optimum_tracks(optimum_tracks(summaries)),
            ),
        ),
    )


def sentence(found: Sequence[Drift], summaries: Sequence[CellSummary]) -> str:
    """What came out, in one sentence with numbers."""
    if not found:
        return "There is no parametrization with two sparsities yet."
    sparsities = [summary.cell.sparsity for summary in summaries]
    parts = [
        f"{title_of(drift.parametrization)} {'' if drift.exact else 'at least '}{drift.octaves:.2f} octaves"
        f"{bracketed(drift.low, drift.high)} (regret up to {percent(drift.largest_regret)})"
        for drift in found
    ]
    reach = f"From sparsity {min(sparsities):g} to {max(sparsities):g}"
    return f"{reach} the optimal learning rate moved: " + "; ".join(parts) + "."


def verdict(found: Sequence[Drift]) -> str:
    """Whether the optimum stays put where the theory says that it does."""
    held = [drift for drift in found if drift.parametrization == "smupar"]
    if any((drift.low if math.isfinite(drift.low) else drift.octaves) > LARGEST_DRIFT for drift in held):
        return "not as expected"
    if held and all(drift.exact and drift.octaves <= LARGEST_DRIFT for drift in held):
        return "as expected"
    return "open"


def _drift_table(found: Sequence[Drift], proxy_rate: float | None) -> Table:
    rate = "" if proxy_rate is None else f" (2^{proxy_rate:.2f}; the grid's nearest stands for it)"
    return Table(
        name="drift",
        title="Drift of the optimum over sparsity",
        note="Largest less smallest optimal log2 learning rate, with 95 % bootstrap interval over seeds. Regret: loss at "
        "the densest cell's best learning rate, less the best of the cell's own grid. Zero-shot regret: the same at the "
        f"learning rate that was tuned on the proxy{rate}. Both are the largest over the cells.",
        frame=drift_table(found),
        columns=("", "width", "drift (octaves)", "95 % interval", "slope", "regret", "zero-shot regret"),
        rows=tuple(
            (
                title_of(drift.parametrization),
                f"{drift.width}",
                f"{'' if drift.exact else '≥ '}{drift.octaves:.2f}",
                span(drift.low, drift.high),
                signed(drift.slope, 2),
                percent(drift.largest_regret),
                percent(drift.largest_zero_shot_regret),
            )
            for drift in found
        ),
    )


def _cell_table(summaries: Sequence[CellSummary]) -> Table:
    return Table(
        name="summary",
        title="Optimum of every cell",
        note=f"Fit: vertex of a parabola through the points within {LOSS_WINDOW} nats of the smallest mean. Edge: smallest "
        "point of the grid, at its end; the optimum may lie beyond. The last column is zero-shot regret against the best "
        "that any parametrization reached at that width and sparsity.",
        frame=summary_table(summaries),
        columns=(
            *("", "width", "sparsity", "log2 η*", "95 % interval", "found by", "best loss (nats)", "zero-shot regret"),
            *("regret", "regret (nats)", "zero-shot, to best of all"),
        ),
        rows=tuple(
            (
                title_of(summary.cell.parametrization),
                f"{summary.cell.width}",
                f"{summary.cell.sparsity:g}",
                fixed(summary.optimum.log2_learning_rate, 2),
                span(summary.optimum.low, summary.optimum.high),
                str(summary.optimum.status),
                loss(summary.optimum.loss),
                "-" if summary.zero_shot is None else percent(summary.zero_shot.percent),
                percent(summary.regret.percent),
                with_error(summary.regret.nats, summary.regret.standard_error),
                "-" if summary.zero_shot_to_best is None else percent(summary.zero_shot_to_best.percent),
            )
            for family in families(summaries)
            for summary in family
        ),
    )
