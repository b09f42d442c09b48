"""Does the optimum stay put? Estimates, drift, regret, figures and pages, from records alone."""

from smupar_transfer.verification.cells import Cell, Family, cells, families, runs_table
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.family import FamilySummary, drift_table, summarise_families
from smupar_transfer.verification.fit import Status
from smupar_transfer.verification.optimum import Optimum, estimate
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.regret import Regret, carried_over
from smupar_transfer.verification.stability import CellSummary, summarise, summary_table

__all__ = [
    "Cell",
    "CellSummary",
    "Design",
    "Family",
    "FamilySummary",
    "Optimum",
    "Outcome",
    "Picture",
    "Regret",
    "Status",
    "Table",
    "carried_over",
    "cells",
    "drift_table",
    "estimate",
    "families",
    "runs_table",
    "summarise",
    "summarise_families",
    "summary_table",
]
