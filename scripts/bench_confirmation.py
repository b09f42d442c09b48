"""What does it cost to trust a single training? Regret of the point that a search picks, with and without confirmation.

Ten searches of the same dense proxy, which differ in their seed alone: in the points that they try, the initial weights
and the batches. Each candidate of each search is trained on a wide sparse target, with seeds of its own; regret is its
mean loss there above that of the best candidate of all searches. So it is over all hyperparameters, and the noise of a
search is its own.

    python scripts/bench_confirmation.py --output results/bench_confirmation
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from smupar_transfer.launchers import run_jobs
from smupar_transfer.records import BudgetSpec, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import DataRequest, Execution, TokenData, load, run
from smupar_transfer.training.machine import machine_name
from smupar_transfer.tuning import (
    Range,
    Search,
    SearchSpace,
    StudySettings,
    best,
    candidates,
    close_study,
    file_storage,
    outcomes,
    repeats,
    run_repeats,
    run_search,
)

DATA = DataRequest("python")
SPACE = SearchSpace(  # as in sweeps/tuning/base.yaml
    {
        "learning_rate": Range(0.001, 0.125),
        "init_std": Range(0.02, 0.5),
        "input_multiplier": Range(0.5, 16.0),
        "output_multiplier": Range(0.5, 16.0),
    }
)
DEFAULTS = BaseHyperparameters(2**-6, 0.08)


@dataclass(frozen=True)
class Plan:
    """How large the experiment is.

    Attributes:
        searches: How many there are.
        trials: Of each.
        steps: Of each training, on 512 tokens each.
        width: The proxy's; the target has four times as much, and three of four hidden weights are zero.
        target_seeds: With how many seeds a candidate is trained on the target.
    """

    searches: int
    trials: int
    steps: int
    width: int
    target_seeds: int

    def run(self, seed: int, scale: int = 1) -> RunSpec:
        """The proxy, or the target at four times its width."""
        data = load(DATA)
        assert isinstance(data, TokenData)
        shape = GPTSpec(width=self.width * scale, depth=1, head_dim=8, vocab_size=data.vocab_size, context=32)
        return RunSpec(
            model=shape,
            base_width=self.width,
            sparsity=SparsitySpec(1.0 if scale == 1 else 0.25),
            parametrization="smupar",
            hparams=DEFAULTS,
            optimizer=OptimizerSettings(),
            data=data.spec,
            budget=BudgetSpec(self.steps, batch_size=16, sequence_length=32, evaluations=3, evaluation_batches=8),
            seed=seed,
        )


def target_loss(plan: Plan, hparams: BaseHyperparameters) -> float:
    """Mean validation loss of the target over its seeds, nats; infinite if it diverged."""
    specs = [replace(plan.run(1000 + seed, scale=4), hparams=hparams) for seed in range(plan.target_seeds)]
    losses = [run(spec, load(DATA), Execution()).validation_loss for spec in specs]
    return float(np.mean([np.inf if loss is None else loss for loss in losses]))


def search_once(plan: Plan, folder: Path, seed: int) -> list[dict[str, object]]:
    """A row a candidate of one search: what the proxy said of it, and what the target says."""
    settings = StudySettings("search", file_storage(folder / f"{seed}.db"), plan.trials, seed=seed)
    search = Search(settings, plan.run(seed), SPACE, DATA, Execution())
    list(run_search(search, workers=1))
    trials = outcomes(search)
    list(run_repeats(search, trials, workers=1))
    again = repeats(search)
    picked = {"alone": best(search, trials).trial, "confirmed": best(search, trials, again).trial}
    close_study(search)
    losses = {trial.number: [it.loss for it in again if it.trial == trial.number] for trial in trials}
    return [
        {
            "search": seed,
            "trial": trial.number,
            **trial.hparams,
            "proxy_loss": trial.value,
            "proxy_mean": float(np.mean([np.inf if loss is None else loss for loss in losses[trial.number]])),
            "target_loss": target_loss(plan, replace(DEFAULTS, **trial.hparams)),
            **{way: trial.number == number for way, number in picked.items()},
        }
        for trial in candidates(search, trials)
    ]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Regret of what is picked, mean and worst over the searches, in nats and percent of the best."""
    least = float(rows["target_loss"].min())
    first = rows.loc[rows.groupby("search")["target_loss"].idxmin()]
    ways = {"alone": rows[rows["alone"]], "confirmed": rows[rows["confirmed"]], "best of the five, if one knew": first}
    made = []
    for way, chosen in ways.items():
        regrets = chosen["target_loss"] - least
        nats = {"mean": regrets.mean(), "worst": regrets.max()}
        made.append({"picked": way, **nats, **{f"{name}_percent": 100 * it / least for name, it in nats.items()}})
    return pd.DataFrame(made)


def page(rows: pd.DataFrame, table: pd.DataFrame, plan: Plan, command: str) -> str:
    """Markdown of what came out."""
    alone, confirmed = (table.loc[table["picked"] == way].iloc[0] for way in ("alone", "confirmed"))
    changed = int((rows.loc[rows["confirmed"]].groupby("search")["alone"].sum() == 0).sum())
    lines = [
        "# What confirmation gains",
        "",
        f"Of {plan.searches} searches, {changed} pick another point once the best five are trained again with three "
        f"more seeds; the regret on the target, over all hyperparameters, goes from {alone['mean']:.4f} to "
        f"{confirmed['mean']:.4f} nats in the mean and from {alone['worst']:.4f} to {confirmed['worst']:.4f} in the "
        "worst search.",
        "",
        "| picked | mean regret | worst | mean, % | worst, % |",
        "|---|---|---|---|---|",
        *(
            f"| {row.picked} | {row.mean:.4f} | {row.worst:.4f} | {row.mean_percent:.2f} | {row.worst_percent:.2f} |"
            for row in table.itertuples()
        ),
        "",
        f"Proxy: one block, width {plan.width}, dense, {plan.steps} steps of 512 tokens, {plan.trials} trials each. "
        f"Target: width {4 * plan.width}, three of four hidden weights zero, {plan.target_seeds} seeds a candidate. "
        "Regret is against the best candidate of all searches; that candidate's own loss is a minimum, and so a little "
        "too low, which is the same for every row.",
        "",
        f"`{command}` on {machine_name('cpu')}, which was busy with other work. All candidates: candidates.csv.",
        "",
    ]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Run the searches; print the table, and write it where ``--output`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--target-seeds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--studies", type=Path, help="folder in which the studies are kept, and gone on with")
    parser.add_argument("--output", type=Path)
    arguments = vars(parser.parse_args(words))
    output: Path | None = arguments.pop("output")
    studies: Path | None = arguments.pop("studies")
    workers: int = arguments.pop("workers")
    plan = Plan(**arguments)
    with tempfile.TemporaryDirectory() as folder:
        once = partial(search_once, plan, studies or Path(folder))
        rows = pd.DataFrame([row for found in run_jobs(once, range(plan.searches), workers) for row in found])
    rows = rows.sort_values(["search", "trial"], ignore_index=True)
    table = summary(rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        rows.to_csv(output / "candidates.csv", index=False, float_format="%.6g")
        command = f"python scripts/bench_confirmation.py --target-seeds {plan.target_seeds}"
        told = page(rows, table, plan, command)
        (output / "README.md").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
