"""Numbers from numbers: optimum, drift, regret, slopes, each with its interval. No torch, no figures, no files."""

from smupar_transfer.statistics.cell import Cell, Family, cells, families, runs_table
from smupar_transfer.statistics.cell_summary import CellSummary, summarise, summary_table
from smupar_transfer.statistics.curve_fit import Status
from smupar_transfer.statistics.family_summary import FamilySummary, drift_table, summarise_families
from smupar_transfer.statistics.optimum import Optimum, estimate
from smupar_transfer.statistics.regret import Regret, transferred_regret

__all__ = [
    "Cell",
    "CellSummary",
    "Family",
    "FamilySummary",
    "Optimum",
    "Regret",
    "Status",
    "cells",
    "drift_table",
    "estimate",
    "families",
    "runs_table",
    "summarise",
    "summarise_families",
    "summary_table",
    "transferred_regret",
]
