"""Do all backends train the same network? Training losses step by step, against those of ``masked``.

Two dense libraries differ too, by rounding that training amplifies: ``masked`` is therefore run on Intel's MKL and
again on oneDNN, which is the yardstick for the others. Two trainings are compared: a smooth one, SμPar at the proxy's
optimum, and a rough one, SP at a learning rate so high that losses jump, where differences grow.

    python scripts/bench_agreement.py --width 256 --sparsity 0.9375 --output results/bench_sparse
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.cells import folder_of
from smupar_transfer.records import BudgetSpec, GPTSpec, Positions, RunSpec, SparsitySpec, write_atomically
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import Execution, Silent, load_data, machine_name, run

WAYS = ("masked", "masked on oneDNN", "csr", "native", "auto")
EARLY = 10


class Losses(Silent):
    """Remembers the training loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:  # noqa: ARG002 - of every observer
        self.values.append(loss)


@dataclass(frozen=True)
class Training:
    """How the network is parametrized and how fast it learns."""

    words: str
    remark: str
    parametrization: str
    learning_rate: float


TRAININGS = (
    Training("SμPar, learning rate 2^-6.84 (the proxy's)", "Rounding stays what it is", "smupar", 0.00875),
    Training(
        "SP, learning rate 2^-4 (far too high)",
        "Rounding grows until it is as large as the jumps of the loss; which way is further is chance then",
        "sp",
        2.0**-4,
    ),
)


@dataclass(frozen=True)
class Question:
    """A network, how it is trained and for how long, and the way."""

    training: Training
    width: int
    sparsity: float
    steps: int
    seed: int
    way: str


def specification(asked: Question) -> RunSpec:
    return RunSpec(
        model=GPTSpec(asked.width, 2, 16, 256, 128, positions=Positions.ALIBI),
        base_width=64,
        sparsity=SparsitySpec(1 - asked.sparsity),
        parametrization=asked.training.parametrization,
        hparams=BaseHyperparameters(asked.training.learning_rate, 0.117, 4.5, 1.75, 0.0),
        optimizer=OptimizerSettings(),
        data=load_data("python").spec,
        budget=BudgetSpec(asked.steps, 8, 128, warmup_steps=min(20, asked.steps), evaluations=1, evaluation_batches=1),
        seed=asked.seed,
    )


def losses(asked: Question) -> list[float]:
    backend, _, library = asked.way.partition(" on ")
    if library:
        # On a processor without AMX this computes in float32 all the same, but by oneDNN.
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    observer = Losses()
    run(specification(asked), load_data("python"), Execution(backend=backend), observer)
    return observer.values


def furthest(losses: Sequence[float], reference: Sequence[float]) -> float:
    """Largest relative difference over the steps that both trained; infinite if only one of them diverged."""
    if list(map(math.isfinite, losses)) != list(map(math.isfinite, reference)):
        return math.inf
    return max(abs(a - b) / b for a, b in zip(losses, reference, strict=True) if math.isfinite(a))


Curves = dict[tuple[str, int], list[float]]
"""Training losses by way and seed."""


def table(training: Training, curves: Curves, ways: Sequence[str]) -> str:
    """Markdown: how far each way is from the first one, early and over all steps; the largest over seeds."""
    reference, *others = ways
    seeds = sorted({seed for _, seed in curves})
    steps = len(curves[reference, seeds[0]])
    last = ", ".join(f"{curves[reference, seed][-1]:.2f}" for seed in seeds)
    lines = [
        f"{training.words}; the last step's loss is {last} nats. {training.remark}.\n",
        f"| | first {EARLY} steps | all {steps} steps | by seed |",
        "|---|---|---|---|",
    ]
    for way in others:
        pairs = [(curves[way, seed], curves[reference, seed]) for seed in seeds]
        early = max(furthest(losses[:EARLY], known[:EARLY]) for losses, known in pairs)
        whole = [furthest(losses, known) for losses, known in pairs]
        lines.append(f"| {way} | {early:.1e} | {max(whole):.1e} | {', '.join(f'{value:.1e}' for value in whole)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--sparsity", type=float, default=0.9375)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=[*WAYS])
    parser.add_argument(
        "--output", type=Path, default=None, help="that of bench_sparse.py, whose page has agreement.md"
    )
    chosen = parser.parse_args()
    asked = [
        Question(training, chosen.width, chosen.sparsity, chosen.steps, seed, way)
        for training, seed, way in itertools.product(TRAININGS, chosen.seeds, chosen.ways)
    ]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # libraries are chosen per process
        trained = list(zip(asked, pool.map(losses, asked, chunksize=1), strict=True))
    tables = [
        table(
            training, {(run.way, run.seed): values for run, values in trained if run.training == training}, chosen.ways
        )
        for training in TRAININGS
    ]
    seeds = ", ".join(map(str, chosen.seeds))
    text = (
        f"## The same network\n\nLargest relative difference of the training loss from that of `{chosen.ways[0]}`, "
        f"same seed: width {chosen.width}, sparsity {chosen.sparsity:g}, float32, seeds {seeds}.\n\n"
        + "\n\n".join(tables)
        + "\n"
    )
    print(text)
    if chosen.output is not None:
        write_atomically(folder_of(chosen.output, machine_name()) / "agreement.md", text)


if __name__ == "__main__":
    main()
