"""The pages about a result."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from smupar_transfer.reporting.glossary import GLOSSARY
from smupar_transfer.reporting.outcome import Outcome, Summary
from smupar_transfer.reporting.page import render_html, render_markdown
from tests.reporting.results import ABOUT, an_outcome

ODD = 'a | b `c` <img src=x onerror=alert(1)> [d](javascript:alert(1))\n\n# e & &lt; $f$ *g* "h"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a_sweep", "other"):
        svg = f'<svg width="72pt" height="36pt">{name}</svg>'
        (tmp_path / f"{name}.svg").write_text(svg, encoding="utf-8")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG of " + name.encode() * 100)
    return tmp_path


def text_of(page: str) -> str:
    shown = re.sub(r"<(style|title)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", shown).split())


def test_markdown_begins_with_question_verdict_and_numbers() -> None:
    page = render_markdown(ABOUT, an_outcome())
    assert page.startswith(
        "# a_sweep\n\n**Does it move?**\n\nSP moved 0.12 octaves.\n\n"
        "|  | drift (octaves) | verdict |\n|---|---:|---|\n"
        "| SP | 3.00 [2.61, 3.36] | moves |\n| SμPar | **0.12 [0.00, 0.30]** | stays put |\n\n"
        "Bold is the best of a column.\n\nExpected beforehand: It does.\n\nClaim: SμPar stays put. Verdict: holds.\n"
    )
    assert "\n## Remarks\n\nOne cell was lost.\n" in page
    assert page.endswith(".\n")


def test_markdown_has_figures_tables_and_how_it_was_made() -> None:
    page = render_markdown(ABOUT, an_outcome())
    assert "\n![Loss against steps.](a_sweep.svg)\n" in page
    table = "| SP | 0.12 | 0.12 | 0.12 |"
    head = "|  | a column of numbers | a column of numbers | a column of numbers |\n|---|---:|---:|---:|\n"
    assert f"\n## Drift\n\nA note.\n\n{head}{table}\n{table}\n" in page
    assert (
        "- Command: `smupar sweep a_sweep`; draw again with `smupar plot a_sweep`.\n- Machine: a processor.\n" in page
    )
    linked = re.findall(r"[^!]\[([^\]]+)\]\(([^)]+)\)", page)
    assert all(name == address for name, address in linked)
    assert [name for name, _ in linked][:4] == ["records.jsonl", "sweep.json", "drift.csv", "raw.csv"]
    assert not {name for name in dict(linked) if name.endswith((".html", ".png"))}, "a checkout may lack them"


def test_a_table_without_rows_is_a_file_only(folder: Path) -> None:
    assert "raw.csv" in render_markdown(ABOUT, an_outcome())
    assert render_html(ABOUT, an_outcome(), folder).count("<tbody>") == 2, "the summary and one table"


def test_html_says_everything(folder: Path) -> None:
    text = text_of(render_html(ABOUT, an_outcome(), folder))
    for words in (
        "a_sweep Does it move? SP moved 0.12 octaves. drift (octaves) verdict SP 3.00 [2.61, 3.36] moves SμPar 0.12 "
        "[0.00, 0.30] stays put Bold is the best of a column. holds Claim: SμPar stays put. Expected beforehand: It "
        "does.",
        "Remarks One cell was lost.",
        "Drift A note.",
        "Command smupar sweep a_sweep Draw again smupar plot a_sweep Machine a processor",
        "records.jsonl , sweep.json , drift.csv , raw.csv",
    ):
        assert words in text


def test_the_best_is_bold_and_nothing_else(folder: Path) -> None:
    page = render_html(ABOUT, an_outcome(), folder)
    assert [text_of(entry) for entry in re.findall(r"<td>(<strong>.*?)</td>", page)] == ["0.12 [0.00, 0.30]"]


@pytest.mark.parametrize("kind", ["html", "md"])
def test_every_page_explains_its_words_at_its_foot(folder: Path, kind: str) -> None:
    page = render_html(ABOUT, an_outcome(), folder) if kind == "html" else render_markdown(ABOUT, an_outcome())
    foot = text_of(page.rpartition("Words")[2]).replace("&#39;", "'")
    assert len(GLOSSARY) == 5
    for word, meaning in GLOSSARY.items():
        assert word in foot
        assert meaning in foot


@pytest.mark.parametrize(
    ("verdict", "look"), [("holds", "verdict good"), ("does not hold", "verdict bad"), ("open", "verdict ")]
)
def test_a_verdict_has_its_look(folder: Path, verdict: str, look: str) -> None:
    assert f'<p class="{look}">' in render_html(ABOUT, an_outcome(verdict), folder)


def test_what_claims_nothing_has_no_verdict(folder: Path) -> None:
    silent = replace(an_outcome(), claim="", verdict="", summary=Summary((), ()))
    page = render_html(replace(ABOUT, expected="", again="", go_on="smupar next"), silent, folder)
    text = text_of(page)
    assert "Claim" not in text
    assert "Expected" not in text
    assert "Draw again" not in text
    assert "Go on smupar next" in text
    assert 'class="glance"' not in page


def test_html_needs_no_other_file(folder: Path) -> None:
    page = render_html(ABOUT, an_outcome(), folder)
    inside = [unquote(address) for address in re.findall(r'src="([^"]+)"', page)]
    assert inside == [
        f"data:image/svg+xml,<svg width='72pt' height='36pt'>{name}</svg>" for name in ("a_sweep", "other")
    ]
    assert not re.search(r"<(script|link(?! rel=\"icon\" href=\"data:,\")|iframe)|@import|url\(", page)
    links = re.findall(r'<a href="([^"]+)"', page)
    assert links[0] == "../index.html"
    assert not any(":" in link or link.startswith("/") for link in links), "links are relative"


def odd_outcome() -> Outcome:
    """Words from outside wherever there are any."""
    made = an_outcome()
    table = replace(made.tables[0], title=ODD, note=ODD, columns=(ODD,) * 4, rows=((ODD,) * 4,))
    summary = Summary((ODD, ODD), ((ODD, ODD), (ODD, ODD)), frozenset({(0, 0)}), ODD)
    pictures = (replace(made.pictures[0], caption=ODD),)
    return replace(made, sentence=ODD, summary=summary, claim=ODD, notes=(ODD,), tables=(table,), pictures=pictures)


ODD_ABOUT = replace(ABOUT, name=ODD, question=ODD, expected=ODD, command=ODD, facts=((ODD, ODD),), files=("a b(1)|.x",))


class Tags(HTMLParser):
    """Elements of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_words_from_outside_make_no_elements(folder: Path) -> None:
    tags = Tags()
    tags.feed(render_html(ODD_ABOUT, odd_outcome(), folder))
    images = [attributes for tag, attributes in tags.seen if tag == "img"]
    assert [str(image["src"])[:10] for image in images] == ["data:image"]
    assert not any("onerror" in attributes for _, attributes in tags.seen)
    links = [attributes["href"] for tag, attributes in tags.seen if tag == "a"]
    assert "javascript:alert(1)" not in links
    assert "a%20b%281%29%7C.x" in links


def as_github_shows(page: str) -> str:
    """HTML of a page in Markdown, by another's renderer, which lets tags through as GitHub does."""
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(page))


def test_words_from_outside_are_harmless_in_markdown_too() -> None:
    """Guards against a question whose pipes break a table, whose backticks open code, whose tags are rendered."""
    page = as_github_shows(render_markdown(ODD_ABOUT, odd_outcome()))
    tags = Tags()
    tags.feed(page)
    known = "h1 h2 p strong em img table thead tbody tr th td ul li code a"
    assert {tag for tag, _ in tags.seen} <= set(known.split())
    assert [attributes["src"] for tag, attributes in tags.seen if tag == "img"] == ["a_sweep.svg"]
    assert not any(str(attributes.get("href")).startswith("javascript") for _, attributes in tags.seen)
    assert [tag for tag, _ in tags.seen].count("h1") == 1
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    assert [len(re.findall(r"<t[hd]", row)) for row in rows] == [2, 2, 2, 4, 4]
    shown = html.escape(" ".join(ODD.split()), quote=False).replace('"', "&quot;")
    assert f"<strong>{shown}</strong>" in page, "every word of it can be read"
    assert f"<code>{shown}</code>" in page
    assert '<a href="a%20b%281%29%7C.x">a b(1)|.x</a>' in page


def test_without_escaping_they_are_not() -> None:
    """Control: what the page would make of the same words as they are."""
    tags = Tags()
    tags.feed(as_github_shows(f"**{ODD}**"))
    assert {"code", "img", "h1"} <= {tag for tag, _ in tags.seen}
