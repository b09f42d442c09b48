"""Some quantity of several families along the axis of scale, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, Transform

from smupar_transfer.reporting.figures.style import (
    Look,
    colour_of,
    grid_of_panels,
    head,
    labelled,
    legend,
    marker_of,
    ordered_looks,
    shared_legend,
)
from smupar_transfer.statistics.labels import full_name

APART = 3.5
"""Points between tracks at the same position, so that intervals can be told apart."""
CHARACTER = 0.075
"""Inches of a legend."""
LONGEST_TICK = 7
"""Characters below a position; longer words are turned."""


@dataclass(frozen=True)
class Ticks:
    """The axis of scale: log2 of every position (increasing) and what is written there; ``label`` says what it is."""

    positions: tuple[float, ...]
    words: tuple[str, ...]
    label: str
    reverse: bool


@dataclass(frozen=True)
class Track:
    """Some quantity of one family along the axis of scale, as drawn.

    Attributes:
        name: The name of the parametrization, for its colour.
        title: The name of the parametrization, for people.
        variant: What sets the family apart from others of its parametrization, for people; empty if nothing does.
        positions: The log2 of every position on the axis.
        values: The quantity at each position.
        low: The lower ends of the intervals of ``values``, NaN where there is none.
        high: The upper ends of the intervals of ``values``, NaN where there is none.
        exact: Whether each value is more than a bound.
        lost: The positions at which there is no value, since runs diverged.
        endless: Whether each interval has no end below, and above, what is drawn of it.
    """

    name: str
    title: str
    variant: str
    positions: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    exact: tuple[bool, ...]
    lost: tuple[float, ...] = ()
    endless: tuple[tuple[bool, bool], ...] = ()

    @property
    def label(self) -> str:
        """For people: title and variant."""
        return full_name(self.title, self.variant)


def panels_of(tracks: Sequence[Track]) -> list[tuple[str, list[Track]]]:
    """Tracks by panel, with its title: one panel for all, or one a variant where several parametrizations have several.

    In a panel, tracks differ in parametrization or all have the same.
    """
    names = [track.name for track in tracks]
    # colour tells parametrizations apart, or variants of a single one, but not both at once
    if len(set(names)) in (1, len(names)):
        return [("", list(tracks))]
    variants = dict.fromkeys(track.variant for track in tracks)
    return [(variant, [track for track in tracks if track.variant == variant]) for variant in variants]


def looks_of(tracks: Sequence[Track]) -> list[Look]:
    """Colour and marker of every track of a panel: of its parametrization, or ordered where some share theirs."""
    if len({track.name for track in tracks}) < len(tracks):
        ordered = ordered_looks(str(index) for index in range(len(tracks)))
        return [ordered[str(index)] for index in range(len(tracks))]
    return [(colour_of(track.name), marker_of(track.name)) for track in tracks]


def draw_panels(
    tracks: Sequence[Track], ticks: Ticks, quantity: str, finish: Callable[[Axes, Sequence[Track]], None]
) -> Figure:
    """A figure of tracks, a panel a variant where there are several.

    Args:
        tracks: A track for each family.
        ticks: The axis of scale.
        quantity: The name of the vertical axis.
        finish: What else is drawn in a panel.
    """
    panels = panels_of(tracks)
    if len(panels) == 1:
        # kept free by count of letters: the layout measures text only when it is drawn
        longest = max((len(track.label) for track in tracks), default=0)
        figure, (axes,) = grid_of_panels(1, 4.2, 3.8, beside=0.5 + longest * CHARACTER)
        draw_tracks(axes, tracks, ticks)
        finish(axes, tracks)
        axes.set_ylabel(quantity)
        legend(axes, outside=True)
        return figure
    figure, every = grid_of_panels(len(panels), 3.4, 3.6, share=True, beside=1.1)
    handles: dict[str, Artist] = {}
    for axes, (title, own) in zip(every, panels, strict=True):
        draw_tracks(axes, own, ticks, title=lambda track: track.title)
        finish(axes, own)
        head(axes, title)
        handles |= labelled(axes)
    every[0].set_ylabel(quantity)
    shared_legend(figure, handles)
    return figure


def draw_tracks(
    axes: Axes, tracks: Sequence[Track], ticks: Ticks, title: Callable[[Track], str] = lambda track: track.label
) -> None:
    """Tracks beside each other at their positions, and the axis of scale; ``title`` names one in the legend."""
    for index, (track, look) in enumerate(zip(tracks, looks_of(tracks), strict=True)):
        # in points, so that the distance is the same whatever the axis spans
        beside = ScaledTranslation((index - (len(tracks) - 1) / 2) * APART / 72, 0, axes.figure.dpi_scale_trans)
        _draw_track(axes, track, title(track), look, beside)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks.positions)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks.positions, ticks.words)
    axes.margins(x=0.08)
    if max(map(len, ticks.words), default=0) > LONGEST_TICK:
        for words in axes.get_xticklabels():
            words.set(rotation=30, horizontalalignment="right", rotation_mode="anchor")
    axes.set_xlabel(ticks.label)
    # set and not turned: panels that share the axis would turn it back
    axes.xaxis.set_inverted(ticks.reverse)


def _draw_track(axes: Axes, track: Track, title: str, look: Look, beside: Transform) -> None:
    colour, marker = look
    artists: list[Artist] = [
        *axes.plot(track.positions, track.values, color=colour, marker=marker, label=title),
        axes.vlines(track.positions, track.low, track.high, color=colour, linewidth=3, alpha=0.4),
    ]
    for x, y, exact in zip(track.positions, track.values, track.exact, strict=True):
        if not exact:
            artists += axes.plot(x, y, marker, color=colour, markerfacecolor="white", markersize=6, zorder=4)
    for x, ends, endless in zip(track.positions, zip(track.low, track.high, strict=True), track.endless, strict=False):
        for end, arrow, is_open in zip(ends, "v^", endless, strict=True):
            if is_open:
                artists += axes.plot(x, end, arrow, color=colour, markersize=7, alpha=0.6)
    for artist in artists:  # only now: axes scale to what is added to them without
        artist.set_transform(axes.transData + beside)
    for x in track.lost:
        # at the top: worse than everything that is drawn
        axes.plot(x, 0.98, "x", color=colour, transform=axes.get_xaxis_transform() + beside, clip_on=False)
