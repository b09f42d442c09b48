"""Pages as a person sees them: in Chromium, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.reporting.demo_page import FIGURES, render_demo_page
from smupar_transfer.reporting.figures.style import save
from smupar_transfer.reporting.publish import publish
from smupar_transfer.reporting.run_page import publish_run
from smupar_transfer.reporting.study import Study
from smupar_transfer.reporting.study_page import publish_study
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS
from smupar_transfer.statistics.comparison import compare
from tests.browser import Browser, Look, program
from tests.reporting.results import ABOUT, an_outcome, figure
from tests.reporting.test_study_page import ARange, ATrial

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium is installed")
DESK, PHONE = 1280, 390
RANGES = {name: ARange(0.5, 2.0) for name in HYPERPARAMETER_WORDS}
LEGIBLE = 9.0
"""CSS pixels."""
FITS, SCROLLS = (False, False, False), (True, True, False)
"""A box that is wide enough has no hint; one that is not has one, until it is scrolled to its end."""
WIDTHS = pytest.mark.parametrize("width", [DESK, PHONE])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a wide table, long words and large numbers of both."""
    folder = tmp_path_factory.mktemp("report")
    about = replace(ABOUT, command="smupar sweep " + "a_long_name_without_any_space_" * 8)
    publish(folder, about, an_outcome(rows=30, columns=20))
    return folder / "report.html"


def check(look: Look, images: int) -> None:
    """What must hold of every page."""
    assert look.images == (True,) * images
    assert look.shrunk == 0
    assert look.letters >= LEGIBLE
    assert [box for box in look.boxes if box not in (FITS, SCROLLS)] == []
    assert look.page <= look.window
    assert look.outside == ()
    assert look.console == ()
    assert look.requests == ()


@WIDTHS
def test_a_report_is_whole(browser: Browser, report: Path, width: int) -> None:
    check(browser.look(report, width), images=2)


@WIDTHS
def test_the_report_of_a_demo_is_whole(
    browser: Browser, tmp_path: Path, make_record: Callable[..., RunRecord], width: int
) -> None:
    for name in FIGURES:
        save(figure(), tmp_path / name)
    records = [make_record("sp", 0.75, -5.0, 2.5), make_record("smupar", 0.75, -5.0, 2.05)]
    page = tmp_path / "report.html"
    page.write_text(render_demo_page(compare(records, -5.0), records, records[0].spec, 2.2, tmp_path), "utf-8")
    check(browser.look(page, width), images=len(FIGURES))


@WIDTHS
def test_the_pages_of_a_search_and_of_a_run_are_whole(
    browser: Browser, tmp_path: Path, make_record: Callable[..., RunRecord], width: int
) -> None:
    first, second = make_record("sp", 0.75), make_record("smupar", 0.5)
    publish_run(tmp_path / "train", first, [first, second], "smupar train")
    check(browser.look(tmp_path / "train" / "report.html", width), images=1)
    trial = ATrial(0, 2.0, hparams=dict.fromkeys(RANGES, 1.0))
    lost = replace(trial, number=1, value=None, outcome="pruned")
    study = Study("proxy", "smupar tune " + "a=b " * 40, "smupar transfer", first.spec, RANGES, 9, [trial, lost])
    publish_study(tmp_path / "proxy", study)
    check(browser.look(tmp_path / "proxy" / "report.html", width), images=2)
    check(browser.look(tmp_path / "index.html", width), images=0)


def test_a_phone_scrolls_what_a_desk_shows_whole(browser: Browser, report: Path) -> None:
    """Guards against figures that end at the edge of a phone with no sign that they go on."""
    figures = [browser.look(report, width).boxes[1:3] for width in (DESK, PHONE)]
    assert figures == [(FITS, FITS), (SCROLLS, SCROLLS)]


@pytest.mark.parametrize(
    ("kept", "broken", "flaw"),
    [
        pytest.param(".scroll > .end {", ".scroll > .none {", "boxes", id="a hint that stays"),
        pytest.param('content: "\\2192"; position: absolute;', "content: none;", "boxes", id="no hint"),
        pytest.param("clamp(var(--least), ", "min(", "shrunk", id="figures as narrow as the window"),
        pytest.param("font-size: .92rem", "font-size: .5rem", "letters", id="small letters"),
    ],
)
def test_a_page_that_is_hard_to_read_is_seen(
    browser: Browser, report: Path, tmp_path: Path, kept: str, broken: str, flaw: str
) -> None:
    content = report.read_text("utf-8")
    assert kept in content
    page = tmp_path / "report.html"
    page.write_text(content.replace(kept, broken), "utf-8")
    look = browser.look(page, PHONE)
    flaws = {
        "boxes": any(box not in (FITS, SCROLLS) for box in look.boxes),
        "shrunk": look.shrunk > 0,
        "letters": look.letters < LEGIBLE,
    }
    assert [name for name, is_there in flaws.items() if is_there] == [flaw]


def test_a_wide_table_scrolls_in_a_box_of_its_own(browser: Browser, report: Path, tmp_path: Path) -> None:
    """Control: without the box the same table makes the page overflow, and the check sees it."""
    loose = tmp_path / "loose.html"
    loose.write_text(report.read_text("utf-8").replace("overflow-x: auto", "overflow-x: visible"), "utf-8")
    look = browser.look(loose, PHONE)
    assert look.page > look.window


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        ('<div style="width: 600px">wide</div>', "outside"),
        ('<div style="overflow: hidden"><p style="width: 600px">cut off</p></div>', "outside"),
        ('<img src="data:image/png;base64,AAAA">', "images"),
        ('<img src="missing.png">', "requests"),
        ("<script>console.error('oh')</script>", "console"),
        ("<script>throw new Error('oh')</script>", "console"),
    ],
)
def test_a_flaw_is_seen(browser: Browser, tmp_path: Path, body: str, flaw: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>t</title><link rel=icon href=data:,><body>{body}", "utf-8")
    look = browser.look(page, PHONE)
    assert {"outside": look.outside, "console": look.console, "requests": look.requests}.get(flaw, not all(look.images))


def test_a_page_without_a_flaw_has_none(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>t</title><link rel=icon href=data:,><body><p>fine</p>", "utf-8")
    check(browser.look(page, PHONE), images=0)
