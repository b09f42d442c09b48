"""Loss over two hyperparameters: filled contours, a panel per cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from smupar_transfer.reporting.figures.style import grid_of_panels, head, style

Point = tuple[float, float]


@dataclass(frozen=True)
class Contours:
    """One cell as drawn; positions are log2 of both hyperparameters.

    Attributes:
        title: What stands above the panel.
        x: The positions along the horizontal axis.
        y: The positions along the vertical axis.
        losses: The losses in nats, NaN where a run diverged or is missing, a row for each of ``y``.
        optimum: Where the optimum is marked, or None.
        exact: Whether the optimum came from a fit.
        region: The outline of the optimum's 95 % region, or empty.
        proxy: The point that was tuned on the proxy, or None.
    """

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    optimum: Point | None
    exact: bool
    region: tuple[Point, ...] = ()
    proxy: Point | None = None


def draw_contours(panels: Sequence[Contours], levels: Sequence[float], x: str, y: str) -> Figure:
    """Contours of mean loss at shared ``levels`` (nats, increasing); losses above the last are left light grey.

    Args:
        panels: What to draw, in the manner of SuPar (arXiv 2405.15743), Figures 6 and 7, jointly.
        levels: The losses at which contours lie, nats, increasing.
        x: The name of the horizontal axis.
        y: The name of the vertical axis.
    """
    with style():
        figure, axes = grid_of_panels(len(panels), 3.1, 2.8, share=True, beside=1.0)
        shades = None
        for each, panel in zip(axes, panels, strict=True):
            # shows through wherever nothing is coloured: above the scale, or diverged
            each.set_facecolor("#dddddd")
            losses = np.ma.masked_invalid(np.array(panel.losses))
            # contourf refuses a single row and a panel without numbers
            if losses.count() and min(losses.shape) > 1:
                shades = each.contourf(panel.x, panel.y, losses, levels=levels, cmap="viridis")
                each.contour(panel.x, panel.y, losses, levels=levels, colors="white", linewidths=0.5)
            _draw_marks(each, panel)
            head(each, panel.title)
            each.grid(visible=False)
            each.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            each.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        if shades is not None:
            figure.colorbar(shades, ax=axes, label="validation loss (nats / token)", format="%.2f")
        figure.supxlabel(x, fontsize=10)
        figure.supylabel(y, fontsize=10)
    return figure


def _draw_marks(axes: Axes, panel: Contours) -> None:
    points = [(x, y) for row, y in zip(panel.losses, panel.y, strict=True) for x in panel.x[: len(row)]]
    axes.plot(*zip(*points, strict=True), ".", color="black", markersize=2, alpha=0.5)
    if panel.region:
        axes.plot(*zip(*panel.region, strict=True), color="white", linewidth=1.5, linestyle="--")
    if panel.proxy is not None:
        axes.plot(*panel.proxy, "P", color="white", markeredgecolor="black", markersize=9, zorder=4)
    if panel.optimum is not None:
        face = "#e69f00" if panel.exact else "white"
        axes.plot(*panel.optimum, "*", color=face, markeredgecolor="black", markersize=15, zorder=5)
