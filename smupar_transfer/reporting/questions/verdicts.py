"""What counts as expected: the theory's claim, that SuPar's optimum stays where it is."""

from __future__ import annotations

from smupar_transfer.statistics.drift_verdicts import LARGEST_DRIFT, LIKELY, OPEN, STAYING

LARGEST_REGRET = 0.5
"""Percent of the loss that a transfer without tuning may cost."""
BOUND = "≥ marks a number that is known from below only."
BOLD = "Bold is the best of a column by its estimate, whatever its interval."
STAYS = f"SμPar's optimum drifts by at most {LARGEST_DRIFT} octaves, as in the paper's own figure"


def said_of(verdict: str, subject: str, reach: str, drift: str) -> str:
    """A verdict on an optimum, as a sentence: "SμPar's optimum stays put from 0 to 1: it drifts by 0.1 octaves ..."."""
    allowed = f"where {LARGEST_DRIFT} are allowed"
    if verdict == OPEN:
        return f"It is open whether {subject} stays put {reach}: {drift}, {allowed}."
    if verdict == LIKELY:
        allowed = f"and its interval reaches beyond the {LARGEST_DRIFT} that are allowed"
    return f"{subject} {STAYING[verdict]} {reach}: {drift}, {allowed}."
