"""``smupar plot NAME``: redraw a sweep from its stored records, without torch."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import show
from smupar_transfer.app.coordinates_page import publish_coordinates
from smupar_transfer.app.sweeps import sweep_name
from smupar_transfer.records import RunStore, read_manifest, write_atomically
from smupar_transfer.theory import InputError
from smupar_transfer.verification import (
    CellSummary,
    cells,
    drift_table,
    loss_panels,
    optimum_tracks,
    outcome_sentence,
    render_sweep_page,
    runs_table,
    summarise,
    summarise_families,
    summary_table,
)
from smupar_transfer.verification.drawn import families, title_of
from smupar_transfer.verification.figures.stability import draw_loss_curves, draw_optimum_tracks
from smupar_transfer.verification.figures.style import save
from smupar_transfer.verification.page import percent


def run(config: DictConfig) -> None:
    """Draw and tabulate ``results/NAME`` again."""
    folder = Path(config.results_dir) / sweep_name(config.sweep)
    if read_manifest(folder).kind == "coordinates":
        publish_coordinates(folder)
        return
    publish(folder)


def publish(folder: Path) -> None:
    """Write tables, figures and the page of a sweep from what is stored of it, and print the outcome.

    Raises:
        InputError: the folder holds no sweep, or no finished run of it.
    """
    manifest = read_manifest(folder)
    wanted = set(manifest.keys)
    records = [record for record in RunStore(folder) if record.key in wanted]
    if not records:
        raise InputError("sweep", manifest.name, "has no finished run", f"run: smupar sweep {manifest.name}")
    summaries = summarise(cells(runs_table(records)), proxy_log2_value=manifest.proxy_log2_learning_rate)
    found = summarise_families(summaries)
    write_atomically(folder / "summary.csv", summary_table(summaries).to_csv(index=False, float_format="%.6g"))
    write_atomically(folder / "drift.csv", drift_table(found).to_csv(index=False, float_format="%.6g"))
    save(draw_loss_curves(*loss_panels(summaries)), folder / manifest.name)
    save(draw_optimum_tracks(optimum_tracks(summaries)), folder / "optimum")
    write_atomically(folder / "README.md", render_sweep_page(manifest, records, summaries, found))
    _print(summaries)
    show.console().print(f"\n{outcome_sentence(found, summaries)}\n\nwrote {folder}")


def _print(summaries: list[CellSummary]) -> None:
    rows = [
        [
            title_of(summary.cell.parametrization),
            f"{summary.cell.width}",
            f"{summary.cell.sparsity:g}",
            f"{summary.optimum.log2_value:.2f}",
            f"{summary.optimum.low:.2f} to {summary.optimum.high:.2f}",
            str(summary.optimum.status),
            show.loss(summary.optimum.loss),
            percent(summary.regret.percent),
            "-" if summary.zero_shot is None else percent(summary.zero_shot.percent),
        ]
        for family in families(summaries)
        for summary in family
    ]
    columns = ["", "width", "sparsity", "log2 eta*", "95 % interval", "found by", "best loss", "regret", "zero-shot"]
    title = "optimal learning rate; regret of the densest cell's best rate, and (zero-shot) of the proxy's rate"
    show.console().print(show.table(title, columns, rows))
