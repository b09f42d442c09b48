"""Quantities of several families side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.style import style
from smupar_transfer.reporting.figures.tracks import APART, Ticks, Track, draw_panels, looks_of, panels_of
from smupar_transfer.theory import PARAMETRIZATIONS

SP = Track("sp", "SP", "", (0.0, -2.0), (-6.0, -3.0), (-6.25, -3.5), (-5.5, -2.75), (True, False))
SMUPAR = Track("smupar", "SμPar", "", (0.0, -3.0), (-5.0, -4.75), (-5.0, -5.0), (-5.0, -4.5), (True, True))
TICKS = Ticks((-3.0, -2.0, 0.0), ("0.875", "0.75", "0"), "sparsity of hidden weights", reverse=True)
DECAYED = [replace(track, variant=variant) for track in (SP, SMUPAR) for variant in ("no decay", "decay 0.1")]


def drawn(tracks: list[Track]) -> Figure:
    with style():
        return draw_panels(tracks, TICKS, "a quantity", lambda axes, own: axes.set_label(f"{len(own)} tracks"))


def the_axes(tracks: list[Track]) -> Axes:
    (axes,) = drawn(tracks).axes
    return axes


def test_tracks_stand_beside_each_other_where_their_cells_are() -> None:
    axes = the_axes([SP, replace(SP, name="mup", title="μP"), SMUPAR])
    axes.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    first, second, third = (
        line.get_transform().transform((-2.0, -4.0)) for line in axes.get_lines() if "P" in str(line.get_label())
    )
    assert second[0] - first[0] == pytest.approx(third[0] - second[0])
    assert abs(second[0] - first[0]) * 72 / axes.figure.dpi == pytest.approx(APART)
    assert axes.transData.transform((-2.0, -4.0)) == pytest.approx(second)
    low, high = sorted(axes.get_ylim())
    assert low < -6.25
    assert -2.75 < high < -2
    assert sorted(axes.get_xlim()) == pytest.approx([-3.24, 0.24])


@pytest.mark.parametrize(("track", "colour"), [(SP, "#d55e00"), (replace(SP, name="new"), "#333333")])
def test_a_parametrization_has_its_colour(track: Track, colour: str) -> None:
    assert to_hex(the_axes([track]).get_lines()[0].get_color()) == colour


def test_parametrizations_differ_in_colour_and_marker() -> None:
    looks = looks_of([replace(SP, name=name) for name in PARAMETRIZATIONS])
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(PARAMETRIZATIONS)


def test_variants_of_one_parametrization_differ_in_colour_and_marker() -> None:
    variants = [replace(SMUPAR, variant=f"width {width}") for width in (64, 128, 256)]
    assert len(panels_of(variants)) == 1
    looks = looks_of(variants)
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3


def test_several_variants_of_several_parametrizations_have_a_panel_a_variant() -> None:
    assert [(title, [track.name for track in own]) for title, own in panels_of(DECAYED)] == [
        ("no decay", ["sp", "smupar"]),
        ("decay 0.1", ["sp", "smupar"]),
    ]
    figure = drawn(DECAYED)
    assert [axes.get_title() for axes in figure.axes] == ["no decay", "decay 0.1"]
    assert [axes.get_label() for axes in figure.axes] == ["2 tracks", "2 tracks"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["a quantity", ""]
    assert all(axes.xaxis_inverted() for axes in figure.axes), "dense is on the left of each"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["SP", "SμPar"]
    colours = [to_hex(axes.get_lines()[0].get_color()) for axes in figure.axes]
    assert colours[0] == colours[1], "a parametrization keeps its look"


@pytest.mark.parametrize("tracks", [[], [SP], [SP, SMUPAR]])
def test_otherwise_all_are_in_one_panel(tracks: list[Track]) -> None:
    assert panels_of(tracks) == [("", tracks)]
    axes = the_axes(tracks)
    assert axes.get_ylabel() == "a quantity"
    assert not axes.get_title()


def test_long_names_take_no_room_from_the_panel() -> None:
    widths = []
    for variant in ("", "tokens 204,800, ε = 1e-14, warm-up 0.1"):
        figure = drawn([replace(SMUPAR, variant=variant)])
        figure.draw_without_rendering()
        (axes,) = figure.axes
        widths.append(axes.get_window_extent().width)
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
