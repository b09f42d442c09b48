"""Does the optimum of a family move? Drift, slope and robustness over its cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from smupar_transfer.statistics.cell import Family
from smupar_transfer.statistics.cell_summary import CellSummary
from smupar_transfer.statistics.drift import Errors, Slope, Spread, slope, spread
from smupar_transfer.statistics.optimum import Status
from smupar_transfer.statistics.variance import draws, student

BOUNDS = {"": "value", "_low": "low", "_high": "high"}
"""What the columns of a slope in ``drift.csv`` end in, and its attribute that stands there."""


@dataclass(frozen=True, eq=False)
class FamilySummary:
    """One row of ``drift.csv``: a family with at least two cells that trained.

    Attributes:
        family: The family.
        drift: The range of log2 of the optimum, octaves. Its interval has no upper end where an optimum's has none.
        at_least: Whether the drift is a lower bound: an optimum lies at the edge of its grid, or a cell did not train
            at all.
        slope: The slope d log2 optimum / d log2 position on the axis (density for ``sparsity``); without an interval
            where that of an optimum has no end.
        kappa: The slope d log2 (curvature / loss) / d log2 scale, where scale grows away from the proxy (1 / density
            for ``sparsity``): how fast the relative cost of a given error in octaves grows; lower is more robust. With
            loss ~ n**-alpha, optimum ~ n**-beta and d2 loss / d optimum2 ~ n**gamma it is alpha - 2 beta + gamma (named
            in arXiv 2605.21486; curvature is per octave squared, hence the optimum's exponent). Its interval holds the
            noise of the curvature, beside which that of the loss is small. NaN unless every cell has a fit.
        parabola_octaves: The drift by plain parabolas, for comparison with other work; NaN unless each cell has one.
        sensitivity: The mean sensitivity of the cells, nats.
        largest_regret: The largest regret of a cell, in percent; NaN if not known.
        largest_zero_shot_regret: The largest zero-shot regret of a cell, in percent; NaN if not known.
        regret_at_least: Whether the latter is a lower bound: a cell has its best loss at the end of its grid, or was
            not run as far as the transferred value.
        exact: Whether every optimum came from a fit with an interval that ends on both sides.
        surely: The octaves that the optima's own intervals lie apart; NaN unless two have one. Less than the drift's
            lower end, but known as well where optima lie at the edge.
    """

    family: Family
    drift: Spread
    at_least: bool
    slope: Slope
    kappa: Slope
    parabola_octaves: float
    sensitivity: float
    largest_regret: float
    largest_zero_shot_regret: float
    regret_at_least: bool
    exact: bool
    surely: float


def summarise_families(summaries: Sequence[CellSummary]) -> list[FamilySummary]:
    """Drift, slope and robustness of every family with at least two cells that trained."""
    members: dict[int, list[CellSummary]] = {}
    for summary in summaries:
        members.setdefault(id(summary.family), []).append(summary)
    return [
        _family_summary(own)
        for own in members.values()
        if sum(member.optimum.status is not Status.NOTHING for member in own) > 1
    ]


def _errors(members: Sequence[CellSummary]) -> Errors | None:
    """The errors of the optima; None unless all have one.

    They reach as far as the optima's own intervals where those are wider than to first order, but not beyond the grid.
    """
    optima = [member.optimum for member in members]
    scale, degrees_of_freedom, value, low, high = (
        np.array([getattr(optimum, name) for optimum in optima])
        for name in ("standard_error", "degrees_of_freedom", "log2_value", "low", "high")
    )
    if not np.isfinite(scale).all():
        return None
    half = np.array([student(optimum.degrees_of_freedom) * optimum.standard_error for optimum in optima])
    first, last = (np.array([member.cell.log2_values[end] for member in members]) for end in (0, -1))
    # how many half widths the own intervals reach; never less than one, since a narrower one is luck
    below, above = (value - np.maximum(low, first)) / half, (np.minimum(high, last) - value) / half
    return Errors(draws(scale, degrees_of_freedom), np.maximum(below, 1), np.maximum(above, 1))


def _surely(members: Sequence[CellSummary]) -> float:
    """The range that is left if every optimum lies at that end of its interval which is nearest to the others."""
    known = [member.optimum for member in members if not math.isnan(member.optimum.low)]
    if len(known) < 2:
        return math.nan
    return max(0.0, max(optimum.low for optimum in known) - min(optimum.high for optimum in known))


def largest_known(values: Iterable[float]) -> float:
    """The largest of those that are known."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _family_summary(every: Sequence[CellSummary]) -> FamilySummary:
    members = [member for member in every if member.optimum.status is not Status.NOTHING]
    family, optima = members[0].family, [member.optimum for member in members]
    log2_optima = np.array([optimum.log2_value for optimum in optima])
    positions = np.log2([member.cell.position(family.axis) for member in members])
    errors, bends = _errors(members), None
    if errors is not None:
        degrees_of_freedom = np.array([optimum.degrees_of_freedom for optimum in optima])
        relative = np.array([optimum.curvature_error / optimum.curvature for optimum in optima])
        bends = draws(relative / math.log(2), degrees_of_freedom)  # a relative error is one of log2, to first order
    parabolas = np.array([optimum.parabola for optimum in optima])
    outwards = -1 if family.axis == "sparsity" else 1  # density falls away from the proxy, other scales grow
    relative_curvature = np.log2([optimum.curvature / optimum.fitted_loss for optimum in optima])
    drift, statuses = spread(log2_optima, errors), {member.optimum.status for member in every}
    transferred = [(member.zero_shot.percent, member.at_edge) for member in every if member.zero_shot is not None]
    largest = largest_known(value for value, _ in transferred)
    # the optimum of a flat cell may lie at the end of what was run, or anywhere beyond
    if Status.FLAT in statuses and errors is not None:
        drift = replace(drift, high=math.inf)
    return FamilySummary(
        family=family,
        drift=drift,
        at_least=not statuses.isdisjoint({Status.EDGE, Status.NOTHING}),
        slope=slope(positions, log2_optima, None if errors is None or Status.FLAT in statuses else errors.widest),
        kappa=slope(outwards * positions, relative_curvature, bends),
        parabola_octaves=float(np.ptp(parabolas)),
        sensitivity=float(np.mean([member.sensitivity for member in members])),
        largest_regret=largest_known(member.regret.percent for member in every),
        largest_zero_shot_regret=largest,
        regret_at_least=math.isfinite(largest) and any(edge or math.isnan(value) for value, edge in transferred),
        exact=statuses == {Status.FIT} and errors is not None,
        surely=_surely(members),
    )


def drift_table(summaries: Sequence[FamilySummary]) -> pd.DataFrame:
    """``drift.csv``: one row a family."""
    return pd.DataFrame(
        [
            {
                "family": summary.family.label,
                "parametrization": summary.family.parametrization,
                **dict(summary.family.apart),
                "axis": summary.family.axis,
                "octaves": summary.drift.value,
                "low": summary.drift.low,
                "high": summary.drift.high,
                "noise_octaves": summary.drift.noise,
                "parabola_octaves": summary.parabola_octaves,
                **{f"slope{suffix}": getattr(summary.slope, name) for suffix, name in BOUNDS.items()},
                **{f"kappa{suffix}": getattr(summary.kappa, name) for suffix, name in BOUNDS.items()},
                "sensitivity": summary.sensitivity,
                "largest_regret": summary.largest_regret,
                "largest_zero_shot_regret": summary.largest_zero_shot_regret,
                "regret_at_least": summary.regret_at_least,
                "exact": summary.exact,
                "surely": summary.surely,
                "at_least": summary.at_least,
            }
            for summary in summaries
        ]
    )
