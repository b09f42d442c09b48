"""Timings that a busy moment may have spoilt: they lie far apart, or out of line with those of similar layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from smupar_transfer.sparsity.autotune.decision import DENSE
from smupar_transfer.sparsity.autotune.timing import LARGE_SPREAD, Timing, largest_spread
from smupar_transfer.sparsity.autotune.workload import Workload

OUT_OF_LINE = 1.5
"""Times what a layer that has no less to do takes: more cannot be the layer's own."""
ZEROS_TOO = (DENSE, "masked", "expand")
"""Backends that multiply zeros: their products take as long at any density."""
PATIENCE = timedelta(hours=1)
"""For which a doubtful timing is used before it is measured again. Processes that start together agree on it."""


def doubt(workload: Workload, timings: Mapping[str, Timing], known: Mapping[str, Mapping[str, Timing]]) -> str:
    """Why timings should be measured again, in a few words; empty if there is no reason.

    Args:
        workload: The layer, on the grid.
        timings: Of the layer, by backend.
        known: Timings of layers, by the text of their workload.
    """
    spread = largest_spread(timings)
    if spread > LARGE_SPREAD:
        return f"spread of {spread:.0%}"
    for text, others in known.items():
        other = Workload.read(text)
        if other is None or other == workload or _but_for_density(other) != _but_for_density(workload):
            continue
        for name in timings.keys() & others.keys():
            no_less_to_do = name in ZEROS_TOO or other.nonzero >= workload.nonzero
            if no_less_to_do and timings[name].products > OUT_OF_LINE * others[name].products:
                times = timings[name].products / others[name].products
                return f"{name} {times:.1f}x that of {other.nonzero:,} weights"
    return ""


def is_old(timings: Mapping[str, Timing]) -> bool:
    """Whether ``PATIENCE`` is over since timings were measured."""
    oldest = min((datetime.fromisoformat(timing.measured) for timing in timings.values()), default=None)
    return oldest is None or datetime.now(UTC) - oldest > PATIENCE


def _but_for_density(workload: Workload) -> Workload:
    return replace(workload, nonzero=0, full=False)
