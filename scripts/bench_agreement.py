"""Do all backends train the same network? Training losses step by step, against those of ``masked``.

Two dense libraries differ too, by rounding that training amplifies: ``masked`` is therefore run on Intel's MKL and
again on oneDNN, which is the yardstick for the others.

    python scripts/bench_agreement.py --width 256 --sparsity 0.9375 --output results/bench_sparse
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from smupar_transfer.records import BudgetSpec, GPTSpec, Positions, RunSpec, SparsitySpec, write_atomically
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import Execution, Silent, load_data, run

WAYS = ("masked", "masked on oneDNN", "csr", "native", "auto")
EARLY = 10


class Losses(Silent):
    """Remembers the training loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:  # noqa: ARG002 - of every observer
        self.values.append(loss)


@dataclass(frozen=True)
class Question:
    """A network, how long it is trained, and the way."""

    width: int
    sparsity: float
    steps: int
    way: str


def specification(asked: Question) -> RunSpec:
    return RunSpec(
        model=GPTSpec(asked.width, 2, 16, 256, 128, positions=Positions.ALIBI),
        base_width=64,
        sparsity=SparsitySpec(1 - asked.sparsity),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.00875, 0.117, 4.5, 1.75, 0.0),
        optimizer=OptimizerSettings(),
        data=load_data("python").spec,
        budget=BudgetSpec(asked.steps, 8, 128, warmup_steps=min(20, asked.steps), evaluations=1, evaluation_batches=1),
    )


def losses(asked: Question) -> list[float]:
    backend, _, library = asked.way.partition(" on ")
    if library:
        # On a processor without AMX this computes in float32 all the same, but by oneDNN.
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    observer = Losses()
    run(specification(asked), load_data("python"), Execution(backend=backend), observer)
    return observer.values


def furthest(found: Sequence[float], reference: Sequence[float]) -> float:
    """Largest relative difference."""
    return max(abs(a - b) / b for a, b in zip(found, reference, strict=True))


def table(curves: dict[str, list[float]]) -> str:
    """Markdown: how far each way is from the first one, early and over all steps."""
    reference, *others = curves
    lines = [f"| | first {EARLY} steps | all {len(curves[reference])} steps |", "|---|---|---|"]
    for way in others:
        early = furthest(curves[way][:EARLY], curves[reference][:EARLY])
        lines.append(f"| {way} | {early:.1e} | {furthest(curves[way], curves[reference]):.1e} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--sparsity", type=float, default=0.9375)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ways", nargs="+", default=[*WAYS])
    parser.add_argument("--output", type=Path, default=None, help="folder for agreement.md")
    chosen = parser.parse_args()
    questions = [Question(chosen.width, chosen.sparsity, chosen.steps, way) for way in chosen.ways]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # libraries are chosen per process
        curves = dict(zip(chosen.ways, pool.map(losses, questions, chunksize=1), strict=True))
    text = (
        f"## The same network\n\nLargest relative difference of the training loss from that of `{chosen.ways[0]}`, "
        f"same seed: width {chosen.width}, sparsity {chosen.sparsity:g}, float32.\n\n{table(curves)}\n"
    )
    print(text)
    if chosen.output is not None:
        write_atomically(chosen.output / "agreement.md", text)


if __name__ == "__main__":
    main()
