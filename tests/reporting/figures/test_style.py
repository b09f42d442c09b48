"""One look, and files that depend on the numbers alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.curves import draw_learning_curve
from smupar_transfer.reporting.figures.style import (
    MARKERS,
    MATPLOTLIB_SETTINGS,
    PARAMETRIZATION_COLOURS,
    grid_of_panels,
    head,
    marker_of,
    save,
    sequential,
    style,
)
from smupar_transfer.theory import PARAMETRIZATIONS, InputError


def drawn(last: float = 2.0) -> Figure:
    return draw_learning_curve([1, 2], [3.0, 2.5], [3.0, last])


def saved(folder: Path, last: float = 2.0) -> list[bytes]:
    return [path.read_bytes() for path in save(drawn(last), folder / "figure")]


def test_a_figure_is_saved_as_png_and_svg(tmp_path: Path) -> None:
    written = save(drawn(), tmp_path / "new" / "lr_by_sparsity.v2")
    assert written == [tmp_path / "new" / f"lr_by_sparsity.v2{suffix}" for suffix in (".png", ".svg")]
    png, svg = (path.read_bytes() for path in written)
    assert png.startswith(b"\x89PNG\r\n")
    assert b"<svg" in svg


def test_the_same_numbers_make_the_same_files_and_others_do_not(tmp_path: Path) -> None:
    first = saved(tmp_path / "a")
    assert saved(tmp_path / "b") == first
    other = saved(tmp_path / "c", last=2.25)
    assert other[0] != first[0]
    assert other[1] != first[1]


def test_a_figure_saved_twice_is_the_same_twice(tmp_path: Path) -> None:
    figure = drawn()
    first, second = (save(figure, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        save(drawn(), tmp_path / "file" / "figure")


def test_the_look_lasts_no_longer_than_its_block() -> None:
    before = dict(mpl.rcParams)
    with style():
        assert all(mpl.rcParams[key] == value for key, value in MATPLOTLIB_SETTINGS.items())
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


def test_every_parametrization_has_a_colour_and_a_marker_of_its_own() -> None:
    assert set(PARAMETRIZATION_COLOURS) == set(PARAMETRIZATIONS)
    assert len(set(PARAMETRIZATION_COLOURS.values())) == len(PARAMETRIZATIONS)
    assert len(set(MARKERS)) == len(MARKERS) >= len(PARAMETRIZATIONS)


def test_a_family_keeps_its_marker_whatever_else_is_drawn() -> None:
    assert len({marker_of(name) for name in PARAMETRIZATIONS}) == len(PARAMETRIZATIONS)
    assert len({marker_of("sp", variant) for variant in range(2)}) == 2
    assert marker_of("of somebody else") not in {marker_of(name) for name in PARAMETRIZATIONS}


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(0, 1, 1), (1, 1, 1), (3, 1, 3), (4, 2, 2), (5, 2, 3), (6, 2, 3), (7, 3, 3)]
)
def test_panels_wrap(count: int, rows: int, columns: int) -> None:
    figure, axes = grid_of_panels(count, 2.0, 1.0, share=True, beside=0.5)
    assert len(axes) == len(figure.axes) == count
    assert figure.get_size_inches().tolist() == [2.0 * columns + 0.5, 1.0 * rows]


def lightness(colour: tuple[float, float, float, float]) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_ordered_colours_go_from_dark_to_light(count: int) -> None:
    shades = [lightness(colour) for colour in sequential(count)]
    assert len(shades) == count
    assert shades == sorted(set(shades))
    assert shades[0] < 0.1


def test_a_long_title_is_broken_rather_than_run_into_the_next_panel() -> None:
    figure, panels = grid_of_panels(3, 2.5, 2.5)
    for axes in panels:
        head(axes, "SP, own embedding LR, s = 0.75, independent decay 0.1")
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in panels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    head(panels[0], "SP")
    assert panels[0].get_title() == "SP"
