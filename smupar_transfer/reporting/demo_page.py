"""The demo's report: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.reporting.card import Card
from smupar_transfer.reporting.embedding import embedded
from smupar_transfer.reporting.number_format import duration, least, loss, percent
from smupar_transfer.reporting.outcome import Summary, smallest
from smupar_transfer.reporting.provenance import versions
from smupar_transfer.reporting.templating import render
from smupar_transfer.statistics.comparison import Comparison


def verdict(comparisons: Sequence[Comparison]) -> str:
    """What the comparison says, in one sentence, whatever it says."""
    trained = [item for item in comparisons if item.regret_to_best_percent is not None]
    transferred = [item for item in trained if not item.tuned_dense]
    if not transferred:
        return "Every zero-shot run diverged."
    best = min(transferred, key=lambda item: item.zero_shot)
    reused = [
        f" {item.title}, ends {item.regret_to_best_percent:.2f} % above it." for item in trained if item.tuned_dense
    ]
    return (
        f"With the proxy's hyperparameters and no tuning, {best.title} trains the target best, to a loss "
        f"{best.regret_to_best_percent:.2f} % above the best that any run here reached.{''.join(reused)}"
    )


QUESTION = "How good are hyperparameters of a small dense proxy on a wide sparse target?"
FIGURES = {
    "demo": "Loss of the target under each parametrization, against the base learning rate. Stars are zero-shot, with "
    "the proxy's hyperparameters as they are; lines are tuned directly.",
    "history": "The search on the dense proxy: the loss of every trial, and the best so far.",
    "slices": "Loss of the proxy against each hyperparameter.",
}


def summary(comparisons: Sequence[Comparison]) -> Summary:
    """A row a parametrization: its loss without any tuning, and what tuning the target itself would gain."""
    # in the place of what is not known: it is never the smallest
    infinite = math.inf
    numbers = {
        1: [item.zero_shot for item in comparisons],
        2: [item.tuned if item.was_tuned else infinite for item in comparisons],
        4: [infinite if item.regret_percent is None else item.regret_percent for item in comparisons],
        5: [infinite if item.regret_to_best_percent is None else item.regret_to_best_percent for item in comparisons],
    }
    exact = {4: [not item.at_edge for item in comparisons]}
    return Summary(
        columns=("", "zero-shot", "tuned directly", "at base LR", "regret", "regret to best of all"),
        rows=tuple(_row(item) for item in comparisons),
        best=frozenset().union(*(smallest(column, numbers[column], exact.get(column)) for column in numbers)),
        note="Zero-shot is the validation loss, in nats, with the proxy's hyperparameters as they are; tuned "
        "directly is the best of a few learning rates on the target itself. Tuned dense, re-used is the common "
        "practice: the learning rate is the best of a dense network of the target's width. Regret is the loss lost by "
        "not tuning; ≥ marks one that may be larger, because the best lies at the end of its line. Bold is the best of "
        "a column. There is one seed: differences of a few thousandths of a nat are noise.",
    )


def _row(item: Comparison) -> tuple[str, ...]:
    return (
        item.title,
        loss(item.zero_shot),
        loss(item.tuned) if item.was_tuned else "-",
        f"2^{item.tuned_log2_rate:.2f}" if item.was_tuned else "-",
        "-" if item.regret_percent is None else least(not item.at_edge, percent(item.regret_percent)),
        "-" if item.regret_to_best_percent is None else percent(item.regret_to_best_percent),
    )


def render_demo_page(
    comparisons: Sequence[Comparison], records: Sequence[RunRecord], proxy: RunSpec, proxy_loss: float, folder: Path
) -> str:
    """HTML of the report; the figures are those that lie in ``folder``."""
    seconds = duration(sum(record.wall_seconds for record in records))
    sentence = verdict(comparisons)
    return render(
        "demo.html.j2",
        card=Card("demo", QUESTION, sentence, "", f"{len(records)} runs of the target, {seconds}"),
        summary=summary(comparisons),
        images=[embedded(folder / name, caption) for name, caption in FIGURES.items()],
        proxy=proxy,
        proxy_loss=proxy_loss,
        target=records[0].spec,
        weights_per_neuron=records[0].weights_per_neuron or 0,
        machine=records[0].environment.machine,
        versions=versions(records),
    )
