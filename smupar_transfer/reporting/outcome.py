"""What an analysis hands to those who write pages: a sentence, a summary, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

TableIndex = tuple[int, int]
"""Row and column of an entry, both from 0."""


@dataclass(frozen=True)
class Summary:
    """What came out at a glance: the first table of a page, a row for each of the things that are compared.

    Attributes:
        columns: Names above the columns.
        rows: Entries as people read them, as many a row as there are columns.
        best: The entries that are printed in bold.
        note: What the columns mean, in whole sentences; empty if they say it themselves.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[TableIndex] = frozenset()
    note: str = ""


def smallest(column: int, values: Sequence[float], exact: Sequence[bool] | None = None) -> frozenset[TableIndex]:
    """The entries with the smallest of a column's numbers, for ``Summary.best``.

    Args:
        column: The column that the numbers stand in.
        values: A number for each row; NaN or infinite where there is none.
        exact: Whether each number is known, rather than a lower bound; all are if left out.

    Returns:
        Every row that has the smallest number. Nothing where that number is a lower bound, since another row may then
        be the best, or where there is nothing to compare it with.
    """
    known = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not known:
        return frozenset()
    # equal to the bit, as where parametrizations share a run: bold for one of them would be arbitrary
    rows = [row for row, value in enumerate(values) if value == min(known)]
    if exact is not None and not all(exact[row] for row in rows):
        return frozenset()
    return frozenset((row, column) for row in rows)


@dataclass(frozen=True)
class Table:
    """One table, twice: for programs and for people.

    Attributes:
        name: The name of its file, ``NAME.csv``.
        title: What stands above it on a page.
        note: What its columns mean, in whole sentences.
        frame: Raw numbers, as written to the file.
        columns: Names above the columns, for people.
        rows: Entries as people read them; a table without rows is a file only.
        links: Addresses of the entries of the first column that lead to a page.
    """

    name: str
    title: str
    note: str
    frame: pd.DataFrame
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    links: Mapping[str, str] = field(default_factory=dict)


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
        sentence: The verdict in plain words, in one short sentence, also where it is not what the paper says.
        summary: The numbers behind it.
        claim: What the theory claims, with the rule by which it is judged; empty where nothing is claimed.
        verdict: The verdict on the claim: "holds", "holds by its estimate, not by its interval", "open" or "does not
            hold"; without a claim a word that tells how it ended, such as "diverged", or nothing.
        notes: What a reader must know beside it, in whole sentences.
        tables: All numbers.
        pictures: All figures, the most telling one first.
    """

    sentence: str
    summary: Summary
    claim: str
    verdict: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...] = ()

    @property
    def judgement(self) -> str:
        """The claim and the verdict on it; empty where nothing is claimed."""
        return f"Claim: {self.claim}. Verdict: {self.verdict}." if self.claim else ""
