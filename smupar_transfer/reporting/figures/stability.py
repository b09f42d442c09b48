"""Figures of a stability sweep: loss against the swept hyperparameter, its optimum and its regret against scale."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from smupar_transfer.reporting.figures.style import (
    Colour,
    grid_of_panels,
    head,
    labelled,
    ordered_looks,
    shared_legend,
    style,
)
from smupar_transfer.reporting.figures.tracks import Ticks, Track, draw_panels, draw_tracks, looks_of

LONGEST_LABEL = 42
"""Characters beside a panel."""


@dataclass(frozen=True)
class Curve:
    """One cell as drawn.

    Attributes:
        label: What the legend says.
        log2_values: The log2 of every value that has a finite loss.
        losses: The loss at each of them.
        errors: The standard errors of ``losses``, 0 with one seed.
        partial: Whether a point lacks some of the curve's seeds.
        optimum: The log2 value and the loss where the optimum is marked, or None.
        at_edge: Whether the optimum may lie elsewhere.
    """

    label: str
    log2_values: tuple[float, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    partial: tuple[bool, ...]
    optimum: tuple[float, float] | None
    at_edge: bool


@dataclass(frozen=True)
class LossPanel:
    """One family as drawn, its curves from the proxy's end of the axis on; ``proxy`` is the transferred value."""

    title: str
    curves: tuple[Curve, ...]
    proxy: float | None = None


def draw_loss_curves(panels: Sequence[LossPanel], floor: float, ceiling: float, swept: str, axis: str) -> Figure:
    """Loss over log2 of the swept hyperparameter: a panel per family, a curve per position on the axis, optima marked.

    Args:
        panels: What to draw, in the manner of SuPar (arXiv 2405.15743), Figure 1.
        floor: The lower end of the loss axis, which all panels share, nats.
        ceiling: The upper end of that axis, nats.
        swept: The name of the horizontal axis.
        axis: The title of the legend.
    """
    looks = ordered_looks(curve.label for panel in panels for curve in panel.curves)
    with style():
        figure, axes = grid_of_panels(len(panels), 3.2, 3.0, share=True, beside=1.1)
        handles: dict[str, Artist] = {}
        for each, panel in zip(axes, panels, strict=True):
            for curve in panel.curves:
                handles.setdefault(curve.label, _draw_curve(each, curve, *looks[curve.label]))
            if panel.proxy is not None:
                line = each.axvline(panel.proxy, color="#555555", linewidth=1, linestyle=":", zorder=1)
                handles.setdefault("from the proxy", line)
            head(each, panel.title)
            # not found by matplotlib: one bad run would flatten all curves
            each.set_ylim(floor, ceiling)
            each.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        figure.supxlabel(swept, fontsize=10)
        figure.supylabel("validation loss (nats / token)", fontsize=10)
        shared_legend(figure, handles, axis)
    return figure


def _draw_curve(axes: Axes, curve: Curve, colour: Colour, marker: str) -> Artist:
    container = axes.errorbar(
        curve.log2_values, curve.losses, yerr=curve.errors, color=colour, marker=marker, label=curve.label, elinewidth=1
    )
    opened = [point for *point, partial in zip(curve.log2_values, curve.losses, curve.partial, strict=True) if partial]
    if opened:
        axes.plot(*zip(*opened, strict=True), marker, color=colour, markerfacecolor="white", zorder=3)  # above the line
    if curve.optimum is not None:
        face = "white" if curve.at_edge else colour
        axes.plot(
            *curve.optimum,
            marker="*",
            markersize=10,
            color=colour,
            markerfacecolor=face,
            markeredgecolor="black",
            zorder=5,
        )
    # the line alone, as bars of errors say nothing in a legend
    line: Artist = container[0]
    return line


def draw_optimum_tracks(tracks: Sequence[Track], ticks: Ticks, optimum: str) -> Figure:
    """The optimum against scale with 95 % intervals; open markers are bounds, dotted lines have slope 0.

    Args:
        tracks: A track for each family.
        ticks: The axis of scale.
        optimum: The name of the vertical axis.
    """

    def unmoved(axes: Axes, own: Sequence[Track]) -> None:
        for index, (track, (colour, _)) in enumerate(zip(own, looks_of(own), strict=True)):
            dots = (2 * index, (1, 2 * len(own) - 1))  # of one line between those of the others
            axes.axhline(track.values[0], color=colour, linewidth=1, linestyle=dots)

    with style():
        return draw_panels(tracks, ticks, textwrap.fill(optimum, LONGEST_LABEL), unmoved)


def draw_regret(tracks: Sequence[Track], ticks: Ticks) -> Figure:
    """Zero-shot regret (percent) against scale with standard errors; linear up to 1 %, logarithmic beyond."""

    def scaled(axes: Axes, _: Sequence[Track]) -> None:
        axes.set_yscale("symlog", linthresh=1.0, linscale=0.6)  # a regret may be 0 or, with noise, less
        axes.axhline(0, color="#555555", linewidth=0.8)
        # ticks of its own would be powers of ten alone
        axes.yaxis.set_major_locator(FixedLocator([-0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())

    with style():
        return draw_panels(tracks, ticks, "zero-shot regret (% of loss)", scaled)


def draw_gain(losses: Sequence[Track], gains: Sequence[Track], ticks: Ticks, reference: str) -> Figure:
    """Loss without tuning against scale, and beside it the difference to a reference in percent; below 0 is better."""
    with style():
        figure, (left, right) = grid_of_panels(2, 4.2, 3.6, beside=1.1)
        draw_tracks(left, losses, ticks)
        draw_tracks(right, gains, ticks)
        right.axhline(0, color="#555555", linewidth=0.8)
        left.set_ylabel("validation loss (nats / token)")
        right.set_ylabel(f"loss against {reference} (%)")
        shared_legend(figure, labelled(left))
    return figure


def draw_proxy_sizes(regrets: Sequence[Track], costs: Sequence[Track], ticks: Ticks) -> Figure:
    """Regret of the target (percent) against the proxy's width, and beside it what the search costs (percent)."""
    with style():
        figure, (left, right) = grid_of_panels(2, 4.2, 3.6, beside=1.1)
        draw_tracks(left, regrets, ticks)
        draw_tracks(right, costs, ticks)
        left.axhline(0, color="#555555", linewidth=0.8)
        right.set_yscale("log")
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.set_ylabel("regret of the target (% of loss)")
        right.set_ylabel("search (% of one training of the target)")
        shared_legend(figure, labelled(left))
    return figure
