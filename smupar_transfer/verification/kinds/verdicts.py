"""What counts as expected: the theory's claim, that SuPar's optimum stays where it is."""

from __future__ import annotations

from collections.abc import Sequence

from smupar_transfer.verification.cells import Setup

LARGEST_DRIFT = 0.35
"""Octaves; what the SuPar paper's own figure shows."""
LARGEST_REGRET = 0.5
"""Percent of the loss that a transfer without tuning may cost."""
HOLDS, DOES_NOT_HOLD, OPEN = "holds", "does not hold", "open"


def held_by_theory(cell: Setup) -> bool:
    """Whether the optimum of a family with this cell should stay: SuPar's does, unless unscaled weight decay pulls."""
    pulled = cell.settings.get("weight_decay") != 0 and cell.settings["weight_decay_form"] == "coupled"
    return cell.parametrization == "smupar" and not pulled


def judged(against: Sequence[bool], in_favour: Sequence[bool]) -> str:
    """The verdict on a claim: refuted by any, supported by all, else open."""
    if any(against):
        return DOES_NOT_HOLD
    return HOLDS if in_favour and all(in_favour) else OPEN
