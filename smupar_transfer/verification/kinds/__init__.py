"""What a sweep can ask: a module a kind, each of which makes records into an ``Outcome``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.verification.kinds import contours, gain, proxy_size, search, stability
from smupar_transfer.verification.outcome import Outcome

Kind = Callable[[Manifest, Sequence[RunRecord]], Outcome]

KINDS: Mapping[str, Kind] = {
    "stability": stability.outcome,
    "contours": contours.outcome,
    "gain": gain.outcome,
    "proxy_size": proxy_size.outcome,
    "search": search.outcome,
}


def outcome_of(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """What the finished runs of a sweep, at least one, say; with a verdict where the sweep tests a claim."""
    outcome = KINDS[manifest.kind](manifest, records)
    return outcome if manifest.claim else replace(outcome, claim="", verdict="")
