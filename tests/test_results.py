"""What is said of the committed results is what they say."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import read_machines
from bench.overview import overview
from bench.page import page, spreadsheet
from smupar_transfer.reporting.index_page import entries
from tests.browser import Browser
from tests.reporting.test_in_browser import DESK, PHONE, check

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
DECISIONS = ROOT / "docs" / "decisions"
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
def test_a_result_is_what_plot_makes_of_its_records(name: str, tmp_path: Path, browser: Browser | None) -> None:
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
    figures = {path.stem for path in copy.glob("*.svg")}
    assert {path.name for path in copy.iterdir()} - set(after) == {*(f"{stem}.png" for stem in figures), "report.html"}
    assert [entry.problem for entry in entries(copy.parent)] == [""], "the list of results knows it"
    if browser is not None:
        for width in (DESK, PHONE):
            check(browser.look(copy / "report.html", width), (copy / "report.html").read_text("utf-8").count("<img "))


def test_pages_of_benchmarks_are_what_their_measurements_make() -> None:
    """Guards against pages of an earlier version, and against changes by hand; figures take too long."""
    machines = read_machines(RESULTS / "bench_sparse")
    command = "python scripts/bench_sparse.py --output results/bench_sparse"
    notes = (RESULTS / "bench_sparse" / "notes.md").read_text(encoding="utf-8")
    assert PAGES["bench_sparse"] == overview(machines, command, notes)
    for folder, measured in machines.items():
        by_hand, *parts = (
            (folder / name).read_text(encoding="utf-8") for name in ("notes.md", "layer.md", "agreement.md")
        )
        made = page(measured, command, by_hand, "\n\n".join(parts))
        assert (folder / "README.md").read_text(encoding="utf-8") == made
        assert (folder / "cells.csv").read_text(encoding="utf-8") == spreadsheet(measured)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a result that a checkout has; pages and pixels are made again by ``smupar plot``."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".png", ".html")}


def test_what_can_be_drawn_again_is_not_kept() -> None:
    """Guards against the weight of a checkout: pages and pixels were ten megabytes."""
    kept = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert [file for file in kept.split() if file.endswith((".png", ".html"))] == []


@pytest.mark.parametrize(
    "file", ["README.md", "CHANGELOG.md", *sorted(f"docs/decisions/{path.name}" for path in DECISIONS.iterdir())]
)
def test_intervals_elsewhere_are_those_of_a_result(file: str) -> None:
    known = set(INTERVAL.findall("".join(PAGES.values())))
    assert set(INTERVAL.findall((ROOT / file).read_text(encoding="utf-8"))) <= known


def test_speed_ups_of_the_readme_are_those_measured() -> None:
    """On the machine whose page it links to."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (machine,) = re.findall(r"\(results/bench_sparse/(\w+)/README\.md\)", text)
    with (RESULTS / "bench_sparse" / machine / "cells.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["width"], row["threads"], row["variant"]) == SPOKEN_OF]
    cells = {row["sparsity"]: row for row in rows if (row["batch"], row["time"]) == ("4", "256")}
    sparsities = re.findall(r"^\| sparsity \| (.*) \|$", text, re.MULTILINE)[0].split(" | ")
    for name, column in (("the textbook way", "over_textbook"), ("a dense network in bfloat16", "over_dense_bf16")):
        said = re.findall(rf"^\| against {name} \| (.*) \|$", text, re.MULTILINE)[0].split(" | ")
        measured = [float(cells[sparsity][column]) for sparsity in sparsities]
        assert said == [f"{ratio:.2f}x" if ratio < 1 else f"{ratio:.1f}x" for ratio in measured]
