"""Whether an optimum stays put: what a drift and its interval decide about the theory's claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smupar_transfer.statistics.cell import Setup
from smupar_transfer.statistics.family_summary import FamilySummary

LARGEST_DRIFT = 0.35
"""Octaves; what the SuPar paper's own figure shows."""
HOLDS, LIKELY, OPEN, DOES_NOT_HOLD = "holds", "holds by its estimate, not by its interval", "open", "does not hold"
STAYING = {HOLDS: "stays put", LIKELY: "likely stays put", OPEN: "open", DOES_NOT_HOLD: "moves"}
"""A verdict on the claim that an optimum stays put, in a word."""
SEVERITY = (HOLDS, LIKELY, OPEN, DOES_NOT_HOLD)
"""From best to worst: what is claimed of several things holds only as far as for the worst of them."""


def held_by_theory(cell: Setup) -> bool:
    """Whether the optimum of a family with this cell should stay: SuPar's does, unless unscaled weight decay pulls."""
    # coupled decay shrinks weights by learning rate times decay, so that it becomes another as the rate is rescaled
    # (decision 15)
    pulled = cell.settings.get("weight_decay") != 0 and cell.settings["weight_decay_form"] == "coupled"
    return cell.parametrization == "smupar" and not pulled


def judged(against: Sequence[bool], in_favour: Sequence[bool], surely: Sequence[bool] | None = None) -> str:
    """The verdict on a claim.

    Args:
        against: Whether each of these refutes the claim, as far as intervals tell.
        in_favour: Whether each of these supports it.
        surely: Whether each of these supports it wherever in the intervals the truth lies; ``in_favour`` if that is as
            strict.

    Returns:
        That it does not hold, if anything refutes it; else that it holds, surely or by its estimate, if everything
        supports it; else that it is open.
    """
    # first: nothing in favour makes up for what refutes
    if any(against):
        return DOES_NOT_HOLD
    if not in_favour or not all(in_favour):
        return OPEN
    return HOLDS if surely is None or all(surely) else LIKELY


def worst(verdicts: Iterable[str]) -> str:
    """The verdict on all of several things, each of which has its own; open if there are none."""
    return max(verdicts, key=SEVERITY.index, default=OPEN)


def staying(summary: FamilySummary) -> str:
    """The verdict on the claim that the optimum of a family, of any parametrization, stays within ``LARGEST_DRIFT``."""
    return judged(
        # no comparison with NaN is true: without an interval there is no evidence (decision 15)
        [summary.drift.low > LARGEST_DRIFT or summary.surely > LARGEST_DRIFT],
        [summary.exact and summary.drift.value <= LARGEST_DRIFT],
        [summary.drift.high <= LARGEST_DRIFT],
    )
