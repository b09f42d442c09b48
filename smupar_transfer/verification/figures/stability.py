"""Figures of a stability sweep: loss against the swept hyperparameter, its optimum and its regret against scale."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, Transform

from smupar_transfer.verification.figures.style import (
    LINES,
    Colour,
    colour_of,
    grid_of_panels,
    head,
    labelled,
    legend,
    marker_of,
    ordered_looks,
    shared_legend,
    style,
)

LONGEST_LABEL = 42
"""Characters beside a panel."""
APART = 3.5
"""Points between tracks at the same place, so that intervals can be told apart."""


@dataclass(frozen=True)
class Curve:
    """One cell as drawn.

    Attributes:
        label: of the legend. log2_values, losses: finite points only. errors: standard errors, 0 with one seed.
        optimum: (log2 value, loss) where it is marked, or None. at_edge: the optimum may lie elsewhere.
    """

    label: str
    log2_values: tuple[float, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    optimum: tuple[float, float] | None
    at_edge: bool


@dataclass(frozen=True)
class Panel:
    """One family as drawn, its curves from the proxy's end of the axis on; ``proxy`` is the value carried over."""

    title: str
    curves: tuple[Curve, ...]
    proxy: float | None = None


@dataclass(frozen=True)
class Ticks:
    """The axis of scale: log2 of every place (increasing) and what is written there; ``label`` says what it is."""

    places: tuple[float, ...]
    words: tuple[str, ...]
    label: str
    reverse: bool


@dataclass(frozen=True)
class Track:
    """Some quantity of one family along the axis of scale, as drawn.

    Attributes:
        name: of the parametrization, for its colour. variant: counts families of one parametrization from 0.
        places: in log2. values: with intervals ``low`` to ``high``, NaN where there is none.
        exact: false where a value is a bound. lost: places at which there is no value, since runs diverged.
        endless: whether the interval has no end below, and above, what is drawn of it.
    """

    name: str
    title: str
    variant: int
    places: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    exact: tuple[bool, ...]
    lost: tuple[float, ...] = ()
    endless: tuple[tuple[bool, bool], ...] = ()


def draw_loss_curves(panels: Sequence[Panel], floor: float, ceiling: float, swept: str, axis: str) -> Figure:
    """Loss against log2 of the swept hyperparameter: a panel per family, a curve per place on the axis, optima marked.

    Args:
        panels: what to draw; in the manner of SuPar (arXiv 2405.15743), Figure 1.
        floor: of the shared loss axis, nats.
        ceiling: of the shared loss axis, nats.
        swept: what the horizontal axis is called.
        axis: what the legend is called.
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
    line: Artist = container[0]
    return line


def _draw_track(axes: Axes, track: Track, beside: Transform) -> None:
    colour, line = colour_of(track.name), LINES[track.variant % len(LINES)]
    marker = marker_of(track.name, track.variant)
    artists: list[Artist] = [
        *axes.plot(track.places, track.values, color=colour, linestyle=line, marker=marker, label=track.title),
        axes.vlines(track.places, track.low, track.high, color=colour, linewidth=3, alpha=0.4),
    ]
    for x, y, exact in zip(track.places, track.values, track.exact, strict=True):
        if not exact:
            artists += axes.plot(x, y, marker, color=colour, markerfacecolor="white", markersize=6, zorder=4)
    for x, ends, endless in zip(track.places, zip(track.low, track.high, strict=True), track.endless, strict=False):
        for end, arrow, is_open in zip(ends, "v^", endless, strict=True):
            if is_open:
                artists += axes.plot(x, end, arrow, color=colour, markersize=7, alpha=0.6)
    for artist in artists:  # only now: axes scale to what is added to them without
        artist.set_transform(axes.transData + beside)
    for x in track.lost:
        axes.plot(x, 0.98, "x", color=colour, transform=axes.get_xaxis_transform() + beside, clip_on=False)


def _draw_tracks(axes: Axes, tracks: Sequence[Track], ticks: Ticks) -> None:
    for index, track in enumerate(tracks):
        beside = ScaledTranslation((index - (len(tracks) - 1) / 2) * APART / 72, 0, axes.figure.dpi_scale_trans)
        _draw_track(axes, track, beside)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks.places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks.places, ticks.words)
    axes.margins(x=0.08)
    if max(map(len, ticks.words), default=0) > 7:
        for words in axes.get_xticklabels():
            words.set(rotation=30, horizontalalignment="right", rotation_mode="anchor")
    axes.set_xlabel(ticks.label)
    if ticks.reverse:
        axes.invert_xaxis()


def draw_optimum_tracks(tracks: Sequence[Track], ticks: Ticks, optimum: str) -> Figure:
    """The optimum against scale with 95 % intervals; open markers are bounds, dotted lines have slope 0.

    Args:
        tracks: a track per family.
        ticks: the axis of scale.
        optimum: what the vertical axis is called.
    """
    with style():
        figure, (axes,) = grid_of_panels(1, 6.0, 3.8)
        _draw_tracks(axes, tracks, ticks)
        for index, track in enumerate(tracks):  # dots of one line between those of the others
            dots = (2 * index, (1, 2 * len(tracks) - 1))
            axes.axhline(track.values[0], color=colour_of(track.name), linewidth=1, linestyle=dots)
        axes.set_ylabel(textwrap.fill(optimum, LONGEST_LABEL))
        legend(axes, outside=True)
    return figure


def draw_regret(tracks: Sequence[Track], ticks: Ticks) -> Figure:
    """Zero-shot regret (percent) against scale with standard errors; linear up to 1 %, logarithmic beyond."""
    with style():
        figure, (axes,) = grid_of_panels(1, 6.0, 3.8)
        axes.set_yscale("symlog", linthresh=1.0, linscale=0.6)
        _draw_tracks(axes, tracks, ticks)
        axes.axhline(0, color="#555555", linewidth=0.8)
        axes.yaxis.set_major_locator(FixedLocator([-0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("zero-shot regret (% of loss)")
        legend(axes, outside=True)
    return figure


def draw_gain(losses: Sequence[Track], gains: Sequence[Track], ticks: Ticks, reference: str) -> Figure:
    """Loss without tuning against scale, and beside it the difference to a reference in percent; below 0 is better."""
    with style():
        figure, (left, right) = grid_of_panels(2, 4.2, 3.6, beside=1.1)
        _draw_tracks(left, losses, ticks)
        _draw_tracks(right, gains, ticks)
        right.axhline(0, color="#555555", linewidth=0.8)
        left.set_ylabel("validation loss (nats / token)")
        right.set_ylabel(f"loss against {reference} (%)")
        shared_legend(figure, labelled(left))
    return figure


def draw_proxy_sizes(regrets: Sequence[Track], costs: Sequence[Track], ticks: Ticks) -> Figure:
    """Regret of the target (percent) against the proxy's width, and beside it what the search costs (percent)."""
    with style():
        figure, (left, right) = grid_of_panels(2, 4.2, 3.6, beside=1.1)
        _draw_tracks(left, regrets, ticks)
        _draw_tracks(right, costs, ticks)
        left.axhline(0, color="#555555", linewidth=0.8)
        right.set_yscale("log")
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.set_ylabel("regret of the target (% of loss)")
        right.set_ylabel("search (% of one training of the target)")
        shared_legend(figure, labelled(left))
    return figure
