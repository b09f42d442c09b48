"""What is said of the committed results is what they say."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smupar_transfer.reporting.index_page import entries
from smupar_transfer.reporting.templating import render

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
    page = PAGES[name].replace(" octaves", "")  # the unit stands above a column
    assert [words for words in said if words.replace(" octaves", "") not in page] == []
    assert len(said) == len(INTERVAL.findall(ROWS[name])), "every interval belongs to a number"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/sweep.json")))
def test_a_result_is_what_plot_makes_of_its_records(name: str, tmp_path: Path) -> None:
    """Guards against pages, tables and figures of an earlier version, and against changes by hand."""
    copy = tmp_path / "results" / name
    shutil.copytree(RESULTS / name, copy)
    before = contents(copy)
    for drawn in (path for path in copy.iterdir() if path.name not in ("sweep.json", "remarks.txt")):
        if drawn.suffix != ".jsonl":
            drawn.unlink()
    command = [sys.executable, "-m", "smupar_transfer.app.main", "plot", name]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert made.returncode == 0, made.stderr
    after = contents(copy)
    assert sorted(after) == sorted(before)
    assert [file for file in before if before[file] != after[file]] == []


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a result; of pixels, which depend on the versions of other libraries, that they are there."""
    return {path.name: b"" if path.suffix == ".png" else path.read_bytes() for path in folder.iterdir()}


def test_the_list_of_pages_is_that_of_the_pages() -> None:
    listed = render("index.html.j2", entries=entries(RESULTS))
    assert (RESULTS / "index.html").read_text(encoding="utf-8") == listed
    assert [entry.name for entry in entries(RESULTS)] == sorted(PAGES)
    assert [entry.problem for entry in entries(RESULTS) if entry.problem] == []


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
