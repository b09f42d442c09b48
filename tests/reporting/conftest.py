"""Records and cells to draw and to write about."""

from __future__ import annotations

from tests.statistics.conftest import make_cell, make_check, make_record, under_sgd

__all__ = ["make_cell", "make_check", "make_record", "under_sgd"]
