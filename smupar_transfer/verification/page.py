"""The page about a sweep, ``results/NAME/README.md``: outcome first, then tables, then how it was made."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from smupar_transfer.records import Manifest, RunRecord, trained_runs
from smupar_transfer.verification.drawn import families, title_of
from smupar_transfer.verification.fit import WINDOW
from smupar_transfer.verification.regret import Regret
from smupar_transfer.verification.stability import CellSummary, FamilySummary
from smupar_transfer.verification.templating import render


def outcome_sentence(drifts: Sequence[FamilySummary], summaries: Sequence[CellSummary]) -> str:
    """What came out, in one sentence with numbers."""
    if not drifts:
        return "There is no parametrization with two sparsities yet."
    sparsities = [summary.cell.sparsity for summary in summaries]
    parts = [
        f"{drift.family.label} {'' if drift.exact else 'at least '}{drift.drift.value:.2f} octaves "
        f"{_bounds(drift)}(regret up to {percent(drift.largest_regret)})"
        for drift in drifts
    ]
    return (
        f"From sparsity {min(sparsities):g} to {max(sparsities):g} the optimal learning rate moved: "
        + "; ".join(parts)
        + "."
    )


def _bounds(drift: FamilySummary) -> str:
    bounds = drift.drift
    return f"[{bounds.low:.2f}, {bounds.high:.2f}] " if math.isfinite(bounds.low) else ""


def percent(value: float) -> str:
    """A percentage, that the run was lost, or a dash where there is no number."""
    if math.isnan(value):
        return "-"
    return f"{value:.2f} %" if math.isfinite(value) else "diverged"


def fixed(value: float, digits: int) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def span(low: float, high: float) -> str:
    """An interval, or a dash where there is none."""
    return f"{low:.2f} to {high:.2f}" if math.isfinite(low) and math.isfinite(high) else "-"


def with_error(regret: Regret) -> str:
    """Nats with their standard error, which one seed does not have."""
    error = f" ± {regret.standard_error:.4f}" if math.isfinite(regret.standard_error) else ""
    return fixed(regret.nats, 4) + error


def _cell_rows(summaries: Sequence[CellSummary]) -> list[dict[str, Any]]:
    return [
        {
            "title": title_of(summary.cell.parametrization),
            "width": summary.cell.width,
            "sparsity": f"{summary.cell.sparsity:g}",
            "optimum": fixed(summary.optimum.log2_value, 2),
            "interval": span(summary.optimum.low, summary.optimum.high),
            "status": str(summary.optimum.status),
            "loss": fixed(summary.optimum.loss, 4),
            "nats": with_error(summary.regret),
            "percent": percent(summary.regret.percent),
            "zero_shot": "-" if summary.zero_shot is None else percent(summary.zero_shot.percent),
            "to_best": "-" if summary.zero_shot_to_best is None else percent(summary.zero_shot_to_best.percent),
        }
        for family in families(summaries)
        for summary in family
    ]


def _drift_row(drift: FamilySummary) -> dict[str, Any]:
    return {
        "title": drift.family.label,
        "width": drift.family.cells[0].width,
        "octaves": drift.drift.value,
        "exact": drift.exact,
        "slope": drift.slope.value,
        "interval": span(drift.drift.low, drift.drift.high),
        "regret": percent(drift.largest_regret),
        "zero_shot": percent(drift.largest_zero_shot_regret),
    }


def render_sweep_page(
    manifest: Manifest,
    records: Sequence[RunRecord],
    summaries: Sequence[CellSummary],
    drifts: Sequence[FamilySummary],
) -> str:
    """Markdown of a sweep's page; ``records`` are its finished runs, at least one."""
    first = records[0]
    trained = trained_runs(records)
    base = asdict(first.spec.hparams)
    swept = {name for name in base if len({getattr(record.spec.hparams, name) for record in records}) > 1}
    smallest = min((wpn for record in records if (wpn := record.weights_per_neuron) is not None), default=math.nan)
    return render(
        "sweep.md.j2",
        manifest=manifest,
        outcome=outcome_sentence(drifts, summaries),
        drifts=[_drift_row(drift) for drift in drifts],
        cells=_cell_rows(summaries),
        window=f"{100 * WINDOW:g}",
        runs=len(records),
        planned=len(manifest.keys),
        diverged=sum(record.diverged for record in records),
        hours=f"{sum(record.wall_seconds for record in trained) / 3600:.2f}",
        trained=len(trained),
        median_seconds=f"{statistics.median(record.wall_seconds for record in trained):.1f}",
        tokens=f"{first.spec.budget.tokens:,}",
        seeds=", ".join(map(str, sorted({record.spec.seed for record in records}))),
        hparams=", ".join(f"{name} {'swept' if name in swept else f'{value:g}'}" for name, value in base.items()),
        data=first.spec.data,
        machines=", ".join(
            sorted({f"{r.environment.machine}, {r.environment.threads} thread(s) a run" for r in records})
        ),
        versions=", ".join(f"{name} {version}" for name, version in first.environment.versions.items()),
        proxy_rate=manifest.proxy_log2_learning_rate,
        weights_per_neuron=fixed(smallest, 0),
    )
