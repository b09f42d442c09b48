"""Figures of a stability sweep: loss against learning rate, and the optimum against density."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from smupar_transfer.verification.figures.style import (
    MARKERS,
    PARAMETRIZATION_COLOURS,
    Colour,
    legend,
    sequential,
    style,
)


@dataclass(frozen=True)
class Curve:
    """One cell as drawn.

    Attributes:
        label: of the legend. log2_rates, losses: finite points only. errors: standard errors, 0 with one seed.
        optimum: (log2 learning rate, loss) where it is marked, or None. at_edge: the optimum may lie beyond the grid.
    """

    label: str
    log2_rates: tuple[float, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    optimum: tuple[float, float] | None
    at_edge: bool


@dataclass(frozen=True)
class Panel:
    """One parametrization as drawn, its curves from dense to sparse."""

    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Track:
    """The optimum of one parametrization over density, as drawn: positions with intervals, in log2 of each axis."""

    name: str
    title: str
    log2_density: tuple[float, ...]
    optima: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    exact: tuple[bool, ...]


def draw_loss_curves(panels: Sequence[Panel], ceiling: float) -> Figure:
    """Loss against log2 learning rate: a panel per parametrization, a curve per sparsity, optima marked.

    Args:
        panels: what to draw; in the manner of SuPar (arXiv 2405.15743), Figure 1.
        ceiling: top of the shared loss axis, nats.
    """
    labels = sorted({curve.label for panel in panels for curve in panel.curves}, key=float)
    looks = dict(zip(labels, zip(sequential(len(labels)), itertools.cycle(MARKERS), strict=False), strict=True))
    with style():
        figure = Figure(figsize=(3.4 * len(panels) + 0.6, 3.6))
        row = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        handles: dict[str, Artist] = {}
        for axes, panel in zip(row, panels, strict=True):
            for curve in panel.curves:
                handles.setdefault(curve.label, _draw_curve(axes, curve, *looks[curve.label]))
            axes.set(title=panel.title, xlabel="$\\log_2$ base learning rate $\\eta$")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        lowest = min((min(curve.losses) for panel in panels for curve in panel.curves if curve.losses), default=0.0)
        row[0].set_ylim(lowest - 0.03, ceiling)
        row[0].set_ylabel("validation loss (nats / token)")
        figure.legend([handles[label] for label in labels], labels, title="sparsity", loc="outside right upper")
    return figure


def _draw_curve(axes: Axes, curve: Curve, colour: Colour, marker: str) -> Artist:
    container = axes.errorbar(
        curve.log2_rates, curve.losses, yerr=curve.errors, color=colour, marker=marker, label=curve.label, elinewidth=1
    )
    if curve.optimum is not None:
        face = "white" if curve.at_edge else colour
        axes.plot(
            *curve.optimum,
            marker="*",
            markersize=14,
            color=colour,
            markerfacecolor=face,
            markeredgecolor="black",
            zorder=5,
        )
    line: Artist = container[0]
    return line


def draw_optimum_tracks(tracks: Sequence[Track]) -> Figure:
    """Optimal learning rate against density with 95 % intervals; open markers are bounds, not fits."""
    with style():
        figure = Figure(figsize=(5.2, 3.8))
        axes = figure.subplots()
        for marker, track in zip(MARKERS, tracks, strict=False):
            colour = PARAMETRIZATION_COLOURS.get(track.name, "#333333")
            axes.plot(track.log2_density, track.optima, color=colour, label=track.title)
            axes.vlines(track.log2_density, track.low, track.high, color=colour, linewidth=3, alpha=0.45)
            for x, y, exact in zip(track.log2_density, track.optima, track.exact, strict=True):
                axes.plot(x, y, marker, color=colour, markerfacecolor=colour if exact else "white", markersize=6)
            axes.axhline(track.optima[0], color=colour, linewidth=0.8, linestyle=":")
        axes.invert_xaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(
            xlabel="$\\log_2$ density of hidden weights (dense on the left)",
            ylabel="$\\log_2$ optimal base learning rate",
            title="Optimal learning rate over density (dotted: no drift)",
        )
        legend(axes)
    return figure
