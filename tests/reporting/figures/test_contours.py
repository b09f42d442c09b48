"""Contours hold the numbers they were given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

from smupar_transfer.reporting.figures.contours import Contours, draw_contours

Points = Callable[[Axes], list[list[tuple[float, float]]]]
NAN = math.nan
BOWL = Contours(
    "SP",
    (-8.0, -7.0, -6.0),
    (-4.0, -3.0),
    ((2.5, 2.0, 2.5), (2.75, 2.25, NAN)),
    optimum=(-7.0, -4.0),
    exact=True,
    region=((-7.5, -4.0), (-6.5, -4.0), (-7.5, -4.0)),
    proxy=(-6.5, -3.5),
)
LEVELS = [2.0, 2.25, 2.5]


def drawn(*panels: Contours) -> list[Axes]:
    return draw_contours(panels, LEVELS, "log2 rate", "log2 std").axes[: len(panels)]


def test_a_panel_a_cell_with_shared_levels() -> None:
    figure = draw_contours([BOWL, replace(BOWL, title="SμPar")], LEVELS, "log2 rate", "log2 std")
    left, right, bar = figure.axes
    assert (left.get_title(), right.get_title()) == ("SP", "SμPar")
    assert bar.get_ylabel() == "validation loss (nats / token)"
    for axes in (left, right):
        filled, lines = (item for item in axes.collections if isinstance(item, QuadContourSet))
        assert list(filled.levels) == list(lines.levels) == LEVELS


def test_runs_optimum_region_and_proxy_are_marked(points: Points) -> None:
    (axes,) = drawn(BOWL)
    runs, region, proxy, optimum = points(axes)
    assert runs == [(x, y) for y in (-4.0, -3.0) for x in (-8.0, -7.0, -6.0)]
    assert region == [(-7.5, -4.0), (-6.5, -4.0), (-7.5, -4.0)]
    assert (proxy, optimum) == ([(-6.5, -3.5)], [(-7.0, -4.0)])


def test_an_optimum_that_is_a_bound_is_open() -> None:
    (left, right) = drawn(BOWL, replace(BOWL, exact=False))
    assert left.get_lines()[-1].get_markerfacecolor() != "white"
    assert right.get_lines()[-1].get_markerfacecolor() == "white"


def test_a_cell_in_which_nothing_trained_is_drawn_without_contours(points: Points) -> None:
    lost = replace(BOWL, losses=((NAN,) * 3,) * 2, optimum=None, region=(), proxy=None)
    axes, _ = drawn(lost, BOWL)
    assert not [item for item in axes.collections if isinstance(item, QuadContourSet)]
    assert len(points(axes)) == 1


def test_one_row_of_runs_is_no_surface() -> None:
    (axes,) = drawn(replace(BOWL, y=(-4.0,), losses=((2.5, 2.0, 2.5),)))
    assert not np.any([isinstance(item, QuadContourSet) for item in axes.collections])
