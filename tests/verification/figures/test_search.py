"""Figures of a search."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from smupar_transfer.verification.figures.search import best_so_far, beyond, draw_history, draw_slices

Points = Callable[[Axes], list[list[tuple[float, float]]]]

VALUES = [2.5, None, 2.25, 2.75, None, 2.0]
COLUMNS = {
    "learning_rate": [0.01, 0.5, 0.02, 0.04, 0.25, 0.03],
    "weight_decay": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
}
LOGARITHMIC = {"learning_rate": True, "weight_decay": False}


@given(st.lists(st.none() | st.floats(0.0, 10.0), max_size=20))
def test_the_best_so_far_is_the_running_minimum(values: list[float | None]) -> None:
    found = best_so_far(values)
    assert len(found) == len(values)
    for index, best in enumerate(found):
        assert best == min((value for value in values[: index + 1] if value is not None), default=math.inf)


def test_the_history_has_every_trial(points: Points) -> None:
    (axes,) = draw_history([0, 1, 2, 3, 4, 5], VALUES).axes
    complete, lost, best, _ = points(axes)
    assert complete == [(0, 2.5), (2, 2.25), (3, 2.75), (5, 2.0)]
    assert [trial for trial, _ in lost] == [1, 4]
    assert best == [(0, 2.5), (1, 2.5), (2, 2.25), (3, 2.25), (4, 2.25), (5, 2.0)]
    assert axes.get_lines()[2].get_drawstyle() == "steps-post", "a loss holds from its trial on"
    assert axes.get_xlabel() == "trial"


def test_a_history_may_begin_with_lost_trials(points: Points) -> None:
    (axes,) = draw_history([0, 1], [None, 2.0]).axes
    assert points(axes)[2] == [(0, math.inf), (1, 2.0)]


def test_a_history_without_a_completed_trial_shows_the_lost_ones(points: Points) -> None:
    (axes,) = draw_history([0, 1], [None, None]).axes
    lost, best = [line for line in points(axes) if line]
    assert [trial for trial, _ in lost] == [0, 1]
    assert best == [(0, math.inf), (1, math.inf)]


def test_a_panel_a_hyperparameter(points: Points) -> None:
    left, right, bar = draw_slices(COLUMNS, VALUES, LOGARITHMIC).axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("learning rate η", "weight decay λ")
    assert bar.get_ylabel() == "trial"
    scattered = [np.asarray(axes.collections[0].get_offsets()).tolist() for axes in (left, right)]
    assert scattered[0] == [[0.01, 2.5], [0.02, 2.25], [0.04, 2.75], [0.03, 2.0]]
    assert scattered[1] == [[0.0, 2.5], [0.2, 2.25], [0.3, 2.75], [0.5, 2.0]]
    assert points(left)[0] == [(0.03, 2.0)]
    assert points(right)[0] == [(0.5, 2.0)]


def test_losses_far_above_the_best_are_wedges_at_the_top(points: Points) -> None:
    top, above = beyond([1, 2, 3], [2.0, 2.1, 2.3])
    assert top == pytest.approx(2.2)
    assert above == [3]
    assert beyond([], []) == (math.inf, [])
    (axes,) = draw_history([0, 1, 2], [2.0, 2.1, 2.3]).axes
    assert axes.get_ylim()[1] == pytest.approx(2.2)
    assert [trial for trial, _ in points(axes)[-1]] == [2]
    (axes,) = draw_history([0, 1], [2.0, 2.1]).axes
    assert axes.get_ylim()[1] < 2.2, "nothing is cut where nothing is far"


def test_trials_are_shaded_by_number() -> None:
    left, *_ = draw_slices(COLUMNS, VALUES, LOGARITHMIC).axes
    shades = left.collections[0].get_array()
    assert shades is not None
    assert shades.tolist() == [0, 2, 3, 5]


def test_axes_are_logarithmic_where_the_search_was() -> None:
    left, right, _ = draw_slices(COLUMNS, VALUES, LOGARITHMIC).axes
    assert (left.get_xscale(), right.get_xscale()) == ("log", "linear")


@pytest.mark.parametrize("count", [1, 5])
def test_any_number_of_hyperparameters_can_be_drawn(count: int) -> None:
    columns = {f"h{index}": [1.0, 2.0] for index in range(count)}
    figure = draw_slices(columns, [2.0, 3.0], dict.fromkeys(columns, False))
    assert len(figure.axes) == count + 1
    assert figure.axes[0].get_xlabel() == "h0"
