"""``index.html`` of a folder of results: every page in it, with its question, its outcome and what it cost."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.records import LARGEST_PAGE, MANIFEST_FILE, lock_of, regular, write_atomically
from smupar_transfer.reporting.card import Card, read_card
from smupar_transfer.reporting.page import REPORT
from smupar_transfer.reporting.templating import render

INDEX = "index.html"
README = "README.md"


@dataclass(frozen=True)
class Entry:
    """One result in the list.

    Attributes:
        name: The name of its folder.
        address: The address of its page, relative to the list; empty if it has none.
        card: What its page says about itself; None if it says nothing.
        problem: What is wrong with it, and what to do; empty if nothing is.
    """

    name: str
    address: str
    card: Card | None
    problem: str


def publish_index(results: Path) -> None:
    """Write ``index.html``, from the pages that are there now.

    Commands that end at the same time wait for each other, so that the last one lists the pages of all.

    Raises:
        InputError: the file cannot be written.
    """
    with lock_of(results / INDEX):
        write_atomically(results / INDEX, render("index.html.j2", entries=entries(results)))


def entries(results: Path) -> list[Entry]:
    """Every result in a folder, sorted by name; what cannot be read is listed with what is wrong with it."""
    candidates = (_entry(folder) for folder in sorted(results.glob("*")) if folder.is_dir())
    return [entry for entry in candidates if entry is not None]


def _entry(folder: Path) -> Entry | None:
    """None if the folder holds no result."""
    name, page, notes = folder.name, folder / REPORT, folder / README
    try:
        is_sweep = (folder / MANIFEST_FILE).is_file()
        remedy = f"draw it again with: smupar plot {name}" if is_sweep else "run the command that made it again"
        if page.is_file():
            card = read_card(page)
            problem = "" if card else f"This page is damaged, or of an earlier version; {remedy}."
            return Entry(name, f"{name}/{REPORT}", card, problem)
        if is_sweep:
            return Entry(name, "", None, f"There is no page yet; {remedy}.")
        if notes.is_file():
            return Entry(name, f"{name}/{README}", Card("notes", _question(notes), "", "", ""), "")
    # one folder that cannot be read must not hide all others
    except OSError as error:
        return Entry(name, "", None, f"This result cannot be read: {error.strerror or error}.")
    return None


def _question(notes: Path) -> str:
    """What stands out first in notes written by hand; empty if nothing does."""
    with regular(notes) as file:
        head = file.read(LARGEST_PAGE).decode("utf-8", errors="replace")
    bold = re.search(r"\*\*(.+?)\*\*", head, re.DOTALL)
    return " ".join(bold[1].split()) if bold else ""
