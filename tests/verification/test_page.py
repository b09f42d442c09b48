"""The pages about a result."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.verification.outcome import Outcome
from smupar_transfer.verification.page import LARGEST_SVG, embedded, render_html, render_markdown
from tests.verification.results import ABOUT, an_outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a_sweep", "other"):
        (tmp_path / f"{name}.svg").write_text(f"<svg>{name}</svg>", encoding="utf-8")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG of " + name.encode())
    return tmp_path


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_markdown_begins_with_question_and_outcome() -> None:
    page = render_markdown(ABOUT, an_outcome())
    assert page.startswith("# a_sweep\n\n**Does it move?** SP moved 0.12 octaves.\n\nExpected beforehand: It does.\n\n")
    assert "\n\nClaim: SμPar stays put. Verdict: holds.\n\nOne cell was lost.\n" in page
    assert page.endswith(".\n")


def test_markdown_has_figures_tables_and_how_it_was_made() -> None:
    page = render_markdown(ABOUT, an_outcome())
    assert "\n![Loss against steps.](a_sweep.png)\n" in page
    table = "| SP | 0.12 | 0.12 | 0.12 |"
    head = "|  | a column of numbers | a column of numbers | a column of numbers |\n|---|---:|---:|---:|\n"
    assert f"\n## Drift\n\nA note.\n\n{head}{table}\n{table}\n" in page
    assert (
        "- Command: `smupar sweep a_sweep`; draw again with `smupar plot a_sweep`.\n- Machine: a processor.\n" in page
    )
    linked = re.findall(r"[^!]\[([^\]]+)\]\(([^)]+)\)", page)
    assert all(name == address for name, address in linked)
    assert [name for name, _ in linked][:4] == ["records.jsonl", "sweep.json", "drift.csv", "raw.csv"]
    assert "report.html" in dict(linked)


def test_a_table_without_rows_is_a_file_only(folder: Path) -> None:
    assert "raw.csv" in render_markdown(ABOUT, an_outcome())
    assert render_html(ABOUT, an_outcome(), folder).count("<table>") == 1


def test_html_says_everything(folder: Path) -> None:
    text = text_of(render_html(ABOUT, an_outcome(), folder))
    for words in (
        "a_sweep Does it move? SP moved 0.12 octaves. holds Claim: SμPar stays put. Expected "
        "beforehand: It does. One cell was lost.",
        "Drift A note.",
        "Command smupar sweep a_sweep Draw again smupar plot a_sweep Machine a processor",
        "records.jsonl , sweep.json , drift.csv , raw.csv",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("verdict", "look"), [("holds", "verdict good"), ("does not hold", "verdict bad"), ("open", "verdict ")]
)
def test_a_verdict_has_its_look(folder: Path, verdict: str, look: str) -> None:
    assert f'<p class="{look}">' in render_html(ABOUT, an_outcome(verdict), folder)


def test_html_needs_no_other_file(folder: Path) -> None:
    page = render_html(ABOUT, an_outcome(), folder)
    inside = re.findall(r'src="([^"]+)"', page)
    assert [base64.b64decode(address.partition(",")[2]) for address in inside] == [
        b"<svg>a_sweep</svg>",
        b"<svg>other</svg>",
    ]
    assert not re.search(r"<(script|link(?! rel=\"icon\" href=\"data:,\")|iframe)|@import|url\(", page)
    links = re.findall(r'<a href="([^"]+)"', page)
    assert links
    assert not any(":" in link or link.startswith("/") for link in links), "links are relative"


def test_a_figure_too_large_for_a_page_is_shown_in_pixels(folder: Path) -> None:
    (folder / "a_sweep.svg").write_bytes(b"x" * (LARGEST_SVG + 1))
    assert embedded(folder / "a_sweep", "").address.startswith("data:image/png;base64,")
    assert embedded(folder / "other", "").address.startswith("data:image/svg+xml;base64,")


def test_words_from_outside_are_escaped(folder: Path) -> None:
    odd: Outcome = replace(an_outcome(), sentence="<script>alert(1)</script>")
    page = render_html(replace(ABOUT, expected='"><img src=x>'), odd, folder)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<img src=x>" not in page
