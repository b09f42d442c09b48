"""What the comparison of practices says: a sentence, a table, a figure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from smupar_transfer.reporting.figures.style import MARKERS, cost_axis, grid_of_panels, head, style

TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50)
"""Of regrets, in percent."""
PAGE = """\
# What ways of tuning give a wide sparse target

{sentence}

![Loss of the target above the best of all, against what the search cost](practices.svg)

*The loss of the target above the best that any of the searches reached at that sparsity, against the cost of the
search, in trainings of that target. A point is a search, its loss a mean over {seeds} seeds of the target.*

{table}

Costs count operations of the weights that exist, in trainings of that target; losses are validation losses in nats,
means over {searches} searches (the target itself was searched once) and {seeds} seeds of the target each. Regret is
against the best mean of all searches of all ways at that sparsity, so it is over all hyperparameters; that best is a
little lucky, which is the same for every row.

Searches: {trials} trials over learning rate, initial standard deviation, and the multipliers of input and output,
pruned by the median, and the best five trained again with three more seeds. Where a search is cut off, it is that of
its first trials for as much as the search on the proxy took, without confirmation, for which nothing was left.
Networks: GPTs of two blocks, {steps} steps of 1,024 bytes of Python source code, AdamW without weight decay, random
static masks; the proxy has width {width}, the target {wide}.

`{command}` on {machine}. All searches: [practices.csv](practices.csv).
"""


def table(rows: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Means over searches, and the worst of them.

    Args:
        rows: A row a search and target: ``practice``, ``search``, ``sparsity``, ``cost``, ``loss``, ``regret_percent``.
        titles: What people call the practices, in the order of the table.
    """
    grouped = rows.groupby(["sparsity", "practice"])
    means = grouped[["cost", "loss", "regret_percent"]].mean()
    means["worst_regret_percent"] = grouped["regret_percent"].max()
    order = list(titles)
    means = means.reset_index().sort_values(
        ["sparsity", "practice"], key=lambda column: column.map(order.index) if column.name == "practice" else column
    )
    return means.assign(practice=means["practice"].map(dict(titles))).reset_index(drop=True)


def markdown(means: pd.DataFrame) -> str:
    """That table as Markdown."""
    lines = [
        "| sparsity | tuned | cost of the search | loss (nats) | mean regret | worst regret |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.sparsity:g} | {row.practice} | {row.cost:.1f} | {row.loss:.4f} | {row.regret_percent:.2f} % | "
        f"{row.worst_regret_percent:.2f} % |"
        for row in means.itertuples()
    ]
    return "\n".join(lines)


def sentence(rows: pd.DataFrame) -> str:
    """What a search on the proxy, and the common practice, cost and give at the largest sparsity."""
    means = rows[rows["sparsity"] == rows["sparsity"].max()].groupby("practice")[["cost", "regret_percent"]].mean()
    told = {
        "smupar_proxy": "SμPar, tuned on the proxy",
        "sp_dense": "SP, tuned on a dense network of the target's width",
        "sp_dense_cut": "that cut off at the proxy's budget",
        "sp_proxy": "SP, tuned on the proxy",
    }
    parts = [
        f"{title}: {means.loc[name, 'regret_percent']:.1f} % for {means.loc[name, 'cost']:.0f} trainings' worth"
        for name, title in told.items()
    ]
    return (
        f"At sparsity {rows['sparsity'].max():g}, how far the target's loss lies above the best of all searches, and "
        f"what the search cost, in trainings of the target: {'; '.join(parts)}."
    )


def draw(rows: pd.DataFrame, titles: Mapping[str, str], colours: Mapping[str, str]) -> Figure:
    """Regret against the cost of the search: a panel a sparsity."""
    sparsities = sorted(rows["sparsity"].unique())
    with style():
        figure, panels = grid_of_panels(len(sparsities), 3.6, 3.6, share=True, beside=3.4)
        for axes, sparsity in zip(panels, sparsities, strict=True):
            head(axes, f"sparsity {sparsity:g}")
            for marker, (name, title) in zip(MARKERS, titles.items(), strict=False):
                own = rows[(rows["sparsity"] == sparsity) & (rows["practice"] == name)]
                axes.plot(own["cost"], own["regret_percent"], marker, color=colours[name], label=title, alpha=0.8)
            cost_axis(axes)
            axes.set_xlabel("cost of the search\n(trainings of the target)")
            # linear up to a percent, so that 0 can be shown
            axes.set_yscale("symlog", linthresh=1)
            axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
            axes.yaxis.set_minor_locator(NullLocator())
            axes.set_ylim(-0.1, 1.3 * max(1.0, rows["regret_percent"].max()))
        panels[0].set_ylabel("loss above the best of all (%)")
        handles = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
        panels[-1].legend(
            handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0
        )
    return figure
