"""The pages about a result: ``README.md`` beside its files, and ``report.html``, one file that needs nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.verification.outcome import Outcome
from smupar_transfer.verification.provenance import Provenance
from smupar_transfer.verification.templating import render

LARGEST_SVG = 300_000
"""Bytes; a figure of more is shown as its PNG, so that a page stays below 2 MB or so."""


@dataclass(frozen=True)
class Image:
    """A figure inside a page; ``address`` is a data URI."""

    caption: str
    address: str


def embedded(path: Path, caption: str) -> Image:
    """The figure that was saved as ``path`` with suffixes .svg and .png, to be shown without any file."""
    kind, content = "svg+xml", path.with_name(f"{path.name}.svg").read_bytes()
    if len(content) > LARGEST_SVG:
        kind, content = "png", path.with_name(f"{path.name}.png").read_bytes()
    return Image(caption, f"data:image/{kind};base64,{base64.b64encode(content).decode()}")


def render_markdown(about: Provenance, outcome: Outcome) -> str:
    """``README.md``: outcome first, then figures and tables, then how it was made."""
    return render("result.md.j2", about=about, outcome=outcome, files=[*_files(about, outcome), "report.html"])


def render_html(about: Provenance, outcome: Outcome, folder: Path) -> str:
    """``report.html``: the same with everything inside; figures are read from ``folder``, where they were saved."""
    images = [embedded(folder / picture.name, picture.caption) for picture in outcome.pictures]
    return render("report.html.j2", about=about, outcome=outcome, images=images, files=_files(about, outcome))


def _files(about: Provenance, outcome: Outcome) -> list[str]:
    figures = [f"{picture.name}.{suffix}" for picture in outcome.pictures for suffix in ("svg", "png")]
    return [*about.files, *(f"{table.name}.csv" for table in outcome.tables), *figures]
