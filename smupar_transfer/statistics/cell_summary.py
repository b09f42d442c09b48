"""Does the optimum stay put? The optimum of every cell of a sweep, and what it costs not to tune the cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from smupar_transfer.records import Design
from smupar_transfer.statistics.cell import SIZES, Cell, Family, Floats, families
from smupar_transfer.statistics.optimum import Optimum, Status, estimate
from smupar_transfer.statistics.regret import Regret, transferred_regret
from smupar_transfer.statistics.varying import without_unit_scale

LOST = Regret(math.nan, math.inf, math.inf, math.nan)
"""The regret of a cell in which no value trained."""

COLUMNS = {"degrees_of_freedom": "freedom"}
"""Attributes of an optimum that have another name in ``summary.csv``, which keeps the names it was published with."""


@dataclass(frozen=True, eq=False)
class CellSummary:
    """One row of ``summary.csv``.

    Attributes:
        family: The family that the cell belongs to.
        cell: The cell.
        optimum: The optimum of its mean loss curve.
        regret: The regret of the optimum of the family's first cell (the densest, or the smallest), transferred
            to this cell.
        zero_shot: The regret of the proxy's optimum, transferred to this cell; None if that is not known.
        zero_shot_to_best: The same against the best loss that any cell of this size, sparsity and budget reached.
        sensitivity: The mean over the swept range of min(loss, loss of a uniform guess) less the best loss, nats
            (Wortsman et al. 2023, arXiv 2309.14322, section 2), over the range that all cells of the sweep have in
            common.
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


def summarise(
    sweep: Sequence[Cell], design: Design | None = None, proxy_log2_value: float | None = None
) -> list[CellSummary]:
    """Estimate every cell, and what it costs not to tune it.

    Args:
        sweep: All cells of the sweep.
        design: The design of the sweep; the default design if left out.
        proxy_log2_value: The log2 of the swept hyperparameter as tuned on the proxy, for cells whose proxy is not among
            ``sweep``.

    Returns:
        A summary for each cell, family by family.
    """
    # by identity: cells hold arrays, which have no hash and no single truth of equality
    optima = dict(zip(map(id, sweep), estimate(sweep), strict=True))
    trained = [(cell, optima[id(cell)]) for cell in sweep if optima[id(cell)].status is not Status.NOTHING]
    shared = _shared_range(sweep)
    summaries = []
    for family in families(sweep, design):
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
    # under any parametrization, but for the same compute: otherwise the best would be the most expensive
    rivals = [pair for pair in trained if _size(pair[0]) == _size(cell)]
    rival, best = min(rivals, key=lambda pair: pair[1].loss)
    of_all = _for_seeds(cell.seeds, rival, best)
    return CellSummary(
        family,
        cell,
        optimum,
        transferred_regret(cell, first, own),
        None if proxy is None else transferred_regret(cell, proxy, own),
        None if proxy is None else transferred_regret(cell, proxy, of_all),
        sensitivity(cell, *shared),
    )


def best_losses(cell: Cell, optimum: Optimum) -> Floats:
    """Losses at the best point of the cell's grid, (seeds,); NaN for seeds that did not enter its estimate."""
    column = int(np.abs(cell.log2_values - optimum.grid_log2_value).argmin())
    return np.where(np.isin(cell.seeds, optimum.seeds), cell.losses[:, column], np.nan)


def _for_seeds(seeds: Sequence[int], rival: Cell, best: Optimum) -> Floats:
    """The rival's losses at its best point for these seeds, NaN for those it did not run; its mean if it ran none."""
    known = dict(zip(rival.seeds, best_losses(rival, best), strict=True))
    losses = np.array([known.get(seed, math.nan) for seed in seeds])
    # seeds in common are paired, which takes out what a seed adds; without any, the mean has to do
    return np.full(len(seeds), best.loss) if np.isnan(losses).all() else losses


def _size(cell: Cell) -> tuple[object, ...]:
    return tuple(cell.settings[name] for name in SIZES)


def proxy_value(
    cell: Cell, axis: str, trained: Sequence[tuple[Cell, Optimum]], otherwise: float | None
) -> float | None:
    """What tuning the proxy predicts: the optimum of the dense cell of base width that is like ``cell`` off the axis.

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
    # as in the paper: who diverged could have guessed, so that one diverged run is bad and not infinitely bad
    means = np.minimum(cell.mean_losses, cell.chance_loss)
    inside = cell.log2_values[(cell.log2_values > low) & (cell.log2_values < high)]
    at = np.array([low, *inside, high])
    if not low < high:
        return math.nan
    losses = np.interp(at, cell.log2_values, means)
    area = float(((losses[1:] + losses[:-1]) / 2 * np.diff(at)).sum())
    return area / (high - low) - float(losses.min())


def summary_table(summaries: Sequence[CellSummary]) -> pd.DataFrame:
    """``summary.csv``: one row a cell, with all its settings; the scale of initial values only where there is one."""
    return without_unit_scale(pd.DataFrame([_cell_row(summary) for summary in summaries]))


def _cell_row(summary: CellSummary) -> dict[str, object]:
    cell, optimum = summary.cell, summary.optimum
    hidden = ("status", "seeds", "curve")
    shown = [field.name for field in fields(optimum) if field.name not in hidden]
    return {
        "family": summary.family.label,
        "parametrization": cell.parametrization,
        **cell.settings,
        "seeds": len(optimum.seeds),
        "status": str(optimum.status),
        **{COLUMNS.get(name, name): getattr(optimum, name) for name in shown},
        **_prefixed("regret", summary.regret),
        **_prefixed("zero_shot", summary.zero_shot),
        **_prefixed("zero_shot_to_best", summary.zero_shot_to_best),
        "sensitivity": summary.sensitivity,
        "diverged_runs": int(np.isinf(cell.losses).sum()),
    }


def _prefixed(prefix: str, regret: Regret | None) -> dict[str, float]:
    names = [*(field.name for field in fields(Regret)), "standard_errors"]
    return {f"{prefix}_{name}": math.nan if regret is None else getattr(regret, name) for name in names}
