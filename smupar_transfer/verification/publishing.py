"""An outcome as files: tables, figures and pages of one folder."""

from __future__ import annotations

from pathlib import Path

from smupar_transfer.records import write_atomically
from smupar_transfer.verification.figures.style import save
from smupar_transfer.verification.outcome import Outcome
from smupar_transfer.verification.page import render_html, render_markdown
from smupar_transfer.verification.provenance import Provenance


def publish(folder: Path, about: Provenance, outcome: Outcome) -> None:
    """Write ``NAME.csv`` a table, ``NAME.png`` and ``NAME.svg`` a picture, ``README.md`` and ``report.html``.

    Raises:
        InputError: a file cannot be written.
    """
    for table in outcome.tables:
        write_atomically(folder / f"{table.name}.csv", table.frame.to_csv(index=False, float_format="%.6g"))
    for picture in outcome.pictures:
        save(picture.figure, folder / picture.name)
    write_atomically(folder / "README.md", render_markdown(about, outcome))
    write_atomically(folder / "report.html", render_html(about, outcome, folder))
