"""The demo's report: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.verification.comparison import Comparison
from smupar_transfer.verification.templating import render


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


def render_demo_page(
    comparisons: Sequence[Comparison], records: Sequence[RunRecord], proxy: RunSpec, proxy_loss: float, folder: Path
) -> str:
    """HTML of the report; the figures are those that lie in ``folder``."""
    figures = [
        (title, base64.b64encode((folder / f"{name}.svg").read_bytes()).decode())
        for name, title in (
            ("demo", "The target under each parametrization: stars are zero-shot, lines are tuned directly."),
            ("history", "The search on the dense proxy."),
            ("slices", "Loss of the proxy against each hyperparameter."),
        )
    ]
    return render(
        "demo.html.j2",
        verdict=verdict(comparisons),
        comparisons=comparisons,
        figures=figures,
        proxy=proxy,
        proxy_loss=proxy_loss,
        target=records[0].spec,
        record=records[0],
        seconds=sum(record.wall_seconds for record in records),
        count=len(records),
    )
