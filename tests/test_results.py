"""What is said of the committed results is what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("*/README.md"))}
LIST = (RESULTS / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) (.*)$", LIST, re.MULTILINE))
INTERVAL = re.compile(r"\[-?\d+\.\d+, (?:-?\d+\.\d+|∞)\]")
MEASURED = re.compile(rf"\d[\d.]* (?:octaves|%) {INTERVAL.pattern}")


def test_every_result_is_listed() -> None:
    assert sorted(ROWS) == sorted(PAGES) == sorted(path.name for path in RESULTS.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", ROWS)
def test_the_list_says_what_a_result_says(name: str) -> None:
    said = MEASURED.findall(ROWS[name])
    assert [words for words in said if words not in PAGES[name]] == []
    assert len(said) == len(INTERVAL.findall(ROWS[name])), "every interval belongs to a number"


@pytest.mark.parametrize("file", ["README.md", "CHANGELOG.md", "docs/design.md"])
def test_intervals_elsewhere_are_those_of_a_result(file: str) -> None:
    known = set(INTERVAL.findall("".join(PAGES.values())))
    assert set(INTERVAL.findall((ROOT / file).read_text(encoding="utf-8"))) <= known
