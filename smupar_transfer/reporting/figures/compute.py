"""Loss against compute: tuning a proxy, or the target itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.style import colour_of, cost_axis, grid_of_panels, legend, marker_of, style


@dataclass(frozen=True)
class ComputeCurve:
    """One way to tune, as drawn.

    Attributes:
        name: The name of the parametrization, for its colour.
        title: What the legend says.
        dashed: Whether the line is dashed, which means that the target was tuned directly.
        cost: The cost, increasing, in trainings of the target.
        losses: The loss at each cost, nats.
        low: The lower ends of the intervals of ``losses``.
        high: The upper ends of the intervals of ``losses``.
    """

    name: str
    title: str
    dashed: bool
    cost: tuple[float, ...]
    losses: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def draw_compute_curves(curves: Sequence[ComputeCurve]) -> Figure:
    """Expected loss of the target against everything spent, logarithmic; bands are 95 % intervals."""
    with style():
        figure, (axes,) = grid_of_panels(1, 6.6, 4.0)
        for curve in curves:
            colour, line = colour_of(curve.name), "--" if curve.dashed else "-"
            marker = marker_of(curve.name, int(curve.dashed))
            band, border = (colour, 0.15), (colour, 0.7)
            # a border of its own line style: where two bands lie on each other, colours alone do not tell which is
            # which
            axes.fill_between(
                curve.cost, curve.low, curve.high, facecolor=band, edgecolor=border, linestyle=line, linewidth=0.7
            )
            # a share of the diagonal between markers: by number they would crowd where costs are high
            axes.plot(
                curve.cost, curve.losses, color=colour, linestyle=line, marker=marker, markevery=0.12, label=curve.title
            )
        cost_axis(axes)
        axes.set(
            xlabel="compute: tuning and training together, in trainings of the target",
            ylabel="expected validation loss (nats / token)",
        )
        legend(axes, outside=True)
    return figure
