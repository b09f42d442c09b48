"""What do the ways of tuning that people have give a wide sparse target, each with searches of its own?

SP tuned on a dense network of the target's width and re-used as sparsity grows (the common practice that the SuPar
paper, arXiv 2405.15743, starts from), SP tuned on a small dense proxy, SuPar tuned on the same proxy, and SuPar tuned
on the sparsest target itself, once, which says how good it can become. Every search is the default one of
`smupar tune`, confirmation included, over four hyperparameters; that of the dense network is told as far as the proxy's
budget goes, too.

    python scripts/bench_practices.py --folder results/bench_practices --workers 2

goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from bench.practices import CUT, DENSE, PRACTICES, SMUPAR_PROXY, Practice
from bench.practices_page import PAGE, draw, markdown, sentence, table
from bench_confirmation import DATA, SPACE
from smupar_transfer.model import network_cost, outline, plan_of
from smupar_transfer.records import BudgetSpec, GPTSpec, RunRecord, RunSpec, SearchedOn, SparsitySpec, chance_loss
from smupar_transfer.reporting.figures.style import save
from smupar_transfer.sweeps.run_missing import RunContext, train_missing
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import Execution, TokenData, load
from smupar_transfer.training.machine import machine_name
from smupar_transfer.tuning import (
    Search,
    StudySettings,
    TrialOutcome,
    best,
    close_study,
    file_storage,
    outcomes,
    repeats,
    run_repeats,
    run_search,
)

DEFAULTS = BaseHyperparameters(2**-6, 0.1, input_multiplier=4.0, output_multiplier=2.0)
SEEDS_APART = 10
"""Between searches: their confirmations have the seeds after their own."""
TARGET_SEED = 1000


@dataclass(frozen=True)
class Plan:
    """How large the experiment is.

    Attributes:
        folder: Where studies and records are kept.
        searches: Of each practice.
        trials: Of each search.
        steps: Of each training.
        width: The proxy's.
        growth: How many times as wide the target is.
        sparsities: Of the target's hidden weights.
        target_seeds: With how many seeds a winner is trained on the target.
        workers: The number of processes.
    """

    folder: Path
    searches: int
    trials: int
    steps: int
    width: int
    growth: int
    sparsities: tuple[float, ...]
    target_seeds: int
    workers: int

    @cached_property
    def data(self) -> TokenData:
        """The text."""
        data = load(DATA)
        assert isinstance(data, TokenData)
        return data

    def run(self, practice: Practice, sparsity: float, seed: int, *, is_narrow: bool) -> RunSpec:
        """A training; what a practice tunes where it says is dense or narrow is the base of its widths."""
        width = self.width if is_narrow else self.width * self.growth
        dense_of_target = not practice.is_narrow and not practice.is_sparse
        return RunSpec(
            model=GPTSpec(width=width, depth=2, head_dim=16, vocab_size=self.data.vocab_size, context=128),
            base_width=self.width * self.growth if dense_of_target else self.width,
            sparsity=SparsitySpec(1 - sparsity),
            parametrization=practice.parametrization,
            hparams=DEFAULTS,
            optimizer=OptimizerSettings(),
            data=self.data.spec,
            budget=BudgetSpec(
                self.steps,
                batch_size=8,
                sequence_length=128,
                warmup_steps=self.steps // 10,
                evaluations=8,
                evaluation_batches=32,
            ),
            seed=seed,
        )

    def target(self, practice: Practice, sparsity: float, seed: int) -> RunSpec:
        """The wide sparse network."""
        return self.run(practice, sparsity, seed, is_narrow=False)


@dataclass(frozen=True)
class Winner:
    """What a search chose.

    Attributes:
        practice: Whose.
        search: Which of its searches.
        sparsity: Of the target that it is for; None where it is for all of them.
        hparams: The point.
        operations: Floating-point operations that the search took, of weights that exist.
    """

    practice: Practice
    search: int
    sparsity: float | None
    hparams: BaseHyperparameters
    operations: float


def winners(plan: Plan) -> list[Winner]:
    """The winner of every search, those that are missing carried out."""
    chosen = []
    for number in range(plan.searches):
        budget = 0.0
        for practice in PRACTICES:
            if practice.is_sparse and number > 0:
                continue  # one is enough to say how good the target can become
            winner, cut = searched(plan, practice, number, budget)
            chosen.append(winner)
            if practice is SMUPAR_PROXY:
                budget = winner.operations
            if practice is DENSE:
                chosen.append(cut)
    return chosen


def searched(plan: Plan, practice: Practice, number: int, budget: float) -> tuple[Winner, Winner]:
    """The winner of one search, and that of its first trials for at most ``budget`` operations."""
    sparsity = max(plan.sparsities) if practice.is_sparse else None
    spec = plan.run(practice, sparsity or 0.0, SEEDS_APART * number, is_narrow=practice.is_narrow)
    name = f"{practice.name}_{number}"
    storage = file_storage(plan.folder / "studies" / f"{name}.db")
    settings = StudySettings(name, storage, plan.trials, seed=spec.seed)
    on = SearchedOn.TARGET if practice.is_sparse else SearchedOn.PROXY
    search = Search(settings, spec, SPACE, DATA, Execution(), on=on)
    for done in run_search(search, plan.workers):
        print(name, done.number, done.outcome, done.value, flush=True)
    trials = sorted(outcomes(search), key=lambda trial: trial.number)
    list(run_repeats(search, trials, plan.workers))
    again = repeats(search)
    picked = best(search, trials, again)
    close_study(search)
    whole = operations(spec)
    spent = [whole * part(trial, plan.steps) for trial in trials]
    winner = Winner(practice, number, sparsity, picked.hparams, sum(spent) + whole * len(again))
    afforded = [trial for trial, total in zip(trials, np.cumsum(spent), strict=True) if total <= budget] or trials[:1]
    first = min(afforded, key=lambda trial: np.inf if trial.value is None else trial.value)
    hparams = replace(DEFAULTS, **first.hparams)
    return winner, Winner(CUT, number, None, hparams, sum(spent[: len(afforded)]))


def part(trial: TrialOutcome, steps: int) -> float:
    """How much of a training a trial took before it was given up, if it was."""
    return 1.0 if trial.value is not None or trial.last is None else trial.last[0] / steps


def operations(spec: RunSpec) -> float:
    """Floating-point operations of a training, of weights that exist."""
    cost = network_cost(plan_of(outline(spec), spec), spec)
    return cost.flops_sparse * spec.budget.steps * spec.budget.tokens_per_step


def target_runs(plan: Plan, winner: Winner) -> list[RunSpec]:
    """The targets that a winner is for."""
    sparsities = plan.sparsities if winner.sparsity is None else (winner.sparsity,)
    return [
        replace(plan.target(winner.practice, sparsity, TARGET_SEED + seed), hparams=winner.hparams)
        for sparsity in sparsities
        for seed in range(plan.target_seeds)
    ]


def losses(plan: Plan, chosen: Sequence[Winner]) -> pd.DataFrame:
    """A row a winner and target: its mean loss over seeds, and its search's cost in trainings of that target."""
    runs = {run.key: run for winner in chosen for run in target_runs(plan, winner)}
    context = RunContext(DATA, Execution(), plan.folder, plan.workers)
    records = {record.key: record for record in train_missing("targets", list(runs.values()), context)}
    rows = []
    for winner in chosen:
        own = [records[run.key] for run in target_runs(plan, winner)]
        for density, trained in groupby(own, key=lambda record: record.spec.sparsity.density):
            group = list(trained)
            rows.append(
                {
                    "practice": winner.practice.name,
                    "search": winner.search,
                    "sparsity": 1 - density,
                    "cost": winner.operations / operations(group[0].spec),
                    "loss": float(np.mean([loss_of(record) for record in group])),
                    "log2_rate": group[0].spec.log2_learning_rate,
                }
            )
    made = pd.DataFrame(rows)
    least = made.groupby("sparsity")["loss"].transform("min")
    return made.assign(regret_percent=100 * (made["loss"] - least) / least)


def loss_of(record: RunRecord) -> float:
    """Its loss; that of a uniform guess where it diverged or ended above it."""
    chance = chance_loss(record.spec.model)
    return chance if record.validation_loss is None else min(chance, record.validation_loss)


def write(plan: Plan, rows: pd.DataFrame) -> None:
    """The page, its figure, and the losses of all searches."""
    shown = [practice for practice in (*PRACTICES, CUT) if practice.name in set(rows["practice"])]
    titles = {practice.name: practice.title for practice in shown}
    page = PAGE.format(
        sentence=sentence(rows),
        table=markdown(table(rows, titles)),
        seeds=plan.target_seeds,
        searches=plan.searches,
        trials=plan.trials,
        steps=plan.steps,
        width=plan.width,
        wide=plan.width * plan.growth,
        command="python scripts/bench_practices.py",
        machine=machine_name(),
    )
    (plan.folder / "README.md").write_text(page, encoding="utf-8")
    rows.to_csv(plan.folder / "practices.csv", index=False, float_format="%.6g")
    save(draw(rows, titles, {practice.name: practice.colour for practice in shown}), plan.folder / "practices")


def main(words: Sequence[str] | None = None) -> None:
    """Carry out what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results/bench_practices"))
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--growth", type=int, default=4)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.0, 0.75, 0.9375])
    parser.add_argument("--target-seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    given = vars(parser.parse_args(words))
    plan = Plan(**{**given, "sparsities": tuple(given["sparsities"])})
    (plan.folder / "studies").mkdir(parents=True, exist_ok=True)
    rows = losses(plan, winners(plan))
    write(plan, rows)
    print(rows.to_string(index=False))


if __name__ == "__main__":
    main()
