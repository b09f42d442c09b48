"""Figures of a coordinate check: sizes against scale, and sizes over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from smupar_transfer.reporting.figures.style import Look, head, ordered_looks, shared_legend, style


@dataclass(frozen=True)
class SizeLine:
    """One line as drawn: positions in log2 of the scale (or in steps), heights in log2 of the size."""

    label: str
    positions: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True)
class SizePanel:
    """One parametrization as drawn; ``note`` stands inside it."""

    title: str
    lines: tuple[SizeLine, ...]
    note: str


@dataclass(frozen=True)
class PanelRow:
    """Panels that share a height axis, and its name."""

    label: str
    panels: tuple[SizePanel, ...]


def draw_panels(rows: Sequence[PanelRow], position_label: str, legend_title: str, *, flipped: bool = False) -> Figure:
    """A grid of panels, in the manner of SuPar (arXiv 2405.15743), Figure 5.

    Args:
        rows: The rows of the grid, with equally many panels each.
        position_label: The name of the horizontal axis, which all panels share.
        legend_title: What the lines differ in.
        flipped: Whether positions grow to the left.
    """
    columns = max(len(row.panels) for row in rows)
    looks = ordered_looks(line.label for row in rows for panel in row.panels for line in panel.lines)
    with style():
        figure = Figure(figsize=(2.7 * columns + 1.2, 2.3 * len(rows) + 0.6))
        # a row is one quantity: its slopes are compared by eye from one parametrization to the next
        grid = figure.subplots(len(rows), columns, sharex=True, sharey="row", squeeze=False)
        for line_of_axes, row in zip(grid, rows, strict=True):
            for axes, panel in zip(line_of_axes, row.panels, strict=True):
                _draw_panel(axes, panel, looks)
            line_of_axes[0].set_ylabel(row.label)
        for axes, panel in zip(grid[0], rows[0].panels, strict=True):
            head(axes, panel.title)
        for axes in grid[-1]:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        figure.supxlabel(position_label, fontsize="medium")
        if flipped:
            # of one panel: all share this axis, and turning it twice would turn it back
            grid[0][0].invert_xaxis()
        # a line that has no points in one panel may have some in another
        handles = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
        shared_legend(figure, {label: handles[label] for label in looks}, legend_title)
    return figure


def _draw_panel(axes: Axes, panel: SizePanel, looks: dict[str, Look]) -> None:
    for line in panel.lines:
        colour, marker = looks[line.label]
        axes.plot(line.positions, line.heights, color=colour, marker=marker, label=line.label)
    # room for the note below the lines
    axes.margins(y=0.25)
    axes.annotate(
        panel.note,
        (0.03, 0.03),
        xycoords="axes fraction",
        fontsize=8,
        verticalalignment="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )
