"""The pages about a result: ``README.md`` beside its files, and ``report.html``, one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smupar_transfer.reporting.card import Card
from smupar_transfer.reporting.embedding import embedded
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.provenance import Provenance
from smupar_transfer.reporting.templating import render

REPORT = "report.html"


def card_of(about: Provenance, outcome: Outcome) -> Card:
    """What the page of a result says about itself."""
    return Card(about.kind, about.question, outcome.sentence, outcome.verdict, about.cost)


def render_markdown(about: Provenance, outcome: Outcome) -> str:
    """``README.md``: outcome first, then figures and tables, then how it was made."""
    return render("result.md.j2", about=about, outcome=outcome, files=_files(about, outcome, "svg"))


def render_html(about: Provenance, outcome: Outcome, folder: Path, files: Sequence[str] | None = None) -> str:
    """``report.html``: the same with everything inside.

    Args:
        about: How the result was made.
        outcome: What came out.
        folder: The folder in which the figures were saved.
        files: The files beside the page that it links to; those that ``publish`` writes if left out.
    """
    return render(
        "report.html.j2",
        about=about,
        outcome=outcome,
        card=card_of(about, outcome),
        images=[embedded(folder / picture.name, picture.caption) for picture in outcome.pictures],
        files=_files(about, outcome, "svg", "png") if files is None else files,
    )


def _files(about: Provenance, outcome: Outcome, *suffixes: str) -> list[str]:
    figures = [f"{picture.name}.{suffix}" for picture in outcome.pictures for suffix in suffixes]
    return [*about.files, *(f"{table.name}.csv" for table in outcome.tables), *figures]
