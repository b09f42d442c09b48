"""What counts as expected: the theory's claim, that SuPar's optimum stays where it is."""

from __future__ import annotations

from collections.abc import Sequence

from smupar_transfer.verification.cells import Setup

LARGEST_DRIFT = 0.35
"""Octaves; what the SuPar paper's own figure shows."""
LARGEST_REGRET = 0.5
"""Percent of the loss that a transfer without tuning may cost."""
HOLDS, LIKELY, OPEN, DOES_NOT_HOLD = "holds", "holds by its estimate, not by its interval", "open", "does not hold"
STAYS = f"SμPar's optimum drifts by at most {LARGEST_DRIFT} octaves, as in the paper's own figure"


def held_by_theory(cell: Setup) -> bool:
    """Whether the optimum of a family with this cell should stay: SuPar's does, unless unscaled weight decay pulls."""
    pulled = cell.settings.get("weight_decay") != 0 and cell.settings["weight_decay_form"] == "coupled"
    return cell.parametrization == "smupar" and not pulled


def judged(against: Sequence[bool], in_favour: Sequence[bool], surely: Sequence[bool] | None = None) -> str:
    """The verdict on a claim.

    Args:
        against: what refutes it, as far as intervals tell.
        in_favour: what supports it.
        surely: what supports it wherever in the intervals the truth lies; ``in_favour`` if that is as strict.

    Returns:
        refuted by any, else supported by all, surely or not, else open.
    """
    if any(against):
        return DOES_NOT_HOLD
    if not in_favour or not all(in_favour):
        return OPEN
    return HOLDS if surely is None or all(surely) else LIKELY
