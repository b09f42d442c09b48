"""What a sweep can ask: a module a kind, each of which makes findings into an ``Outcome`` and draws its figures.

Modules of this package register themselves (see ``reporting.registry``); nothing lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smupar_transfer.records import CoordinateRecord, Manifest, RunRecord
from smupar_transfer.reporting.findings import CheckFindings, Findings
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.registry import answered


def outcome_of(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """What the finished runs of a sweep, at least one, say; with a verdict where the sweep tests a claim."""
    outcome = answered(Findings(manifest, records))
    # a verdict is about a claim: where none is tested, there is none (decision 15)
    return outcome if manifest.claim else replace(outcome, claim="", verdict="")


def outcome_of_check(manifest: Manifest, records: Sequence[CoordinateRecord]) -> Outcome:
    """What the finished runs of a coordinate check, at least one, say.

    Raises:
        InputError: see ``coordinate_slopes.sizes_table`` and ``coordinate_slopes.slopes``.
    """
    return answered(CheckFindings(manifest, records))
