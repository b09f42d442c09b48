"""Figures of a stability sweep hold the numbers they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.figures.stability import (
    Curve,
    Panel,
    Track,
    draw_loss_curves,
    draw_optimum_tracks,
)
from smupar_transfer.verification.figures.style import PARAMETRIZATION_COLOURS

Points = Callable[[Axes], list[list[tuple[float, float]]]]

DENSE = Curve("0", (-8.0, -7.0, -6.0), (2.5, 2.25, 2.375), (0.125, 0.25, 0.0), (-6.75, 2.25), at_edge=False)
SPARSE = Curve("0.75", (-8.0, -7.0), (2.75, 2.5), (0.0, 0.0), (-7.0, 2.5), at_edge=True)
LOST = Curve("0.9", (), (), (), None, at_edge=True)
SP = Track("sp", "SP", (0.0, -2.0), (-6.0, -3.0), (-6.25, -3.5), (-5.5, -2.75), (True, False))
SMUPAR = Track("smupar", "SμPar", (0.0, -3.0), (-5.0, -4.75), (-5.0, -5.0), (-5.0, -4.5), (True, True))


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


def test_a_panel_a_parametrization(points: Points) -> None:
    figure = draw_loss_curves([Panel("SP", (DENSE, SPARSE)), Panel("SμPar", (DENSE,))], ceiling=3.0)
    assert isinstance(figure, Figure)
    assert [axes.get_title() for axes in figure.axes] == ["SP", "SμPar"]
    assert legend_of(figure) == ["0", "0.75"]
    left, right = figure.axes
    dense = [(-8.0, 2.5), (-7.0, 2.25), (-6.0, 2.375)]
    assert points(left) == [dense, [(-6.75, 2.25)], [(-8.0, 2.75), (-7.0, 2.5)], [(-7.0, 2.5)]]
    assert points(right) == [dense, [(-6.75, 2.25)]]


def test_error_bars_reach_a_standard_error_each_way() -> None:
    (axes,) = draw_loss_curves([Panel("SP", (DENSE,))], ceiling=3.0).axes
    assert segments(axes) == [
        [[-8.0, 2.375], [-8.0, 2.625]],
        [[-7.0, 2.0], [-7.0, 2.5]],
        [[-6.0, 2.375], [-6.0, 2.375]],
    ]


def test_optima_that_are_bounds_are_open_stars() -> None:
    (axes,) = draw_loss_curves([Panel("SP", (DENSE, SPARSE))], ceiling=3.0).axes
    stars = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [line.get_markerfacecolor() == "white" for line in stars] == [False, True]


def test_the_loss_axis_reaches_from_below_the_best_loss_to_the_ceiling() -> None:
    left, right = draw_loss_curves([Panel("SP", (DENSE,)), Panel("SμPar", (SPARSE,))], ceiling=3.0).axes
    assert left.get_ylim() == right.get_ylim()
    assert list(left.get_ylim()) == pytest.approx([2.25 - 0.03, 3.0])


@pytest.mark.parametrize("curves", [(LOST,), (DENSE, LOST), ()])
def test_cells_in_which_nothing_trained_are_drawn_as_nothing(points: Points, curves: tuple[Curve, ...]) -> None:
    (axes,) = draw_loss_curves([Panel("SP", curves)], ceiling=3.0).axes
    assert [len(line) for line in points(axes) if line] == ([3, 1] if DENSE in curves else [])


def test_no_curve_is_dropped_however_many_there_are(points: Points) -> None:
    curves = tuple(replace(DENSE, label=str(index), optimum=None) for index in range(12))
    (axes,) = draw_loss_curves([Panel("SP", curves)], ceiling=3.0).axes
    assert len(points(axes)) == 12


def shown(axes: Axes, points: Points, label: str) -> list[tuple[float, float]]:
    labels = [line.get_label() for line in axes.get_lines()]
    return points(axes)[labels.index(label)]


def test_a_track_a_parametrization(points: Points) -> None:
    figure = draw_optimum_tracks([SP, SMUPAR])
    (axes,) = figure.axes
    assert shown(axes, points, "SP") == [(0.0, -6.0), (-2.0, -3.0)]
    assert shown(axes, points, "SμPar") == [(0.0, -5.0), (-3.0, -4.75)]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["SP", "SμPar"]
    assert axes.xaxis_inverted(), "dense is on the left"


def test_a_track_has_its_intervals_and_a_line_of_no_drift(points: Points) -> None:
    (axes,) = draw_optimum_tracks([SP]).axes
    assert segments(axes) == [[[0.0, -6.25], [0.0, -5.5]], [[-2.0, -3.5], [-2.0, -2.75]]]
    dotted = [height for line in points(axes)[-1:] for _, height in line]
    assert dotted == [-6.0, -6.0]


def test_optima_that_are_bounds_are_open_markers() -> None:
    (axes,) = draw_optimum_tracks([SP]).axes
    single = [line for line in axes.get_lines() if len(np.atleast_1d(np.asarray(line.get_xdata()))) == 1]
    colour = PARAMETRIZATION_COLOURS["sp"]
    assert [line.get_markerfacecolor() for line in single] == [colour, "white"]


@pytest.mark.parametrize(("track", "colour"), [(SP, "#d55e00"), (replace(SP, name="new"), "#333333")])
def test_a_parametrization_has_its_colour(track: Track, colour: str) -> None:
    (axes,) = draw_optimum_tracks([track]).axes
    assert to_hex(axes.get_lines()[0].get_color()) == colour


@pytest.mark.parametrize("tracks", [[], [SP] * len(PARAMETRIZATIONS)])
def test_any_number_of_tracks_can_be_drawn(points: Points, tracks: Sequence[Track]) -> None:
    (axes,) = draw_optimum_tracks(tracks).axes
    assert len([line for line in axes.get_lines() if line.get_label() == "SP"]) == len(tracks)
