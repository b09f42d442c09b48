"""What an analysis hands to those who write pages: a sentence, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """One table, twice: for programs and for people.

    Attributes:
        name: of its file, ``NAME.csv``. title, note: above and below it on a page.
        frame: raw numbers, as written to the file.
        columns, rows: as people read them; a table without rows is a file only.
    """

    name: str
    title: str
    note: str
    frame: pd.DataFrame
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """One figure, written as ``NAME.svg`` and ``NAME.png``."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        sentence: with numbers, also where it is not what the paper says.
        claim: of the theory, with the rule by which it is judged; empty if the sweep does not test it.
        verdict: on it: "holds", "holds by its estimate, not by its interval", "open" or "does not hold"; else empty.
        notes: what a reader must know beside it.
    """

    sentence: str
    claim: str
    verdict: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]

    @property
    def judgement(self) -> str:
        """The verdict, and what it is about, in two sentences; empty if nothing is claimed."""
        return f"Claim: {self.claim}. Verdict: {self.verdict}." if self.claim else ""
