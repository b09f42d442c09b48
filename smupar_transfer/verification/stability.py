"""Does the optimum stay put? What every cell and every family of a sweep says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from smupar_transfer.verification.cells import SIZES, Cell, Family, Floats, families
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.drift import Errors, Slope, Spread, slope, spread
from smupar_transfer.verification.noise import draws, student
from smupar_transfer.verification.optimum import Optimum, Status, estimate
from smupar_transfer.verification.regret import Regret, carried_over

LOST = Regret(math.nan, math.inf, math.inf, math.nan)
"""Of a cell in which no value trained."""
BOUNDS = {"": "value", "_low": "low", "_high": "high"}


@dataclass(frozen=True, eq=False)
class CellSummary:
    """One row of ``summary.csv``.

    Attributes:
        family: that the cell belongs to.
        regret: of the optimum of the family's first cell (the densest, or the smallest), carried over to this cell.
        zero_shot: of the proxy's optimum, carried over to this cell; None if that is not known.
        zero_shot_to_best: the same against the best loss that any cell of this size, sparsity and budget reached.
        sensitivity: mean over the swept range of min(loss, loss of a uniform guess) less the best loss, nats (Wortsman
            et al. 2023, arXiv 2309.14322, section 2), over the range that all cells of the sweep have in common.
    """

    family: Family
    cell: Cell
    optimum: Optimum
    regret: Regret
    zero_shot: Regret | None
    zero_shot_to_best: Regret | None
    sensitivity: float

    @property
    def at_edge(self) -> bool:
        """Whether the best loss lies at the end of the grid: regrets of the cell are lower bounds."""
        return self.optimum.status is Status.EDGE


@dataclass(frozen=True, eq=False)
class FamilySummary:
    """One row of ``drift.csv``: a family with at least two cells that trained.

    Attributes:
        drift: range of log2 of the optimum, octaves. Its interval has no upper end where an optimum's has none.
        at_least: an optimum lies at the edge of its grid, or a cell did not train at all: the drift is a lower bound.
        slope: d log2 optimum / d log2 place on the axis (density for ``sparsity``); without an interval where that of
            an optimum has no end.
        kappa: d log2 (curvature / loss) / d log2 scale, where scale grows away from the proxy (1 / density for
            ``sparsity``): how fast the relative cost of a given error in octaves grows; lower is more robust. With
            loss ~ n**-alpha, optimum ~ n**-beta and d2 loss / d optimum2 ~ n**gamma it is alpha - 2 beta + gamma
            (named in arXiv 2605.21486; curvature is per octave squared, hence the optimum's exponent). Its interval
            holds the noise of the curvature, beside which that of the loss is small. NaN unless every cell has a fit.
        parabola_octaves: drift by plain parabolas, for comparison with other work; NaN unless each has one.
        sensitivity: mean over cells, nats.
        largest_regret, largest_zero_shot_regret: in percent, over cells; NaN if not known.
        regret_at_least: the latter is a lower bound: a cell has its best loss at the end of its grid, or was not run
            as far as what was carried over.
        exact: whether every optimum came from a fit with an interval that ends on both sides.
        surely: octaves that the optima's own intervals lie apart; NaN unless two have one. Less than the drift's lower
            end, but known as well where optima lie at the edge.
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


def summarise(
    sweep: Sequence[Cell], design: Design | None = None, proxy_log2_value: float | None = None
) -> list[CellSummary]:
    """Estimate every cell, and what it costs not to tune it.

    Args:
        sweep: all cells.
        design: of the sweep.
        proxy_log2_value: log2 of the swept hyperparameter as tuned on the proxy, for cells whose proxy is not among
            ``sweep``.

    Returns:
        a summary a cell, family by family.
    """
    found = families(sweep, design)
    optima = dict(zip(map(id, sweep), estimate(sweep), strict=True))
    trained = [(cell, optima[id(cell)]) for cell in sweep if optima[id(cell)].status is not Status.NOTHING]
    shared = _shared_range(sweep)
    summaries = []
    for family in found:
        own = [(cell, optima[id(cell)]) for cell in family.cells]
        first = next((optimum.log2_value for _, optimum in own if optimum.status is not Status.NOTHING), math.nan)
        for cell, optimum in own:
            proxy = proxy_value(cell, family.axis, trained, proxy_log2_value)
            summaries.append(_summarise(family, cell, optimum, first, proxy, trained, shared))
    return summaries


def _summarise(
    family: Family,
    cell: Cell,
    optimum: Optimum,
    first: float,
    proxy: float | None,
    trained: Sequence[tuple[Cell, Optimum]],
    shared: tuple[float, float],
) -> CellSummary:
    if optimum.status is Status.NOTHING:
        known = None if proxy is None else LOST
        return CellSummary(family, cell, optimum, LOST, known, known, sensitivity(cell, *shared))
    own = best_losses(cell, optimum)
    rivals = [pair for pair in trained if _size(pair[0]) == _size(cell)]
    rival, best = min(rivals, key=lambda pair: pair[1].loss)
    of_all = _for_seeds(cell.seeds, rival, best)
    return CellSummary(
        family,
        cell,
        optimum,
        carried_over(cell, first, own),
        None if proxy is None else carried_over(cell, proxy, own),
        None if proxy is None else carried_over(cell, proxy, of_all),
        sensitivity(cell, *shared),
    )


def best_losses(cell: Cell, optimum: Optimum) -> Floats:
    """Losses at the best point of the cell's grid, (seeds,); NaN for seeds that did not enter its estimate."""
    column = int(np.abs(cell.log2_values - optimum.grid_log2_value).argmin())
    return np.where(np.isin(cell.seeds, optimum.seeds), cell.losses[:, column], np.nan)


def _for_seeds(seeds: Sequence[int], rival: Cell, best: Optimum) -> Floats:
    """The rival's losses at its best point for these seeds, NaN for those it did not run; its mean if it ran none."""
    known = dict(zip(rival.seeds, best_losses(rival, best), strict=True))
    found = np.array([known.get(seed, math.nan) for seed in seeds])
    return np.full(len(seeds), best.loss) if np.isnan(found).all() else found


def _size(cell: Cell) -> tuple[object, ...]:
    return tuple(cell.settings[name] for name in SIZES)


def proxy_value(
    cell: Cell, axis: str, trained: Sequence[tuple[Cell, Optimum]], otherwise: float | None
) -> float | None:
    """What tuning the proxy says: the optimum of the dense cell of base width that is like ``cell`` off the axis.

    Of several, which differ in depth or tokens, the cheapest. ``otherwise`` if the sweep has none.
    """
    free = {*SIZES, axis} - {"base_width"}
    same = [
        (other, optimum)
        for other, optimum in trained
        if other.parametrization == cell.parametrization
        and other.width == other.settings["base_width"]
        and other.sparsity == 0
        and all(other.settings[name] == value for name, value in cell.settings.items() if name not in free)
    ]
    if not same:
        return otherwise
    return min(same, key=lambda pair: pair[0].flops)[1].log2_value


def _shared_range(sweep: Sequence[Cell]) -> tuple[float, float]:
    return (
        max((float(cell.log2_values[0]) for cell in sweep), default=math.nan),
        min((float(cell.log2_values[-1]) for cell in sweep), default=math.nan),
    )


def sensitivity(cell: Cell, low: float, high: float) -> float:
    """Mean of min(loss, loss of a uniform guess) over log2 values from ``low`` to ``high``, less the best loss there.

    The mean over seeds counts, linear between points; NaN if the range is empty.
    """
    means = np.minimum(cell.mean_losses, cell.chance_loss)
    inside = cell.log2_values[(cell.log2_values > low) & (cell.log2_values < high)]
    at = np.array([low, *inside, high])
    if not low < high:
        return math.nan
    losses = np.interp(at, cell.log2_values, means)
    area = float(((losses[1:] + losses[:-1]) / 2 * np.diff(at)).sum())
    return area / (high - low) - float(losses.min())


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
    """Of the optima; None unless all have one.

    They reach as far as the optima's own intervals where those are wider than to first order, but not beyond the grid.
    """
    optima = [member.optimum for member in members]
    scale, freedom, value, low, high = (
        np.array([getattr(optimum, name) for optimum in optima])
        for name in ("standard_error", "freedom", "log2_value", "low", "high")
    )
    if not np.isfinite(scale).all():
        return None
    half = np.array([student(optimum.freedom) * optimum.standard_error for optimum in optima])
    first, last = (np.array([member.cell.log2_values[end] for member in members]) for end in (0, -1))
    below, above = (value - np.maximum(low, first)) / half, (np.minimum(high, last) - value) / half
    return Errors(draws(scale, freedom), np.maximum(below, 1), np.maximum(above, 1))


def _surely(members: Sequence[CellSummary]) -> float:
    """The range that is left if every optimum lies at that end of its interval which is nearest to the others."""
    known = [member.optimum for member in members if not math.isnan(member.optimum.low)]
    if len(known) < 2:
        return math.nan
    return max(0.0, max(optimum.low for optimum in known) - min(optimum.high for optimum in known))


def _largest(values: Iterable[float]) -> float:
    """The largest of those that are known."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _family_summary(every: Sequence[CellSummary]) -> FamilySummary:
    members = [member for member in every if member.optimum.status is not Status.NOTHING]
    family, optima = members[0].family, [member.optimum for member in members]
    positions = np.array([optimum.log2_value for optimum in optima])
    places = np.log2([member.cell.place(family.axis) for member in members])
    errors, bends = _errors(members), None
    if errors is not None:
        freedom = np.array([optimum.freedom for optimum in optima])
        relative = np.array([optimum.curvature_error / optimum.curvature for optimum in optima])
        bends = draws(relative / math.log(2), freedom)
    parabolas = np.array([optimum.parabola for optimum in optima])
    outwards = -1 if family.axis == "sparsity" else 1
    relative_curvature = np.log2([optimum.curvature / optimum.fitted_loss for optimum in optima])
    drift, found = spread(positions, errors), {member.optimum.status for member in every}
    carried = [(member.zero_shot.percent, member.at_edge) for member in every if member.zero_shot is not None]
    largest = _largest(value for value, _ in carried)
    if Status.FLAT in found and errors is not None:
        drift = replace(drift, high=math.inf)
    return FamilySummary(
        family=family,
        drift=drift,
        at_least=not found.isdisjoint({Status.EDGE, Status.NOTHING}),
        slope=slope(places, positions, None if errors is None or Status.FLAT in found else errors.widest),
        kappa=slope(outwards * places, relative_curvature, bends),
        parabola_octaves=float(np.ptp(parabolas)),
        sensitivity=float(np.mean([member.sensitivity for member in members])),
        largest_regret=_largest(member.regret.percent for member in every),
        largest_zero_shot_regret=largest,
        regret_at_least=math.isfinite(largest) and any(edge or math.isnan(value) for value, edge in carried),
        exact=found == {Status.FIT} and errors is not None,
        surely=_surely(members),
    )


def summary_table(summaries: Sequence[CellSummary]) -> pd.DataFrame:
    """``summary.csv``: one row a cell, with all its settings."""
    return pd.DataFrame([_cell_row(summary) for summary in summaries])


def _cell_row(summary: CellSummary) -> dict[str, object]:
    cell, optimum = summary.cell, summary.optimum
    hidden = ("status", "seeds", "curve")
    return {
        "family": summary.family.label,
        "parametrization": cell.parametrization,
        **cell.settings,
        "seeds": len(optimum.seeds),
        "status": str(optimum.status),
        **{field.name: getattr(optimum, field.name) for field in fields(optimum) if field.name not in hidden},
        **_prefixed("regret", summary.regret),
        **_prefixed("zero_shot", summary.zero_shot),
        **_prefixed("zero_shot_to_best", summary.zero_shot_to_best),
        "sensitivity": summary.sensitivity,
        "diverged_runs": int(np.isinf(cell.losses).sum()),
    }


def _prefixed(prefix: str, regret: Regret | None) -> dict[str, float]:
    names = [*(field.name for field in fields(Regret)), "standard_errors"]
    return {f"{prefix}_{name}": math.nan if regret is None else getattr(regret, name) for name in names}


def drift_table(found: Sequence[FamilySummary]) -> pd.DataFrame:
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
            for summary in found
        ]
    )
