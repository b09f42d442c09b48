"""Does the optimum stay put? Estimates, drift, regret, figures and pages, from records alone."""

from smupar_transfer.verification.cells import Cell, cells, runs_table
from smupar_transfer.verification.drawn import loss_panels, optimum_tracks
from smupar_transfer.verification.optimum import Optimum, Status, estimate
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.stability import (
    CellSummary,
    Drift,
    Regret,
    carried_over,
    drift_table,
    drifts,
    summarise,
    summary_table,
)

__all__ = [
    "Cell",
    "CellSummary",
    "Drift",
    "Optimum",
    "Outcome",
    "Picture",
    "Regret",
    "Status",
    "Table",
    "carried_over",
    "cells",
    "drift_table",
    "drifts",
    "estimate",
    "loss_panels",
    "optimum_tracks",
    "runs_table",
    "summarise",
    "summary_table",
]
