"""The demo's picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.axes import Axes

from smupar_transfer.reporting.figures.demo import draw_demo
from smupar_transfer.statistics.comparison import Comparison

Points = Callable[[Axes], list[list[tuple[float, float]]]]


def comparison(name: str, losses: tuple[float, ...], zero_shot: float) -> Comparison:
    rates = tuple(-6.0 + index for index in range(len(losses)))
    return Comparison(name, name.upper(), -5.0, zero_shot, min(losses), -5.0, True, rates, losses, 1.0, 1.0)


@pytest.fixture
def axes() -> Axes:
    shown = [comparison("sp", (2.75, 2.5, 2.25), 2.5), comparison("smupar", (2.25, 2.0, math.inf), 2.0)]
    (only,) = draw_demo(shown, "a title").axes
    return only


def test_a_curve_and_a_star_a_parametrization(axes: Axes, points: Points) -> None:
    assert points(axes)[:4] == [
        [(-6.0, 2.75), (-5.0, 2.5), (-4.0, 2.25)],
        [(-5.0, 2.5)],
        [(-6.0, 2.25), (-5.0, 2.0)],
        [(-5.0, 2.0)],
    ]
    assert [line.get_marker() for line in axes.get_lines()[1:4:2]] == ["*", "*"]
    assert axes.get_title() == "a title"


def test_what_was_tuned_dense_is_an_open_star_on_the_curve_that_is_there(points: Points) -> None:
    sp = comparison("sp", (2.75, 2.5, 2.25), 2.5)
    reused = replace(sp, title="re-used", zero_shot=2.75, zero_shot_log2_rate=-6.0, tuned_dense=True)
    (axes,) = draw_demo([sp, reused], "t").axes
    assert points(axes)[:3] == [[(-6.0, 2.75), (-5.0, 2.5), (-4.0, 2.25)], [(-5.0, 2.5)], [(-6.0, 2.75)]]
    open_star = axes.get_lines()[2]
    assert (open_star.get_marker(), open_star.get_markerfacecolor()) == ("*", "white")


def test_the_tuned_rate_is_marked(axes: Axes, points: Points) -> None:
    assert {rate for rate, _ in points(axes)[4]} == {-5.0}


def test_zero_shot_losses_are_written_out(axes: Axes) -> None:
    assert [text.get_text() for text in axes.texts] == ["SP: 2.500", "SMUPAR: 2.000"]


def test_what_is_written_beside_a_star_stands_clear_of_the_curve() -> None:
    rising, falling = comparison("sp", (2.75, 2.5, 2.75), 2.5), comparison("smupar", (2.25, 2.0, 1.75), 2.0)
    (axes,) = draw_demo([rising, falling], "t").axes
    below, above = (text.get_position()[1] for text in axes.texts)
    assert below < 0 < above


def test_a_zero_shot_run_that_diverged_has_no_star(points: Points) -> None:
    (axes,) = draw_demo([comparison("sp", (2.75, math.inf), math.inf)], "t").axes
    assert points(axes)[0] == [(-6.0, 2.75)]
    assert "*" not in [line.get_marker() for line in axes.get_lines()]
    assert not axes.texts


def test_where_all_diverged_the_picture_is_empty(points: Points) -> None:
    (axes,) = draw_demo([comparison("sp", (math.inf,), math.inf)], "t").axes
    assert len(points(axes)) == 1, "the tuned rate only"
