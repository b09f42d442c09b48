"""From summaries to what figures draw: plain tuples, computed and tested apart from any drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.figures.stability import Curve, Panel, Track
from smupar_transfer.verification.fit import Status
from smupar_transfer.verification.stability import CellSummary

HEADROOM = 0.8  # nats above the best loss that loss curves show


def title_of(name: str) -> str:
    """How figures and tables call a parametrization."""
    return PARAMETRIZATIONS[name].title


def families(summaries: Sequence[CellSummary]) -> list[list[CellSummary]]:
    """Cells by parametrization (in the order of ``theory``), each from dense to sparse."""
    return [
        members
        for name in PARAMETRIZATIONS
        if (members := sorted((s for s in summaries if s.cell.parametrization == name), key=lambda s: s.cell.sparsity))
    ]


def loss_panels(summaries: Sequence[CellSummary]) -> tuple[list[Panel], float]:
    """Panels of loss curves, and the top of their loss axis."""
    panels = [
        Panel(title_of(members[0].cell.parametrization), tuple(_curve(member) for member in members))
        for members in families(summaries)
    ]
    best = min((s.optimum.loss for s in summaries), default=math.inf)
    return panels, (best if math.isfinite(best) else 0.0) + HEADROOM


def _curve(summary: CellSummary) -> Curve:
    cell, optimum = summary.cell, summary.optimum
    means = cell.mean_losses
    count = len(cell.seeds)
    finite = np.isfinite(means)
    errors = np.zeros(len(means))
    if count > 1:
        errors[finite] = cell.losses[:, finite].std(axis=0, ddof=1) / math.sqrt(count)
    marked = None if optimum.status is Status.NOTHING else (optimum.log2_value, optimum.loss)
    return Curve(
        label=f"{cell.sparsity:g}",
        log2_rates=tuple(cell.log2_values[finite]),
        losses=tuple(means[finite]),
        errors=tuple(errors[finite]),
        optimum=marked,
        at_edge=optimum.status is not Status.FIT,
    )


def optimum_tracks(summaries: Sequence[CellSummary]) -> list[Track]:
    """The optimum over density, a track per parametrization; cells in which nothing trained are left out."""
    tracks = []
    for members in families(summaries):
        found = [member for member in members if member.optimum.status is not Status.NOTHING]
        if not found:
            continue
        name = found[0].cell.parametrization
        tracks.append(
            Track(
                name=name,
                title=title_of(name),
                log2_density=tuple(math.log2(member.cell.density) for member in found),
                optima=tuple(member.optimum.log2_value for member in found),
                low=tuple(member.optimum.low for member in found),
                high=tuple(member.optimum.high for member in found),
                exact=tuple(member.optimum.status is Status.FIT for member in found),
            )
        )
    return tracks
