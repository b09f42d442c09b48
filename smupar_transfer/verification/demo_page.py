"""The demo's report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.verification.comparison import Comparison
from smupar_transfer.verification.page import embedded
from smupar_transfer.verification.provenance import versions
from smupar_transfer.verification.templating import render
from smupar_transfer.verification.wording import duration, least, loss, percent


def verdict(comparisons: Sequence[Comparison]) -> str:
    """What the comparison says, in one sentence, whatever it says."""
    trained = [item for item in comparisons if item.regret_to_best_percent is not None]
    if not trained:
        return "Every zero-shot run diverged."
    best = min(trained, key=lambda item: item.zero_shot)
    losses = ", ".join(f"{item.title} {item.zero_shot:.3f}" for item in trained)
    return (
        f"With the proxy's hyperparameters and no tuning, {best.title} trained the target best ({losses} nats), "
        f"{best.regret_to_best_percent:.2f} % above the best that any run here reached."
    )


COLUMNS = ("parametrization", "zero-shot (nats)", "tuned directly (nats)", "regret", "regret to best of all")
FIGURES = {
    "demo": "The target under each parametrization: stars are zero-shot, lines are tuned directly. Regret: at least so "
    "much (≥) where the best is at the end of its line.",
    "history": "The search on the dense proxy.",
    "slices": "Loss of the proxy against each hyperparameter.",
}


def _row(item: Comparison) -> tuple[str, ...]:
    return (
        item.title,
        loss(item.zero_shot),
        loss(item.tuned) if item.was_tuned else "-",
        "-" if item.regret_percent is None else least(not item.at_edge, percent(item.regret_percent)),
        "diverged" if item.regret_to_best_percent is None else percent(item.regret_to_best_percent),
    )


def render_demo_page(
    comparisons: Sequence[Comparison], records: Sequence[RunRecord], proxy: RunSpec, proxy_loss: float, folder: Path
) -> str:
    """HTML of the report; the figures are those that lie in ``folder``."""
    return render(
        "demo.html.j2",
        verdict=verdict(comparisons),
        columns=COLUMNS,
        rows=[_row(item) for item in comparisons],
        images=[embedded(folder / name, caption) for name, caption in FIGURES.items()],
        proxy=proxy,
        proxy_loss=proxy_loss,
        target=records[0].spec,
        weights_per_neuron=records[0].weights_per_neuron or 0,
        machine=records[0].environment.machine,
        versions=versions(records),
        seconds=duration(sum(record.wall_seconds for record in records)),
        count=len(records),
    )
