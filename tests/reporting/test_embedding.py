"""Figures inside a page."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote

import pytest

from smupar_transfer.reporting.embedding import LEGIBLE, PIXELS_A_POINT, embedded, slim
from smupar_transfer.reporting.figures.style import save
from tests.reporting.results import figure

DRAWING = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="144pt" height="72.5pt">\n <metadata>who</metadata>\n'
    ' <!-- 0.5 -->\n <path d="M 12.345678 0.123456 \nL 300.000001 -4.5" transform="scale(0.1 -0.1)"/>\n</svg>\n'
)


def write(folder: Path, drawing: str = DRAWING, pixels: bytes = b"\x89PNG" * 1000) -> Path:
    (folder / "a.svg").write_text(drawing, encoding="utf-8")
    (folder / "a.png").write_bytes(pixels)
    return folder / "a"


def test_what_nobody_sees_is_left_out() -> None:
    assert slim(DRAWING) == (
        "<svg width='144pt' height='72.5pt'>"
        "<path d='M 12.34 0.123456 L 300.00 -4.5' transform='scale(0.1 -0.1)'/></svg>"
    )


def test_quotes_inside_stay() -> None:
    assert slim('<svg a="it\'s"/>') == '<svg a="it\'s"/>'


def test_the_address_may_stand_in_quotes(tmp_path: Path) -> None:
    address = embedded(write(tmp_path, DRAWING + "<a b='it' c=\"&amp;#\"/>"), "").address
    assert not set('"<>&#') & set(address)
    assert unquote(address).startswith("data:image/svg+xml,<svg ")


def test_the_shorter_of_vectors_and_pixels_is_shown(tmp_path: Path) -> None:
    """A figure with very many points is lighter in pixels."""
    assert embedded(write(tmp_path), "").address.startswith("data:image/svg+xml,")
    address = embedded(write(tmp_path, DRAWING, b"\x89PNG"), "").address
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == b"\x89PNG"


def test_letters_stay_legible(tmp_path: Path) -> None:
    """The smallest letters are those of the legend, of 9 points, which are 12 CSS pixels high at full size."""
    save(figure(), tmp_path / "a")
    image = embedded(tmp_path / "a", "")
    assert (image.width, image.height) == (499, 326)
    assert 9 * PIXELS_A_POINT * image.least / image.width == pytest.approx(LEGIBLE, rel=0.01)


def test_a_figure_without_letters_may_shrink(tmp_path: Path) -> None:
    drawing = DRAWING.replace("scale(0.1 -0.1)", "")
    assert embedded(write(tmp_path, drawing), "").least == 0


def test_a_drawn_figure_is_a_third_lighter_than_its_plain_bytes(tmp_path: Path) -> None:
    save(figure(), tmp_path / "a")
    plain = len(base64.b64encode((tmp_path / "a.svg").read_bytes()))
    assert len(embedded(tmp_path / "a", "").address) < 0.75 * plain
