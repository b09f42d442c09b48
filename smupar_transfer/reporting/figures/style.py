"""One look for all figures: legible at the width of a column, safe for colour-blind readers, readable in grey."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from smupar_transfer.records import write_atomically

MARKERS = "osD^vPX*<>"
"""In the order of use; they tell curves apart in grey, too."""
PANELS_IN_A_ROW = 3
"""As many as stay legible at the width of a column."""
POINTS_A_CHARACTER = 6.0  # of a title, on average
PARAMETRIZATION_COLOURS = {  # Okabe & Ito (2008), chosen for distinct lightness as well
    "sp": "#d55e00",
    "sp_embedding": "#e69f00",
    "mup": "#0072b2",
    "init_only": "#56b4e9",
    "lr_only": "#cc79a7",
    "smupar": "#009e73",
}
MATPLOTLIB_SETTINGS: dict[Any, Any] = {  # matplotlib types its keys one by one
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "svg.hashsalt": "smupar_transfer",  # the same numbers draw the same file
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Within this block, figures have the look of this module."""
    with mpl.rc_context(MATPLOTLIB_SETTINGS):
        yield


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as ``path`` with suffixes .png and .svg.

    Raises:
        InputError: a file cannot be written.
    """
    written = []
    # neither version nor date in a file: the same numbers draw the same bytes
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        buffer = io.BytesIO()
        with style():
            figure.savefig(buffer, format=suffix[1:], metadata=metadata)
        figure.set_layout_engine("none")  # found once, for all formats
        target = path.with_name(path.name + suffix)
        write_atomically(target, buffer.getvalue())
        written.append(target)
    return written


def colour_of(parametrization: str) -> str:
    """The colour of a parametrization; grey for one that has none."""
    return PARAMETRIZATION_COLOURS.get(parametrization, "#333333")


def marker_of(parametrization: str, variant: int = 0) -> str:
    """The marker of a parametrization, another for further curves of the same."""
    names = list(PARAMETRIZATION_COLOURS)
    index = names.index(parametrization) if parametrization in names else len(names)
    # 3 and 10 have no common divisor: variants go through all markers before one comes again
    return MARKERS[(index + 3 * variant) % len(MARKERS)]


def grid_of_panels(
    count: int, width: float, height: float, *, share: bool = False, beside: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, at most three in a row.

    Args:
        count: The number of panels; a figure without any has none.
        width: The width of a panel, inches.
        height: The height of a panel, inches.
        share: Whether all panels share both axes; then those at the left and at the bottom show the numbers.
        beside: The room for a legend, inches.
    """
    columns = 2 if count == 4 else max(1, min(PANELS_IN_A_ROW, count))  # four make a square
    rows = max(1, -(-count // columns))
    # no pyplot, which keeps every figure until it is closed
    figure = Figure(figsize=(width * columns + beside, height * rows))
    # squeeze=False: a single panel would otherwise come without an array around it
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    for last in axes[max(0, count - columns) : count]:  # above a gap in the last row too
        last.tick_params(labelbottom=True)
    return figure, axes[:count]


def head(axes: Axes, title: str) -> None:
    """Put a title over a panel, in lines that do not reach into the next one."""
    points = axes.get_window_extent().width * 72 / axes.figure.dpi  # before the layout: close enough
    axes.set_title(textwrap.fill(title, max(12, int(points / POINTS_A_CHARACTER))))


def legend(axes: Axes, *, outside: bool = False) -> None:
    """A legend, if anything drawn has a label; on the right of the panel rather than in it if ``outside``."""
    if axes.get_legend_handles_labels()[0]:
        if outside:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
        else:
            axes.legend()


def cost_axis(axes: Axes) -> None:
    """Make the horizontal axis one of costs: logarithmic, with plain numbers."""
    axes.set_xscale("log")
    # costs span a decade or two, in which powers of ten alone would be two ticks
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def labelled(axes: Axes) -> dict[str, Artist]:
    """What is drawn in a panel, by label."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def shared_legend(figure: Figure, handles: Mapping[str, Artist], title: str = "") -> None:
    """One legend for all panels, on their right; the legend takes the room that ``grid_of_panels`` kept ``beside``."""
    figure.legend(list(handles.values()), list(handles), title=title, loc="outside right upper")


Shade = tuple[float, float, float, float]
Colour = Shade | str
Look = tuple[Colour, str]
"""Colour and marker."""


def ordered_looks(labels: Iterable[str]) -> dict[str, Look]:
    """How curves over an ordered quantity look, by label, in the order of first mention."""
    names = list(dict.fromkeys(labels))
    return dict(zip(names, zip(sequential(len(names)), itertools.cycle(MARKERS), strict=False), strict=True))


def sequential(count: int) -> list[Shade]:
    """``count`` colours from dark to light, of even steps in lightness, for an ordered quantity."""
    colours = mpl.colormaps["viridis"]
    # not to its end: the yellow there is hardly seen on white
    return [colours(0.0 if count == 1 else 0.88 * index / (count - 1)) for index in range(count)]
