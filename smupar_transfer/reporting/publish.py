"""An outcome as files: tables, figures and pages of one folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from smupar_transfer.records import LARGEST_PAGE, REMARKS_FILE, read_text, write_atomically
from smupar_transfer.reporting.figures.style import save
from smupar_transfer.reporting.index_page import publish_index
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.page import REPORT, render_html, render_markdown
from smupar_transfer.reporting.provenance import Provenance


def with_remarks(outcome: Outcome, folder: Path) -> Outcome:
    """The outcome with what a person has written into ``remarks.txt`` of its folder.

    Raises:
        InputError: the file cannot be read.
    """
    path = folder / REMARKS_FILE
    lines = read_text(path, "results_dir", largest=LARGEST_PAGE).splitlines() if path.exists() else []
    return replace(outcome, notes=(*outcome.notes, *(line.strip() for line in lines if line.strip())))


def publish(folder: Path, about: Provenance, outcome: Outcome, *, readme: bool = True) -> None:
    """Write ``NAME.csv`` a table, ``NAME.png`` and ``NAME.svg`` a picture, the pages, and the list of results around.

    Args:
        folder: The folder of the result.
        about: How the result was made.
        outcome: What came out.
        readme: Whether ``README.md`` is written beside ``report.html``.

    Raises:
        InputError: a file cannot be written.
    """
    # before anything is written: remarks may be unreadable
    outcome = with_remarks(outcome, folder)
    for table in outcome.tables:
        write_atomically(folder / f"{table.name}.csv", table.frame.to_csv(index=False, float_format="%.6g"))
    # figures first: report.html holds the files as they were saved
    for picture in outcome.pictures:
        save(picture.figure, folder / picture.name)
    if readme:
        write_atomically(folder / "README.md", render_markdown(about, outcome))
    write_atomically(folder / REPORT, render_html(about, outcome, folder))
    publish_index(folder.parent)  # last: the list shows what the pages say about themselves
