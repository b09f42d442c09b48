"""The demo's picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.style import MARKERS, colour_of, legend, style
from smupar_transfer.statistics.comparison import Comparison


def _rises(item: Comparison) -> bool:
    """Whether the curve goes up to the right of the star."""
    # 1e-9 octaves are rounding: the star itself lies on the curve
    beyond = [
        loss for rate, loss in zip(item.rates, item.losses, strict=True) if rate > item.zero_shot_log2_rate + 1e-9
    ]
    return bool(beyond) and beyond[0] > item.zero_shot


def _star(item: Comparison) -> tuple[float, float]:
    return item.zero_shot_log2_rate, item.zero_shot


def _write_beside(axes: Axes, item: Comparison) -> None:
    """Write the loss of a star on the side away from the curve."""
    axes.annotate(
        f"{item.title}: {item.zero_shot:.3f}",
        _star(item),
        xytext=(10, -9 if _rises(item) else 8),
        textcoords="offset points",
        va="center",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
    )


def draw_demo(comparisons: Sequence[Comparison], title: str) -> Figure:
    """Loss of the target against base learning rate: a curve per parametrization, the zero-shot run as a star.

    A rate that was tuned on a dense network of the target's width has an open star on the curve of its parametrization.
    """
    reused = [item for item in comparisons if item.tuned_dense and math.isfinite(item.zero_shot)]
    comparisons = [item for item in comparisons if not item.tuned_dense]
    with style():
        figure = Figure(figsize=(6.4, 4.0))
        axes = figure.subplots()
        for marker, item in zip(MARKERS, comparisons, strict=False):
            colour = colour_of(item.name)
            points = [(rate, loss) for rate, loss in zip(item.rates, item.losses, strict=True) if math.isfinite(loss)]
            if points:
                axes.plot(*zip(*points, strict=True), marker=marker, color=colour, label=item.title)
            if math.isfinite(item.zero_shot):
                axes.plot(*_star(item), "*", color=colour, markersize=16, markeredgecolor="black")
                _write_beside(axes, item)
        for item in reused:
            axes.plot(*_star(item), "*", color="white", markersize=16, markeredgecolor=colour_of(item.name))
            _write_beside(axes, item)
        axes.margins(y=0.1)
        # one for all: parametrizations rescale the same base rate, each in its own way
        axes.axvline(comparisons[0].zero_shot_log2_rate, color="grey", linewidth=0.8, linestyle=":")
        axes.set(
            xlabel="log2 base learning rate $\\eta$ (dotted: tuned on the dense proxy)",
            ylabel="validation loss (nats / token)",
            title=title,
        )
        legend(axes)
    return figure
