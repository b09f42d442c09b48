"""The demo's report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from smupar_transfer.records import RunRecord, SparsitySpec
from smupar_transfer.reporting.card import read_card
from smupar_transfer.reporting.demo_page import render_demo_page, verdict
from smupar_transfer.statistics.comparison import compare

MakeRecord = Callable[..., RunRecord]
FIGURES = ("demo", "history", "slices")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FIGURES:
        (tmp_path / f"{name}.svg").write_bytes(f"<svg>{name}</svg>".encode())
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG" * 100)
    return tmp_path


@pytest.fixture
def records(make_record: MakeRecord) -> list[RunRecord]:
    return [
        make_record("sp", 0.75, -5.0, 2.5),
        make_record("sp", 0.75, -4.0, 2.0),
        make_record("smupar", 0.75, -5.0, 2.05),
        make_record("mup", 0.75, -5.0, None),
    ]


@pytest.fixture
def page(records: list[RunRecord], folder: Path) -> str:
    proxy = replace(records[0].spec, model=replace(records[0].spec.model, width=32), sparsity=SparsitySpec())
    return render_demo_page(compare(records, -5.0), records, proxy, 2.2468, folder)


def test_the_verdict_is_a_sentence_about_the_best_zero_shot_run(records: list[RunRecord]) -> None:
    assert verdict(compare(records, -5.0)) == (
        "With the proxy's hyperparameters and no tuning, SμPar trains the target best, to a loss 2.50 % above the best "
        "that any run here reached."
    )


def test_the_verdict_goes_against_us_where_the_numbers_do(make_record: MakeRecord) -> None:
    said = verdict(compare([make_record("sp", loss=2.0), make_record("smupar", loss=2.5)], -5.0))
    assert "SP trains the target best" in said
    assert "0.00 % above" in said


def test_the_verdict_tells_what_the_common_practice_gives(records: list[RunRecord]) -> None:
    said = verdict(compare(records, -5.0, {"sp": -4.0}))
    assert "SμPar trains the target best" in said, "what was tuned at this width is no transfer"
    assert said.endswith("that any run here reached. SP tuned dense, re-used, ends 0.00 % above it.")


def test_where_all_diverged_the_verdict_says_so(make_record: MakeRecord) -> None:
    assert verdict(compare([make_record("sp", loss=None)], -5.0)) == "Every zero-shot run diverged."


def rows(page: str) -> dict[str, list[str]]:
    entries = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    return {re.sub("<.*?>", "", first): [re.sub("<.*?>", "", entry) for entry in rest] for first, *rest in entries}


def bold(page: str) -> list[str]:
    return [re.sub("<.*?>", "", entry) for entry in re.findall(r"<td><strong>(.*?)</strong></td>", page)]


def test_the_table_has_the_numbers(page: str) -> None:
    by_title = rows(page)
    assert by_title["SP"] == ["2.5000", "2.0000", "2^-4.00", "≥ 25.00 %", "25.00 %"], (
        "the best is at the end of the grid"
    )
    assert by_title["SμPar"] == ["2.0500", "-", "-", "-", "2.50 %"]
    assert by_title["μP"] == ["diverged", "-", "-", "-", "-"]


def test_the_best_of_a_column_is_bold_unless_it_is_a_bound(page: str) -> None:
    assert bold(page) == ["2.0000", "2.0500", "2.50 %"]


def test_the_page_says_what_was_trained(page: str) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Proxy: width 32, dense, 2.2468 nats after tuning. Target: width 64, density 0.25," in text
    assert "16 non-zero weights per neuron" in text
    assert "Runs 4 runs of the target, 72.0 s of training Training 200 steps of 32 × 32 tokens each" in text
    assert "ab" * 32 in text
    assert "Machine a processor Versions python 3.11, torch 2.13 Files records.jsonl , recipe.yaml" in text


def test_figures_are_inside(page: str, folder: Path) -> None:
    embedded = re.findall(r'src="data:image/svg\+xml,([^"]+)"', page)
    assert [unquote(data) for data in embedded] == [f"<svg>{name}</svg>" for name in FIGURES]
    links = re.findall(r'(?:src|href)="((?!data:)[^"]*)"', page)
    assert links == ["../index.html", "records.jsonl", "recipe.yaml"], "links only"


def test_the_page_can_be_listed(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    card = read_card(tmp_path / "report.html")
    assert card is not None
    assert (card.kind, card.cost) == ("demo", "4 runs of the target, 72.0 s")
    assert card.sentence.startswith("With the proxy's hyperparameters")


def test_words_from_outside_are_escaped(records: list[RunRecord], folder: Path) -> None:
    odd = replace(records[0], environment=replace(records[0].environment, machine="<script>"))
    page = render_demo_page(compare(records, -5.0), [odd], odd.spec, 2.0, folder)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
