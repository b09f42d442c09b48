"""Cost of tuning: how much less does it cost to tune a small proxy and transfer than to tune the target itself?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.style import (
    MARKERS,
    colour_of,
    cost_axis,
    grid_of_panels,
    head,
    legend,
    sequential,
    style,
)
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, fixed, signed, significant, span
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.statistics.drift_verdicts import judged
from smupar_transfer.statistics.search_cost import at_cost
from smupar_transfer.statistics.tuning_cost import Saving, TuningCost, WayToTune, saving, tuning_cost

WORTH = 2.0
"""Trainings of the target that the headline's transfer may cost: its search, and the one training at its winner."""
CHEAPER = 4.0
"""How many times cheaper than direct search the claim wants a transfer to be."""
SHOWN = (8, 16, 24, 32, 64)
"""Lengths of search in the summary."""
CURVE = {0: "-", 1: "-", 3: "--"}
"""Line by number of finalists."""


def _cost(findings: Findings) -> TuningCost:
    return tuning_cost(findings.runs, findings.design.swept)


@question("tuning_cost")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    cost = findings.once(_cost)
    return Outcome(
        sentence=_sentence(cost),
        summary=_summary(cost),
        claim=f"under SμPar, for at most {WORTH:g} trainings' worth of the target, tuning a proxy and transferring "
        f"reaches a loss for which direct search pays at least {CHEAPER:g} times as much",
        verdict=_verdict(cost),
        notes=(_proxies_note(cost), _seeds_note(cost)),
        tables=(_table(cost),),
    )


def _headline(cost: TuningCost) -> tuple[WayToTune, int]:
    """The transfer that is judged, chosen before any result: widest proxy, one finalist, search for ``WORTH``."""
    transfer = [way for way in cost.transfers if way.finalists == 1][-1]
    return transfer, at_cost(transfer, WORTH)


def _verdict(cost: TuningCost) -> str:
    transfer, index = _headline(cost)
    saved = saving(transfer, cost.direct, index)
    return judged([saved.high < CHEAPER], [saved.factor >= CHEAPER], [saved.low >= CHEAPER])


def _sentence(cost: TuningCost) -> str:
    transfer, index = _headline(cost)
    saved = saving(transfer, cost.direct, index)
    return (
        f"Tuning a dense proxy of width {transfer.proxy_width} ({transfer.draws[index]} draws) and training the target "
        f"at its winner costs {transfer.cost[index]:.1f} trainings of the target; direct search pays {_factor(saved)} "
        f"times as much for the same loss, and for as much is {abs(saved.difference):.3f} nats "
        f"{'above' if saved.difference < 0 else 'below'} it (difference"
        f"{bracketed(saved.difference_low, saved.difference_high, 3)})."
    )


def _factor(saved: Saving) -> str:
    """How many times cheaper, with its interval; where direct search never got there, what it is at least."""
    factor = f"≥ {saved.least:.1f}" if math.isinf(saved.factor) else f"{saved.factor:.1f}"
    return factor + bracketed(saved.low, saved.high, 1)


def _summary(cost: TuningCost) -> Summary:
    rows = [
        (
            _title(way),
            f"{draws}",
            fixed(float(way.cost[index]), 2),
            fixed(float(way.loss[index]), 3) + bracketed(float(way.band[0, index]), float(way.band[1, index]), 3),
            _factor(saved),
            signed(saved.difference, 3) + bracketed(saved.difference_low, saved.difference_high, 3),
        )
        for way in cost.transfers
        for index, draws in enumerate(way.draws)
        if draws in SHOWN
        for saved in (saving(way, cost.direct, index),)
    ]
    return Summary(
        columns=("searched", "draws", "cost", "loss", "times cheaper", "less direct search (nats)"),
        rows=tuple(rows),
        note=f"Cost is that of the search and of training the target at its winner, in trainings of the target, by "
        f"{_measure(cost)}. Times cheaper: what direct search costs for the same loss over that. The last column is "
        "the loss less that of direct search for the same cost. Brackets are 95 % intervals over points and seeds.",
    )


def _measure(cost: TuningCost) -> str:
    # time of the processor, where every record has it: the clock on the wall counts what other programs did
    return "processor time" if np.isfinite(cost.direct.seconds).all() else "operations of the weights that exist"


def _title(way: WayToTune) -> str:
    if way.proxy_width is None:
        return "the target itself"
    kept = "" if way.finalists == 1 else f", best {way.finalists} trained"
    return f"proxy of width {way.proxy_width}{kept}"


def _proxies_note(cost: TuningCost) -> str:
    told = "; ".join(
        f"of width {proxy.width}: target / proxy {significant(proxy.seconds_ratio, 3)} by processor time, "
        f"{significant(proxy.operations_ratio, 3)} by operations, Spearman's rank correlation of their losses "
        f"{proxy.rank_correlation:.2f}{bracketed(proxy.low, proxy.high)}"
        for proxy in cost.proxies
    )
    return f"Proxies: {told}."


def _seeds_note(cost: TuningCost) -> str:
    named = ", ".join(map(str, cost.seeds))
    if len(cost.seeds) > 1:
        return (
            f"{cost.points} points under seeds {named}: a search judges by one, and its loss is the mean of the others."
        )
    return (
        f"{cost.points} points under seed {named} alone, which both judges and is reported: both ways look better than "
        "they are, direct search the more so, as it picks among the losses that are reported."
    )


@register_figure("tuning_cost")
def loss_for_cost(findings: Findings) -> Picture:
    """Loss of the target against everything spent, by time and by operations."""
    return Picture(
        findings.manifest.name,
        "The expected loss of the target against what tuning and training cost together; bands are 95 % intervals over "
        "points and seeds. Curves of transfers begin beyond one, since the target is trained at the winner.",
        _figure(findings.once(_cost)),
    )


def _figure(cost: TuningCost) -> Figure:
    panels: list[tuple[str, Callable[[WayToTune], np.ndarray]]] = [("operations", lambda way: way.operations)]
    if _measure(cost) == "processor time":
        panels.insert(0, ("processor time", lambda way: way.seconds))
    with style():
        figure, every_axes = grid_of_panels(len(panels), 5.0, 4.0, share=True, beside=2.4)
        for axes, (title, cost_of) in zip(every_axes, panels, strict=True):
            head(axes, f"by {title}")
            _draw(axes, cost, cost_of)
        every_axes[0].set_ylabel("expected validation loss (nats / token)")
        legend(every_axes[-1], outside=True)
    return figure


def _draw(axes: Axes, cost: TuningCost, cost_of: Callable[[WayToTune], np.ndarray]) -> None:
    widths = [proxy.width for proxy in cost.proxies]
    colours = dict(zip(widths, sequential(len(widths) + 1)[:-1], strict=True))  # the lightest is close to the target's
    for way in (cost.direct, *cost.transfers):
        colour = colour_of("sp") if way.proxy_width is None else colours[way.proxy_width]
        marker = MARKERS[0 if way.proxy_width is None else 1 + widths.index(way.proxy_width)]
        spent = cost_of(way)
        if way.finalists != max(CURVE):  # bands of all of them would hide each other
            axes.fill_between(spent, *way.band, color=colour, alpha=0.15, linewidth=0)
        axes.plot(spent, way.loss, CURVE[way.finalists], color=colour, marker=marker, label=_title(way))
    cost_axis(axes)
    axes.set_xlabel("cost, in trainings of the target")


def _table(cost: TuningCost) -> Table:
    entries = [(way, index) for way in (cost.direct, *cost.transfers) for index in range(len(way.draws))]
    return Table(
        name="tuning_cost",
        title="Loss reached for the cost",
        note="The expected loss of the target in nats, after random searches of so many draws without replacement, and "
        "its 95 % interval over points and seeds. Costs are in trainings of the target.",
        frame=pd.DataFrame(
            [
                {
                    "proxy_width": way.proxy_width,
                    "finalists": way.finalists,
                    "draws": way.draws[index],
                    "seconds": way.seconds[index],
                    "operations": way.operations[index],
                    "loss": way.loss[index],
                    "low": way.band[0, index],
                    "high": way.band[1, index],
                }
                for way, index in entries
            ]
        ),
        columns=("searched", "draws", "by time", "by operations", "loss", "95 % interval"),
        rows=tuple(
            (
                _title(way),
                f"{way.draws[index]}",
                fixed(float(way.seconds[index]), 2),
                fixed(float(way.operations[index]), 2),
                fixed(float(way.loss[index]), 4),
                span(float(way.band[0, index]), float(way.band[1, index]), 4),
            )
            for way, index in entries
        ),
    )
