"""What counts as expected: the theory's claim, that SuPar's optimum stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smupar_transfer.verification.cells import Family

LARGEST_DRIFT = 0.35
"""Octaves; what the SuPar paper's own figure shows."""
LARGEST_REGRET = 0.5
"""Percent of the loss that a transfer without tuning may cost."""
AS_EXPECTED, NOT_AS_EXPECTED, OPEN = "as expected", "not as expected", "open"


def held_by_theory(family: Family[Any]) -> bool:
    """Whether the optimum of a family should stay: SuPar's does, unless weight decay that is not scaled pulls at it."""
    settings = family.cells[0].settings
    pulled = settings.get("weight_decay") != 0 and settings["weight_decay_form"] == "coupled"
    return family.parametrization == "smupar" and not pulled


def judged(against: Sequence[bool], in_favour: Sequence[bool]) -> str:
    """The verdict on a claim: refuted by any, supported by all, else open."""
    if any(against):
        return NOT_AS_EXPECTED
    return AS_EXPECTED if in_favour and all(in_favour) else OPEN
