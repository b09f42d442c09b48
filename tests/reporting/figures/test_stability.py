"""Figures of a stability sweep hold the numbers they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.stability import (
    Curve,
    LossPanel,
    draw_gain,
    draw_loss_curves,
    draw_optimum_tracks,
    draw_proxy_sizes,
    draw_regret,
)
from smupar_transfer.reporting.figures.tracks import Ticks, Track
from smupar_transfer.theory import PARAMETRIZATIONS

Points = Callable[[Axes], list[list[tuple[float, float]]]]

DENSE = Curve(
    "0", (-8.0, -7.0, -6.0), (2.5, 2.25, 2.375), (0.125, 0.25, 0.0), (False, False, False), (-6.75, 2.25), at_edge=False
)
SPARSE = Curve("0.75", (-8.0, -7.0), (2.75, 2.5), (0.0, 0.0), (False, False), (-7.0, 2.5), at_edge=True)
LOST = Curve("0.9", (), (), (), (), None, at_edge=True)
SP = Track("sp", "SP", "", (0.0, -2.0), (-6.0, -3.0), (-6.25, -3.5), (-5.5, -2.75), (True, False))
SMUPAR = Track("smupar", "SμPar", "", (0.0, -3.0), (-5.0, -4.75), (-5.0, -5.0), (-5.0, -4.5), (True, True))
TICKS = Ticks((-3.0, -2.0, 0.0), ("0.875", "0.75", "0"), "sparsity of hidden weights", reverse=True)


def curves_of(panels: Sequence[LossPanel]) -> Figure:
    return draw_loss_curves(panels, 2.0, 3.0, "log2 base learning rate", "sparsity")


def segments(axes: Axes) -> list[list[list[float]]]:
    """Error bars and intervals: the end points of each."""
    return [
        np.asarray(path.vertices).tolist()
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        for path in collection.get_paths()
    ]


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_panel_a_family(points: Points) -> None:
    figure = curves_of([LossPanel("SP", (DENSE, SPARSE)), LossPanel("SμPar", (DENSE,))])
    assert isinstance(figure, Figure)
    assert [axes.get_title() for axes in figure.axes] == ["SP", "SμPar"]
    assert legend_of(figure) == ["0", "0.75"]
    left, right = figure.axes
    dense = [(-8.0, 2.5), (-7.0, 2.25), (-6.0, 2.375)]
    assert points(left) == [dense, [(-6.75, 2.25)], [(-8.0, 2.75), (-7.0, 2.5)], [(-7.0, 2.5)]]
    assert points(right) == [dense, [(-6.75, 2.25)]]


def test_the_proxys_value_is_a_dotted_line(points: Points) -> None:
    figure = curves_of([LossPanel("SP", (DENSE,), proxy=-7.5), LossPanel("SμPar", (DENSE,))])
    left, right = figure.axes
    assert [x for x, _ in points(left)[-1]] == [-7.5, -7.5]
    assert left.get_lines()[-1].get_linestyle() == ":"
    assert len(points(right)) == 2
    assert legend_of(figure) == ["0", "from the proxy"]


def test_error_bars_reach_a_standard_error_each_way() -> None:
    (axes,) = curves_of([LossPanel("SP", (DENSE,))]).axes
    assert segments(axes) == [
        [[-8.0, 2.375], [-8.0, 2.625]],
        [[-7.0, 2.0], [-7.0, 2.5]],
        [[-6.0, 2.375], [-6.0, 2.375]],
    ]


def test_optima_that_are_bounds_are_open_stars() -> None:
    (axes,) = curves_of([LossPanel("SP", (DENSE, SPARSE))]).axes
    stars = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [line.get_markerfacecolor() == "white" for line in stars] == [False, True]


def test_points_of_fewer_seeds_are_open(points: Points) -> None:
    (axes,) = curves_of([LossPanel("SP", (replace(DENSE, partial=(True, False, True)),))]).axes
    opened = [line for line in axes.get_lines() if line.get_markerfacecolor() == "white"]
    assert [points(axes)[axes.get_lines().index(line)] for line in opened] == [[(-8.0, 2.5), (-6.0, 2.375)]]
    assert {line.get_marker() for line in opened} == {axes.get_lines()[0].get_marker()}
    assert all(line.get_zorder() > axes.get_lines()[0].get_zorder() for line in opened), "not hidden by the line"


def test_panels_share_the_loss_axis() -> None:
    left, right = curves_of([LossPanel("SP", (DENSE,)), LossPanel("SμPar", (SPARSE,))]).axes
    assert left.get_ylim() == right.get_ylim() == (2.0, 3.0)


@pytest.mark.parametrize("curves", [(LOST,), (DENSE, LOST), ()])
def test_cells_in_which_nothing_trained_are_drawn_as_nothing(points: Points, curves: tuple[Curve, ...]) -> None:
    (axes,) = curves_of([LossPanel("SP", curves)]).axes
    assert [len(line) for line in points(axes) if line] == ([3, 1] if DENSE in curves else [])


def test_no_curve_is_dropped_however_many_there_are(points: Points) -> None:
    curves = tuple(replace(DENSE, label=str(index), optimum=None) for index in range(12))
    (axes,) = curves_of([LossPanel("SP", curves)]).axes
    assert len(points(axes)) == 12


def shown(axes: Axes, points: Points, label: str) -> list[tuple[float, float]]:
    labels = [line.get_label() for line in axes.get_lines()]
    return points(axes)[labels.index(label)]


def optima_of(tracks: Sequence[Track]) -> Axes:
    (axes,) = draw_optimum_tracks(tracks, TICKS, "log2 optimum").axes
    return axes


def test_a_track_a_family(points: Points) -> None:
    axes = optima_of([SP, SMUPAR])
    assert shown(axes, points, "SP") == [(0.0, -6.0), (-2.0, -3.0)]
    assert shown(axes, points, "SμPar") == [(0.0, -5.0), (-3.0, -4.75)]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["SP", "SμPar"]


def test_the_axis_of_scale_is_labelled_where_cells_are() -> None:
    axes = optima_of([SP, SMUPAR])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.875", "0.75", "0"]
    assert [float(position) for position in axes.get_xticks()] == [-3.0, -2.0, 0.0]
    assert axes.get_xlabel() == "sparsity of hidden weights"
    assert axes.xaxis_inverted(), "dense is on the left"
    (upwards,) = draw_optimum_tracks([SP], replace(TICKS, reverse=False), "").axes
    assert not upwards.xaxis_inverted()


def test_a_track_has_its_intervals_and_a_line_of_no_drift(points: Points) -> None:
    axes = optima_of([SP])
    assert segments(axes) == [[[0.0, -6.25], [0.0, -5.5]], [[-2.0, -3.5], [-2.0, -2.75]]]
    dotted = [height for line in points(axes)[-1:] for _, height in line]
    assert dotted == [-6.0, -6.0]


def test_intervals_without_an_end_have_arrows() -> None:
    axes = optima_of([replace(SP, endless=((False, True), (True, False)))])
    arrows = {str(line.get_marker()): np.atleast_1d(line.get_xydata())[0] for line in axes.get_lines()}
    assert tuple(arrows["^"]) == (SP.positions[0], SP.high[0])
    assert tuple(arrows["v"]) == (SP.positions[1], SP.low[1])


def test_optima_that_are_bounds_are_open_markers() -> None:
    axes = optima_of([SP])
    single = [line for line in axes.get_lines() if len(np.atleast_1d(np.asarray(line.get_xdata()))) == 1]
    assert [line.get_markerfacecolor() for line in single] == ["white"]
    assert [float(x) for x in np.atleast_1d(np.asarray(single[0].get_xdata()))] == [-2.0]


@pytest.mark.parametrize("tracks", [[], [SP] * len(PARAMETRIZATIONS)])
def test_any_number_of_tracks_can_be_drawn(tracks: Sequence[Track]) -> None:
    assert len([line for line in optima_of(tracks).get_lines() if line.get_label() == "SP"]) == len(tracks)


def test_regret_is_drawn_with_what_diverged_at_the_top(points: Points) -> None:
    (axes,) = draw_regret([replace(SP, values=(0.1, 12.0), lost=(-3.0,))], TICKS).axes
    assert shown(axes, points, "SP") == [(0.0, 0.1), (-2.0, 12.0)]
    (cross,) = (line for line in axes.get_lines() if line.get_marker() == "x")
    assert [float(x) for x in np.atleast_1d(np.asarray(cross.get_xdata()))] == [-3.0]
    assert axes.get_yscale() == "symlog"


@pytest.mark.parametrize(
    "draw", [lambda a, b: draw_gain(a, b, TICKS, "SP"), lambda a, b: draw_proxy_sizes(a, b, TICKS)]
)
def test_two_quantities_beside_each_other(points: Points, draw: Callable[..., Figure]) -> None:
    cost = replace(SP, values=(10.0, 100.0), low=(np.nan, np.nan), high=(np.nan, np.nan))
    figure = draw([SMUPAR, SP], [cost])
    left, right = figure.axes
    assert shown(left, points, "SμPar") == [(0.0, -5.0), (-3.0, -4.75)]
    assert shown(right, points, "SP") == [(0.0, 10.0), (-2.0, 100.0)]
    assert legend_of(figure) == ["SμPar", "SP"]
