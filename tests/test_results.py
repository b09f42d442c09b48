"""What is said of the committed results is what they say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("*/README.md"))}
LIST = (RESULTS / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) (.*)$", LIST, re.MULTILINE))
INTERVAL = re.compile(r"\[-?\d+\.\d+, (?:-?\d+\.\d+|∞)\]")
SPOKEN_OF = ("1024", "1", "auto")  # width, threads and variant
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


def test_speed_ups_of_the_readme_are_those_measured() -> None:
    with (RESULTS / "bench_sparse" / "cells.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["width"], row["threads"], row["variant"]) == SPOKEN_OF]
    cells = {row["sparsity"]: row for row in rows if (row["batch"], row["time"]) == ("4", "256")}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sparsities = re.findall(r"^\| sparsity \| (.*) \|$", text, re.MULTILINE)[0].split(" | ")
    for name, column in (("the textbook way", "over_textbook"), ("a dense network in bfloat16", "over_dense_bf16")):
        said = re.findall(rf"^\| against {name} \| (.*) \|$", text, re.MULTILINE)[0].split(" | ")
        measured = [float(cells[sparsity][column]) for sparsity in sparsities]
        assert said == [f"{ratio:.2f}x" if ratio < 1 else f"{ratio:.1f}x" for ratio in measured]
