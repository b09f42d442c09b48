"""Figures of a coordinate check hold the numbers they were given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.coordinates import PanelRow, SizeLine, SizePanel, draw_panels

Points = Callable[[Axes], list[list[tuple[float, float]]]]

FIRST = SizeLine("0", (-2.0, 0.0), (-1.0, 0.0))
LAST = SizeLine("10", (-2.0, 0.0), (0.5, 1.0))
ROWS = [
    PanelRow("activation", (SizePanel("SP", (FIRST, LAST), "slope +0.50"), SizePanel("SμPar", (FIRST,), ""))),
    PanelRow("update", (SizePanel("SP", (LAST,), ""), SizePanel("SμPar", (), ""))),
]


@pytest.fixture
def figure() -> Figure:
    return draw_panels(ROWS, "log2 density", "step", flipped=True)


def test_panels_hold_their_lines(figure: Figure, points: Points) -> None:
    first, last = [(-2.0, -1.0), (0.0, 0.0)], [(-2.0, 0.5), (0.0, 1.0)]
    assert [points(axes) for axes in figure.axes] == [[first, last], [first], [last], []]


def test_labels(figure: Figure) -> None:
    assert [axes.get_title() for axes in figure.axes] == ["SP", "SμPar", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["activation", "", "update", ""]
    assert figure.get_supxlabel() == "log2 density"
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "step"
    assert [text.get_text() for text in legend.get_texts()] == ["0", "10"]
    assert "slope +0.50" in {text.get_text() for text in figure.axes[0].texts}


def test_a_line_has_the_same_look_in_every_panel(figure: Figure) -> None:
    looks = {(str(line.get_label()), line.get_color(), str(line.get_marker())) for a in figure.axes for line in a.lines}
    assert len(looks) == 2
    assert len({colour for _, colour, _ in looks}) == len({marker for _, _, marker in looks}) == 2


@pytest.mark.parametrize("flipped", [True, False])
def test_axes_are_shared_and_flipped_on_demand(flipped: bool) -> None:
    figure = draw_panels(ROWS, "x", "step", flipped=flipped)
    assert [axes.xaxis_inverted() for axes in figure.axes] == [flipped] * 4
    left, right, *_ = figure.axes
    assert left.get_ylim() == right.get_ylim()


def test_nothing_overlaps_beneath_the_panels(figure: Figure) -> None:
    """Guards against a long label under every panel, which ran into its neighbours."""
    assert {axes.get_xlabel() for axes in figure.axes} == {""}
