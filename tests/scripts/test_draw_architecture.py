"""The page about the architecture shows the package as it is, and the script that draws it counts as it says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

from draw_architecture import PAGE, PICTURE, Room, about, arrows, code_lines, drawn, imported_rooms, main, rows, stale


def test_the_page_and_its_picture_are_what_the_script_draws() -> None:
    assert list(stale()) == [], "run python scripts/draw_architecture.py"
    assert main(["--check"]) == 0


def test_every_room_has_a_box_a_row_and_a_paragraph() -> None:
    page = PAGE.read_text(encoding="utf-8")
    picture = ET.fromstring(PICTURE.read_text(encoding="utf-8"))
    words = {element.text for element in picture.iter() if element.tag.endswith("text")}
    for name in (name for row in rows() for name in row):
        assert name in words
        assert f"\n| `{name}` |" in page
        assert f"\n**{name}** " in page


def test_an_import_that_others_imply_is_no_arrow() -> None:
    rooms = {
        "top": Room("top", 1, 1, Counter(["middle", "bottom"])),
        "middle": Room("middle", 1, 1, Counter(["bottom"])),
        "bottom": Room("bottom", 1, 1, Counter()),
    }
    assert arrows(rooms) == [("top", "middle"), ("middle", "bottom")]


def test_lines_and_imports_are_counted_as_meant() -> None:
    source = '"""Say."""\n\nfrom smupar_transfer.theory import Role  # why\nfrom smupar_transfer import records\n\n'
    source += "def f():\n    import smupar_transfer.model.gpt\n"
    assert len(code_lines(source)) == 4
    assert imported_rooms(source) == {"theory", "records", "model"}


def test_what_stands_around_the_drawing_stays() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert drawn(page.replace("# Architecture", "# House"))[PAGE].startswith("# House\n")


def test_numbers_of_lines_have_two_digits() -> None:
    assert [about(lines) for lines in (0, 7, 66, 94, 171, 1462, 3106)] == [
        "0",
        "7",
        "66",
        "94",
        "170",
        "1,500",
        "3,100",
    ]
