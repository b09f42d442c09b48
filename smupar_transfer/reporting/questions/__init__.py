"""What a sweep can ask: a module a kind, each of which makes records into an ``Outcome``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import joint_optimum, proxy_size, search_cost, stability, zero_shot_gain

Analysis = Callable[[Manifest, Sequence[RunRecord]], Outcome]

ANALYSES: Mapping[str, Analysis] = {
    "stability": stability.outcome,
    "contours": joint_optimum.outcome,
    "gain": zero_shot_gain.outcome,
    "proxy_size": proxy_size.outcome,
    "search": search_cost.outcome,
}


def outcome_of(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """What the finished runs of a sweep, at least one, say; with a verdict where the sweep tests a claim."""
    outcome = ANALYSES[manifest.kind](manifest, records)
    return outcome if manifest.claim else replace(outcome, claim="", verdict="")
