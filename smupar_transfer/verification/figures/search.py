"""Figures of a search: how the best loss fell, and loss against each hyperparameter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from smupar_transfer.verification.figures.style import legend, style

SYMBOLS = {
    "learning_rate": "learning rate η",
    "init_std": "init std σ",
    "input_multiplier": "input multiplier $α_{in}$",
    "output_multiplier": "output multiplier $α_{out}$",
    "weight_decay": "weight decay λ",
}
CEILING = 1.1
"""Times the best loss, up to which losses are shown; of what lies above, a wedge at the top tells that it is there."""
COMPLETE, GIVEN_UP, BEST = "#0072b2", "#999999", "#d55e00"


def best_so_far(values: Sequence[float | None]) -> list[float]:
    """Running minimum; infinite until the first value."""
    return list(itertools.accumulate((float("inf") if value is None else value for value in values), min))


def beyond(points: Sequence[float], losses: Sequence[float]) -> tuple[float, list[float]]:
    """Top of the loss axis, and the points whose losses lie above it."""
    top = CEILING * min(losses, default=math.inf)
    return top, [point for point, loss in zip(points, losses, strict=True) if loss > top]


def _cut(axes: Axes, points: Sequence[float], losses: Sequence[float]) -> None:
    """Cut the loss axis where few trials lie beyond, with a wedge for each of them."""
    top, above = beyond(points, losses)
    if above:
        axes.set_ylim(top=top)
        axes.plot(above, [0.97] * len(above), "^", color=GIVEN_UP, transform=axes.get_xaxis_transform())


def draw_history(numbers: Sequence[int], values: Sequence[float | None]) -> Figure:
    """Loss of every trial (None: pruned or diverged, ticks at the bottom) and the best so far."""
    with style():
        figure = Figure(figsize=(6.0, 3.4))
        axes = figure.subplots()
        complete = [(number, value) for number, value in zip(numbers, values, strict=True) if value is not None]
        lost = [number for number, value in zip(numbers, values, strict=True) if value is None]
        if complete:
            axes.plot(*zip(*complete, strict=True), "o", color=COMPLETE, label="completed trial")
        axes.plot(
            lost,
            [0.02] * len(lost),
            "|",
            color=GIVEN_UP,
            transform=axes.get_xaxis_transform(),
            label="pruned or diverged",
        )
        axes.step(numbers, best_so_far(values), where="post", color=BEST, label="best so far")
        _cut(axes, [number for number, _ in complete], [value for _, value in complete])
        axes.set(xlabel="trial", ylabel="validation loss (nats)", title="Search on the dense proxy")
        legend(axes)
    return figure


def draw_slices(
    columns: Mapping[str, Sequence[float]], values: Sequence[float | None], logarithmic: Mapping[str, bool]
) -> Figure:
    """A panel per hyperparameter: loss of the completed trials against it, the best one marked."""
    kept = [index for index, value in enumerate(values) if value is not None]
    losses = [value for value in values if value is not None]
    best = losses.index(min(losses))
    with style():
        figure = Figure(figsize=(2.6 * len(columns), 2.9))
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, (name, column) in zip(panels, columns.items(), strict=True):
            points = [column[index] for index in kept]
            shades = axes.scatter(points, losses, c=kept, cmap="viridis_r", s=18, edgecolors="none")
            axes.plot(points[best], losses[best], "*", color=BEST, markersize=13, markeredgecolor="black")
            if logarithmic[name]:
                axes.set_xscale("log", base=2)
                axes.xaxis.set_minor_formatter(NullFormatter())
                if name != "learning_rate":
                    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            _cut(axes, points, losses)
            axes.set_xlabel(SYMBOLS.get(name, name))
        panels[0].set_ylabel("validation loss (nats)")
        figure.colorbar(shades, ax=panels[-1], label="trial")
    return figure
