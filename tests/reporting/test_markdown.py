"""Words of anybody as Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.reporting.markdown import code, label, paragraph, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", "a \\| b"),
        ("`rm -rf`", "\\`rm -rf\\`"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("&lt; & AT&T", "&amp;lt; & AT&T"),
        ("[a](b) ![c](d) [e][f] [g]: h", "[a\\](b) ![c\\](d) [e\\][f] [g\\]: h"),
        ("*a* ~~b~~ $c$ \\d", "\\*a\\* \\~\\~b\\~\\~ \\$c\\$ \\\\d"),
        ("_a_ lr_by_width", "\\_a\\_ lr_by_width"),
        ("two\n\nparagraphs ", "two paragraphs"),
    ],
)
def test_what_has_a_meaning_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    "text", ["0.39 octaves [0.02, 0.59]", "2^-6.2", "(results/useful_transfer)", "μP ≥ 4 %", "-0.8"]
)
def test_what_has_none_is_left_alone(text: str) -> None:
    assert plain(text) == paragraph(text) == text


@pytest.mark.parametrize("text", ["# a", "## a", "- a", "+ a", "---", "===", "1. a", "12) a", "> a"])
def test_a_paragraph_begins_nothing_else(text: str) -> None:
    shown = paragraph(text)
    assert not re.match(r"#+ |[-+=]+( |$)|\d+[.)] |>", shown)
    assert shown.replace("\\", "").replace("&gt;", ">") == text


def test_brackets_do_not_end_the_text_of_a_link() -> None:
    assert label("a] (b) [c") == "a\\] (b) \\[c"
    assert label("[a](b)") == "\\[a\\](b)"


@given(st.text(alphabet="a` |<", max_size=12))
def test_code_shows_what_it_was_given(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    assert fence is not None
    assert shown.endswith(fence[0])
    inside = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside), "no run of backticks inside ends it"
    assert inside.strip() == " ".join(text.split())
