"""Figures of a search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.tuning_history import best_so_far, beyond, draw_history, draw_slices, given_up

Points = Callable[[Axes], list[list[tuple[float, float]]]]

RATES = [0.01, 0.5, 0.02, 0.04, 0.25, 0.03]
DECAYS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
LOGARITHMIC = {"learning_rate": True, "weight_decay": False}


@dataclass(frozen=True)
class ATrial:
    """As ``tuning.TrialOutcome``."""

    number: int
    value: float | None
    outcome: str = "complete"
    last: tuple[int, float] | None = (200, 2.5)
    hparams: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None


def trials(*values: float | None, outcome: str = "pruned", last: float = 2.125) -> list[ATrial]:
    """Those without a value ended in ``outcome``, with ``last`` as their last loss."""
    return [
        ATrial(
            number,
            value,
            "complete" if value is not None else outcome,
            (200, value) if value is not None else (50, last),
            {"learning_rate": RATES[number], "weight_decay": DECAYS[number]},
        )
        for number, value in enumerate(values)
    ]


TRIALS = trials(2.125, None, 2.0625, 2.1875, None, 2.0)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@given(st.lists(st.none() | st.floats(0.0, 10.0), max_size=20))
def test_the_best_so_far_is_the_running_minimum(values: list[float | None]) -> None:
    running = best_so_far(values)
    assert len(running) == len(values)
    for index, best in enumerate(running):
        assert best == min((value for value in values[: index + 1] if value is not None), default=math.inf)


def test_the_history_has_every_trial(points: Points) -> None:
    (axes,) = draw_history(TRIALS).axes
    complete, lost, best = points(axes)
    assert complete == [(0, 2.125), (2, 2.0625), (3, 2.1875), (5, 2.0)]
    assert [trial for trial, _ in lost] == [1, 4]
    assert best == [(0, 2.125), (1, 2.125), (2, 2.0625), (3, 2.0625), (4, 2.0625), (5, 2.0)]
    assert axes.get_lines()[2].get_drawstyle() == "steps-post", "a loss holds from its trial on"
    assert axes.get_xlabel() == "trial"
    assert [line.get_label() for line in axes.get_lines()] == ["complete (4)", "pruned (2)", "best so far"]


def test_diverged_trials_are_told_from_pruned_ones(points: Points) -> None:
    (axes,) = draw_history([*TRIALS[:5], *trials(*[None] * 6, outcome="diverged")[5:]]).axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ["complete (3)", "pruned (2)", "diverged (1)", "best so far"]
    assert [trial for trial, _ in points(axes)[2]] == [5]


def test_a_history_may_begin_with_lost_trials(points: Points) -> None:
    (axes,) = draw_history(trials(None, 2.0)).axes
    assert points(axes)[2] == [(0, math.inf), (1, 2.0)]


def test_a_history_without_a_completed_trial_shows_the_lost_ones(points: Points) -> None:
    (axes,) = draw_history(trials(None, None)).axes
    lost, best = [line for line in points(axes) if line]
    assert [trial for trial, _ in lost] == [0, 1]
    assert best == [(0, math.inf), (1, math.inf)]


def test_a_panel_a_hyperparameter(points: Points) -> None:
    left, right, bar = draw_slices(TRIALS, LOGARITHMIC).axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("learning rate η", "weight decay λ")
    assert bar.get_ylabel() == "trial"
    scattered = [np.asarray(axes.collections[0].get_offsets()).tolist() for axes in (left, right)]
    assert scattered[0] == [[0.01, 2.125], [0.02, 2.0625], [0.04, 2.1875], [0.03, 2.0]]
    assert scattered[1] == [[0.0, 2.125], [0.2, 2.0625], [0.3, 2.1875], [0.5, 2.0]]
    assert points(left)[1] == [(0.03, 2.0)]
    assert points(right)[1] == [(0.5, 2.0)]


def test_pruned_trials_are_grey_at_their_last_loss_and_counted(points: Points) -> None:
    """Guards against slices that leave most trials out without a word."""
    figure = draw_slices(TRIALS, LOGARITHMIC)
    left, right, _ = figure.axes
    assert points(left)[0] == [(0.5, 2.125), (0.25, 2.125)]
    assert points(right)[0] == [(0.1, 2.125), (0.4, 2.125)]
    assert left.get_lines()[0].get_color() == "#888888"
    assert words(figure) == ["complete (4)", "best", "pruned (2), at its last loss"]


def test_diverged_trials_are_crosses_at_the_top(points: Points) -> None:
    lost = trials(2.0, None, 2.0625, outcome="diverged")
    figure = draw_slices(lost, LOGARITHMIC)
    assert [at for at, _ in points(figure.axes[0])[2]] == [0.5]
    assert words(figure) == ["complete (2)", "best", "diverged (1)"]


def test_a_trial_that_was_pruned_before_any_validation_has_no_loss() -> None:
    assert given_up([ATrial(0, None, "pruned", None), ATrial(1, None, "diverged"), ATrial(2, 2.0)]) == []


def test_losses_far_above_the_best_are_wedges_at_the_top(points: Points) -> None:
    top, above = beyond([1, 2, 3], [2.0, 2.1, 2.3], 2.0)
    assert top == pytest.approx(2.2)
    assert above == [3]
    assert beyond([], [], math.inf) == (math.inf, [])
    (axes,) = draw_history(trials(2.0, 2.1, 2.3)).axes
    assert axes.get_ylim() == pytest.approx((1.98, 2.2))
    assert [trial for trial, _ in points(axes)[-1]] == [2]
    (axes,) = draw_history(trials(2.0, 2.1)).axes
    assert axes.get_ylim()[1] < 2.2, "nothing is cut where nothing is far"


def test_pruned_trials_far_above_do_not_press_the_others_together(points: Points) -> None:
    figure = draw_slices(trials(2.0, None, 2.0625, last=9.0), LOGARITHMIC)
    axes = figure.axes[0]
    assert axes.get_ylim() == pytest.approx((1.98, 2.2))
    wedges = points(axes)[-1]
    assert [at for at, _ in wedges] == [0.5]
    assert words(figure)[-1] == "above the axis"


def test_completed_trials_far_above_keep_their_shade() -> None:
    """They were blue, as no other completed trial of the figure."""
    axes = draw_slices(trials(2.0, 2.1, 9.0), LOGARITHMIC).axes[0]
    shades = axes.collections[0]
    (wedge,) = [line for line in axes.get_lines() if line.get_marker() == "^"]
    first, last = shades.to_rgba(np.array([0.0, 2.0]))
    assert np.array_equal(wedge.get_color(), last)
    assert not np.array_equal(wedge.get_color(), first)


@pytest.mark.parametrize(("on_target", "title"), [(False, "Search on the dense proxy"), (True, "Search on the target")])
def test_the_title_says_what_was_trained(on_target: bool, title: str) -> None:
    (axes,) = draw_history(TRIALS, on_target=on_target).axes
    assert axes.get_title().startswith(title)


def test_trials_are_shaded_by_number() -> None:
    left, *_ = draw_slices(TRIALS, LOGARITHMIC).axes
    shades = left.collections[0].get_array()
    assert shades is not None
    assert shades.tolist() == [0, 2, 3, 5]


def test_axes_are_logarithmic_where_the_search_was() -> None:
    left, right, _ = draw_slices(TRIALS, LOGARITHMIC).axes
    assert (left.get_xscale(), right.get_xscale()) == ("log", "linear")


@pytest.mark.parametrize("count", [1, 5])
def test_any_number_of_hyperparameters_can_be_drawn(count: int) -> None:
    names = [f"h{index}" for index in range(count)]
    made = [ATrial(number, 2.0 + number, hparams=dict.fromkeys(names, 1.0 + number)) for number in range(2)]
    figure = draw_slices(made, dict.fromkeys(names, False))
    assert len(figure.axes) == count + 1
    assert figure.axes[0].get_xlabel() == "h0"
