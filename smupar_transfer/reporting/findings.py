"""What a result holds, for questions and figures alike: its records, and what statistics make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from smupar_transfer.records import CoordinateRecord, Design, Manifest, RunRecord
from smupar_transfer.reporting.vocabulary import proxy_log2
from smupar_transfer.statistics import Cell, CellSummary, FamilySummary, cells, runs_table, summarise
from smupar_transfer.statistics import summarise_families as families_of
from smupar_transfer.statistics.coordinate_slopes import LayerSlope, sizes_table
from smupar_transfer.statistics.coordinate_verdicts import Judgement, judge, slopes_of

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class _Computed:
    """Remembers what was computed of it."""

    # a dictionary, as it may change inside of what is frozen
    _made: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, compute: Callable[..., Made]) -> Made:
        """What a function makes of these findings; a figure and a table that need the same share it.

        Args:
            compute: A function of the findings, which is called the first time only.
        """
        # functions of a module are keys that stay; of a lambda there would be another one each time
        if compute not in self._made:
            self._made[compute] = compute(self)
        made: Made = self._made[compute]
        return made


@dataclass(frozen=True, eq=False)
class Findings(_Computed):
    """The finished runs of a sweep, and what statistics make of them, each computed when it is first asked for.

    Attributes:
        manifest: What the sweep asked.
        records: Its finished runs, at least one.
    """

    manifest: Manifest
    records: Sequence[RunRecord]

    @property
    def design(self) -> Design:
        """What the sweep looks for, and along which scale."""
        return self.manifest.design

    @property
    def runs(self) -> pd.DataFrame:
        """The table of runs, a row each; see ``statistics.runs_table``."""
        return self.once(_runs)

    @property
    def cells(self) -> list[Cell]:
        """The cells of the sweep, where one hyperparameter is swept: a loss curve each."""
        return self.once(_cells)

    @property
    def summaries(self) -> list[CellSummary]:
        """The optimum of every cell with its interval, and its regrets, family by family."""
        return self.once(_summaries)

    @property
    def families(self) -> list[FamilySummary]:
        """Drift, slope and robustness of every family of two cells or more."""
        return self.once(_families)


@dataclass(frozen=True, eq=False)
class CheckFindings(_Computed):
    """The finished runs of a coordinate check, and what statistics make of them.

    Attributes:
        manifest: What the check asked.
        records: Its finished runs, at least one.
    """

    manifest: Manifest
    records: Sequence[CoordinateRecord]

    @property
    def sizes(self) -> pd.DataFrame:
        """The table of sizes, a row each; see ``coordinate_slopes.sizes_table``."""
        return self.once(_sizes)

    @property
    def slopes(self) -> list[LayerSlope]:
        """The slope of every size of every layer that is judged."""
        return self.once(_slopes)

    @property
    def judgements(self) -> list[Judgement]:
        """The verdict on every parametrization."""
        return self.once(_judgements)


def _runs(findings: Findings) -> pd.DataFrame:
    return runs_table(findings.records)


def _cells(findings: Findings) -> list[Cell]:
    return cells(findings.runs, findings.design)


def _summaries(findings: Findings) -> list[CellSummary]:
    proxy = proxy_log2(findings.manifest, findings.design.swept[0])
    return summarise(findings.cells, findings.design, proxy)


def _families(findings: Findings) -> list[FamilySummary]:
    return families_of(findings.summaries)


def _sizes(findings: CheckFindings) -> pd.DataFrame:
    return sizes_table(findings.records, findings.manifest.axis)


def _slopes(findings: CheckFindings) -> list[LayerSlope]:
    return slopes_of(findings.records, findings.manifest.axis, findings.manifest.added_seeds)


def _judgements(findings: CheckFindings) -> list[Judgement]:
    return judge(findings.records, findings.manifest.axis, findings.manifest.added_seeds)
