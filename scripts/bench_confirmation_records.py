"""What does confirmation gain where points were trained on proxies and on the target, under several seeds?

A search is some of the points, judged by one seed of the proxy; its best five are judged again by the mean of the
other seeds. The regret of both picks is on the target, over all hyperparameters: the mean of its seeds above that of
the best point.
Nothing is trained; many searches are drawn from the records of a sweep such as tuning_cost.

    python scripts/bench_confirmation_records.py --records results/tuning_cost --output results/bench_confirmation
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from smupar_transfer.records import RunStore
from smupar_transfer.statistics import runs_table
from smupar_transfer.statistics.search_cost import bounded_losses

POINT = ["learning_rate", "init_std", "input_multiplier", "output_multiplier"]
CANDIDATES = 5
PAGE = """\
# What confirmation gains, on records

{sentence}

{table}

Regret is on the target (width {target}), over all hyperparameters, in nats: its mean over the seeds, above that of the
best of all {points} points. A search is so many of the points, drawn without replacement; it is judged by one seed of
the proxy, and its best five again by the mean of the {others} others, which have no part in choosing them. Means are
over {searches} searches; the worst is that of ten, a mean over groups of ten. *If one knew* is the best of the five.
`smupar tune` confirms with three seeds, not {others}.

`{command}`; nothing is trained.
"""


def losses(runs: pd.DataFrame, width: int) -> pd.DataFrame:
    """A row a point, a column a seed, of one width; those that diverged have the loss of a uniform guess."""
    own = runs[runs["width"] == width].assign(loss=bounded_losses)
    return own.pivot_table(index=POINT, columns="seed", values="loss").dropna()


def regrets(judged: np.ndarray, worth: np.ndarray, draws: int, searches: int) -> pd.DataFrame:
    """The regret on the target of what each of many searches picks.

    Args:
        judged: Losses of the proxy, (points, seeds), two seeds or more.
        worth: Losses of the target, means over seeds, (points,).
        draws: How many points a search tries, at least ``CANDIDATES``.
        searches: How many there are.

    Returns:
        A row a search, with the columns ``alone``, ``confirmed`` and ``known``.
    """
    source, (points, seeds) = np.random.default_rng(0), judged.shape
    rows = []
    for _ in range(searches):
        tried, seed = source.choice(points, draws, replace=False), int(source.integers(seeds))
        best = tried[judged[tried, seed].argsort(kind="stable")][:CANDIDATES]
        again = np.delete(judged[best], seed, axis=1).mean(axis=1)
        rows.append((worth[best[0]], worth[best[again.argmin()]], worth[best].min()))
    return pd.DataFrame(np.array(rows) - worth.min(), columns=["alone", "confirmed", "known"])


def worst_of_ten(values: pd.Series) -> float:
    """The largest of ten, a mean over groups of ten."""
    whole = len(values) // 10 * 10
    return float(values.to_numpy()[:whole].reshape(-1, 10).max(axis=1).mean())


def table(runs: pd.DataFrame, lengths: Sequence[int], searches: int) -> pd.DataFrame:
    """Mean and worst regret for every proxy and length of search."""
    *proxies, target = sorted(runs["width"].unique())
    rows = []
    for width in proxies:
        both = pd.concat([losses(runs, width), losses(runs, target)], axis=1, join="inner", keys=["proxy", "target"])
        judged, worth = both["proxy"].to_numpy(), both["target"].to_numpy().mean(axis=1)
        for draws in lengths:
            found = regrets(judged, worth, draws, searches)
            means, worst = found.mean(), found.apply(worst_of_ten)
            rows.append((width, draws, *means, *worst[["alone", "confirmed"]]))
    return pd.DataFrame(
        rows, columns=["width", "draws", "alone", "confirmed", "known", "worst_alone", "worst_confirmed"]
    )


def page(made: pd.DataFrame, runs: pd.DataFrame, searches: int, command: str) -> str:
    """Markdown of what came out."""
    lines = [
        "| proxy | draws | picked by one seed | confirmed | if one knew | worst of ten, one seed | confirmed |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for width, draws, *numbers in made.to_numpy().tolist():
        lines.append(f"| {width:g} | {draws:g} | {' | '.join(f'{number:.4f}' for number in numbers)} |")
    longest = made[made["draws"] == made["draws"].max()]
    told = [f"{row.alone:.4f} to {row.confirmed:.4f} nats at width {row.width:d}" for row in longest.itertuples()]
    target, seeds = int(runs["width"].max()), runs["seed"].nunique()
    return PAGE.format(
        sentence=f"Of searches of {made['draws'].max()} draws, the mean regret on the target goes from "
        f"{' and from '.join(told)} of the proxy.",
        table="\n".join(lines),
        target=target,
        points=len(losses(runs, target)),
        others=seeds - 1,
        searches=searches,
        command=command,
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the table; write it as a page where ``--output`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("results/tuning_cost"))
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 24, 40])
    parser.add_argument("--searches", type=int, default=4000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(words)
    runs = runs_table(list(RunStore(given.records)))
    made = table(runs, given.lengths, given.searches)
    print(made.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if given.output is not None:
        command = f"python scripts/bench_confirmation_records.py --records {given.records.as_posix()}"
        (given.output / "on_records.md").write_text(page(made, runs, given.searches, command), encoding="utf-8")


if __name__ == "__main__":
    main()
