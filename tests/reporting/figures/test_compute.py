"""Compute-to-loss curves hold the numbers they were given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from smupar_transfer.reporting.figures.compute import ComputeCurve, draw_compute_curves

Points = Callable[[Axes], list[list[tuple[float, float]]]]
PROXY = ComputeCurve("smupar", "on the proxy", False, (1.25, 1.5), (2.5, 2.25), (2.25, 2.0), (2.75, 2.5))
DIRECT = replace(PROXY, title="directly", dashed=True, cost=(1.0, 2.0))


def test_a_curve_a_way_over_logarithmic_compute(points: Points) -> None:
    (axes,) = draw_compute_curves([PROXY, DIRECT]).axes
    assert points(axes) == [[(1.25, 2.5), (1.5, 2.25)], [(1.0, 2.5), (2.0, 2.25)]]
    assert axes.get_xscale() == "log"
    proxy, direct = axes.get_lines()
    assert (proxy.get_linestyle(), direct.get_linestyle()) == ("-", "--")
    assert proxy.get_marker() != direct.get_marker(), "to be told apart in grey"


def test_bands_reach_from_low_to_high() -> None:
    (axes,) = draw_compute_curves([PROXY]).axes
    heights = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (2.0, 2.75)


def test_nothing_is_an_empty_figure() -> None:
    (axes,) = draw_compute_curves([]).axes
    assert list(axes.get_lines()) == []
