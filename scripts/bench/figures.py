"""Figures of the benchmark; what they show is computed in ``numbers``."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from bench.cells import Result
from bench.numbers import Crossover, Curve, crossovers, curves, part_milliseconds, sparse_variant, widths
from bench.parts import PARTS
from smupar_transfer.reporting.figures.style import sequential, style

LOOKS = {  # Okabe & Ito (2008); rivals without masks are grey
    "dense": {"color": "#777777", "linestyle": "--", "marker": "s"},
    "dense_bf16": {"color": "#222222", "linestyle": ":", "marker": "D"},
    "masked": {"color": "#e69f00", "marker": "v"},
    "csr": {"color": "#56b4e9", "marker": "^"},
    "expand": {"color": "#0072b2", "marker": "<"},
    "native": {"color": "#d55e00", "marker": "P"},
    "auto": {"color": "#009e73", "marker": "o"},
}
OTHER = {"color": "#cc79a7", "marker": "X"}
HATCHES = ("", "///", "", "...", "", "\\\\\\", "")


def draw_speed_up(results: list[Result], title: str) -> Figure:
    """Speed-up over the textbook way against sparsity: a panel a width, a line a variant, a ring where it overtakes.

    Args:
        results: cells of one setting.
        title: names the setting.
    """
    across = widths(results)
    with style():
        figure = Figure(figsize=(1.2 + 3.3 * len(across), 3.9))
        panels = figure.subplots(1, len(across), sharex=True, sharey=True, squeeze=False)[0]
        for axes, width in zip(panels, across, strict=True):
            axes.axhline(1, color="black", linewidth=0.8)
            for curve in (each for each in curves(results) if each.width == width and each.variant != "textbook"):
                _draw_curve(axes, curve)
            for crossing in (each for each in crossovers(results) if each.width == width):
                if crossing.variant in (sparse_variant(results), "csr"):
                    _mark(axes, crossing)
            _sparsity_axis(axes, sorted({each.cell.sparsity for each in results}))
            axes.set(title=f"width {width}", xlabel="sparsity", yscale="log")
            axes.margins(x=0.15)  # room for what is written beside the first point
            axes.yaxis.set_minor_locator(NullLocator())
            axes.set_yticks([0.25, 0.5, 1, 2, 4, 8, 16, 32])
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        tops = [each.middle for curve in curves(results) for each in curve.speed_ups]
        panels[0].set_ylim(max(0.25, 0.8 * min(tops)), 1.3 * max(tops))
        panels[0].set_ylabel("times as fast as the textbook way")
        figure.suptitle(title, fontsize=10)
        shown = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown))
    return figure


def _position(sparsity: float) -> float:
    return -math.log2(1 - sparsity)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    look = LOOKS.get(curve.variant, OTHER)
    positions = [_position(sparsity) for sparsity in curve.sparsities]
    middles = [each.middle for each in curve.speed_ups]
    axes.plot(positions, middles, label=curve.variant.replace("_", " "), **look)  # type: ignore[arg-type]
    lows, highs = [each.low for each in curve.speed_ups], [each.high for each in curve.speed_ups]
    axes.fill_between(positions, lows, highs, color=look["color"], alpha=0.2, linewidth=0)


def _mark(axes: Axes, crossing: Crossover) -> None:
    if crossing.sparsity is None or crossing.speed_up is None or crossing.is_bound:
        return
    position = (_position(crossing.sparsity), crossing.speed_up)
    axes.plot(*position, marker="o", markersize=10, markerfacecolor="none", markeredgecolor="black", linestyle="none")
    below = crossing.rival == "dense"
    axes.annotate(
        f"{crossing.sparsity:.2f}",
        position,
        xytext=(7, -14) if below else (-7, 8),
        textcoords="offset points",
        fontsize=9,
        ha="left" if below else "right",
    )


def _sparsity_axis(axes: Axes, sparsities: list[float]) -> None:
    axes.set_xticks([_position(sparsity) for sparsity in sparsities], [f"{s:g}" for s in sparsities], rotation=60)
    axes.xaxis.set_minor_locator(NullLocator())


def draw_split(results: list[Result], variant: str, title: str) -> Figure:
    """Milliseconds of each part of the median step, stacked: a panel a width, a bar a sparsity.

    Args:
        results: cells of one setting.
        variant: whose steps.
        title: names the setting.
    """
    across = widths(results)
    with style():
        figure = Figure(figsize=(1.2 + 3.0 * len(across), 3.9))
        panels = figure.subplots(1, len(across), squeeze=False)[0]
        for axes, width in zip(panels, across, strict=True):
            bars = [each for each in results if each.cell.width == width and variant in each.variants]
            bottom = [0.0] * len(bars)
            for part, colour, hatch in zip(PARTS, sequential(len(PARTS)), HATCHES, strict=True):
                heights = [part_milliseconds(each.variants[variant])[part] for each in bars]
                axes.bar(
                    [f"{each.cell.sparsity:g}" for each in bars],
                    heights,
                    bottom=bottom,
                    label=part,
                    color=colour,
                    hatch=hatch,
                    edgecolor="white",
                    linewidth=0.5,
                )
                bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
            axes.set(title=f"width {width}", xlabel="sparsity")
            axes.tick_params(axis="x", rotation=60)
            axes.grid(visible=False, axis="x")
            axes.set_axisbelow(True)
        panels[0].set_ylabel(f"{variant}: ms a step")
        figure.suptitle(title, fontsize=10)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center")
    return figure
