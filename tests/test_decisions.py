"""Decisions have numbers without gaps, one form, and a place in their list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "decisions").iterdir())


def test_numbers_have_no_gaps() -> None:
    assert [path.name[:4] for path in PAGES] == [f"{number:03d}-" for number in range(1, len(PAGES) + 1)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_what_was_decided_and_why(path: Path) -> None:
    number, text = int(path.name[:3]), path.read_text(encoding="utf-8")
    assert re.match(rf"# {number}\. .+\n\n\*\*Decision\.\*\* [^#]+\n\n## Reasons and details\n\n.", text)


def test_the_list_has_every_page_by_its_title() -> None:
    titles = [(path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "), path.name) for path in PAGES]
    listed = re.findall(r"^- \[(.+)\]\(decisions/(.+)\)$", (DOCS / "design.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed, key=lambda row: row[1]) == titles
