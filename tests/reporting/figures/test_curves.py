"""Learning curves."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes

from smupar_transfer.reporting.figures.curves import Training, TrainingPanel, draw_learning_curve, draw_learning_curves

Points = Callable[[Axes], list[list[tuple[float, float]]]]


def test_both_losses_are_drawn_over_steps(points: Points) -> None:
    (axes,) = draw_learning_curve([5, 10, 15], [3.0, 2.5, 2.25], [2.75, 2.5, 2.375]).axes
    assert points(axes) == [[(5, 3.0), (10, 2.5), (15, 2.25)], [(5, 2.75), (10, 2.5), (15, 2.375)]]
    assert [line.get_label() for line in axes.get_lines()] == ["training (mean since the point before)", "validation"]


def test_a_curve_ends_where_the_run_diverged(points: Points) -> None:
    (axes,) = draw_learning_curve([5, 10], [3.0, None], [2.75, None]).axes
    assert points(axes) == [[(5, 3.0)], [(5, 2.75)]]


def test_a_run_that_diverged_at_once_has_no_curve(points: Points) -> None:
    (axes,) = draw_learning_curve([2], [None], [None]).axes
    assert points(axes) == []
    assert [text.get_text() for text in axes.texts] == ["no loss was finite"]
    assert (list(axes.get_xticks()), list(axes.get_yticks())) == ([], []), "empty axes have no numbers"


def test_a_panel_a_family_and_a_curve_a_cell(points: Points) -> None:
    dense, sparse = Training("0", (100, 200), (2.5, 2.0)), Training("0.5", (100, 200), (2.75, 2.25))
    figure = draw_learning_curves([TrainingPanel("SP", (dense, sparse)), TrainingPanel("SμPar", (sparse,))], "sparsity")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("SP", "SμPar")
    assert points(left) == [[(100.0, 2.5), (200.0, 2.0)], [(100.0, 2.75), (200.0, 2.25)]]
    assert points(right) == [[(100.0, 2.75), (200.0, 2.25)]]
    assert left.get_lines()[1].get_color() == right.get_lines()[0].get_color(), "a cell looks the same in every panel"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "0.5"]
    assert legend.get_title().get_text() == "sparsity"
