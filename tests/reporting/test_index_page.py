"""``index.html``: the list of all results."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import Manifest, write_manifest
from smupar_transfer.reporting import index_page
from smupar_transfer.reporting.card import Card, read_card
from smupar_transfer.reporting.index_page import INDEX, entries, publish_index
from smupar_transfer.reporting.publish import publish
from smupar_transfer.theory import InputError
from tests.reporting.results import ABOUT, an_outcome


def written(results: Path) -> str:
    return (results / INDEX).read_text(encoding="utf-8")


def listed(results: Path) -> list[str]:
    return re.findall(r"<strong>(.*?)</strong>", written(results))


def test_a_result_is_listed_with_its_outcome_as_soon_as_it_is_published(tmp_path: Path) -> None:
    publish(tmp_path / "first", ABOUT, an_outcome())
    publish(tmp_path / "second", replace(ABOUT, question="And <this>?"), an_outcome("does not hold"))
    assert listed(tmp_path) == ["first", "second"]
    page = written(tmp_path)
    for words in (
        '<a href="first/report.html">',
        '<span class="badge">holds</span>',
        '<li class="bad">',
        "Does it move?",
        "And &lt;this&gt;?",
        "SP moved 0.12 octaves.",
        "sweep, 2 runs, 36.0 s",
    ):
        assert words in page
    publish(tmp_path / "first", ABOUT, replace(an_outcome(), sentence="It stays after all."))
    assert "It stays after all." in written(tmp_path)


def test_it_is_light_and_needs_no_other_file(tmp_path: Path) -> None:
    publish(tmp_path / "first", ABOUT, an_outcome())
    page = written(tmp_path)
    assert len(page) < 10_000
    assert not re.search(r"<(script|img|iframe)|@import|url\(|https?:", page)


@pytest.mark.parametrize("content", ["", "<html>", '<meta name="smupar-result" content="[1]">', "\x00\xff", "{"])
def test_a_damaged_page_is_said_to_be_one_and_costs_the_others_nothing(tmp_path: Path, content: str) -> None:
    publish(tmp_path / "good", ABOUT, an_outcome())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "report.html").write_text(content, encoding="latin-1")
    publish_index(tmp_path)
    assert listed(tmp_path) == ["bad", "good"]
    assert "This page is damaged, or of an earlier version; run the command that made it again." in written(tmp_path)
    assert "SP moved 0.12 octaves." in written(tmp_path)


def test_a_sweep_without_a_page_says_how_to_get_one(tmp_path: Path) -> None:
    write_manifest(tmp_path / "grid", Manifest("grid", "Does it?", "It does.", "smupar sweep grid", ()))
    (entry,) = entries(tmp_path)
    assert (entry.address, entry.problem) == ("", "There is no page yet; draw it again with: smupar plot grid.")


def test_a_page_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(page: Path) -> Card | None:
        raise PermissionError(13, "Permission denied")

    publish(tmp_path / "first", ABOUT, an_outcome())
    monkeypatch.setattr(index_page, "read_card", broken)
    (entry,) = entries(tmp_path)
    assert entry.problem == "This result cannot be read: Permission denied."


def test_notes_by_hand_are_listed_and_other_folders_are_not(tmp_path: Path) -> None:
    for name in ("bench", "checkpoints"):
        (tmp_path / name).mkdir()
    (tmp_path / "bench" / "README.md").write_text("# bench\n\n**Is it\nfast?** Yes.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine")
    (entry,) = entries(tmp_path)
    assert (entry.name, entry.address) == ("bench", "bench/README.md")
    assert entry.card is not None
    assert entry.card.question == "Is it fast?"


def test_an_empty_folder_has_an_empty_list(tmp_path: Path) -> None:
    publish_index(tmp_path)
    assert "There are none yet." in written(tmp_path)


def test_any_name_is_a_link_that_works(tmp_path: Path) -> None:
    publish(tmp_path / "my (1) #é%", ABOUT, an_outcome())
    assert 'href="my%20%281%29%20%23%C3%A9%25/report.html"' in written(tmp_path)


def test_a_list_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "first", ABOUT, an_outcome())
    before = written(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"index\.html: cannot be written: No space left on device"):
        publish_index(tmp_path)
    assert written(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_commands_that_end_at_the_same_time_list_each_other(tmp_path: Path) -> None:
    """Guards against the list of the slower writer, which it read before the other result was there."""
    names = [f"result_{number}" for number in range(8)]
    page = (an_outcome(), ABOUT)

    def end(name: str) -> None:
        (tmp_path / name).mkdir()
        card = Card("sweep", page[1].question, name, "", "")
        text = f"<meta name=\"smupar-result\" content='{card.content}'>"
        (tmp_path / name / "report.html").write_text(text, encoding="utf-8")
        publish_index(tmp_path)

    threads = [threading.Thread(target=end, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listed(tmp_path) == names


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    odd = "\"'<&>\n{} μ"
    publish(tmp_path / "first", replace(ABOUT, question=odd, cost=odd), replace(an_outcome("open"), sentence=odd))
    assert read_card(tmp_path / "first" / "report.html") == Card("sweep", odd, odd, "open", odd)


@pytest.mark.parametrize(("verdict", "tone"), [("holds", "good"), ("diverged", "bad"), ("open", ""), ("", "")])
def test_a_verdict_has_a_tone(verdict: str, tone: str) -> None:
    assert Card("", "", "", verdict, "").tone == tone
