"""Does the optimum stay put? Drift, slope and zero-shot regret over the cells of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd

from smupar_transfer.verification.cells import Cell
from smupar_transfer.verification.optimum import (
    Optimum,
    Status,
    bootstrap,
    estimate,
    interval,
)


@dataclass(frozen=True)
class Regret:
    """Cost of not tuning a cell: its loss at another cell's best learning rate, less its own best.

    Attributes:
        log2_learning_rate: the rate that was carried over.
        nats, percent: mean over seeds; infinite if a run diverged, NaN if one is missing.
        standard_error: of ``nats``, over seeds, paired; NaN with fewer than two.
    """

    log2_learning_rate: float
    nats: float
    percent: float
    standard_error: float


LOST = Regret(math.nan, math.inf, math.inf, math.nan)
"""Of a cell in which no learning rate trained."""


@dataclass(frozen=True)
class CellSummary:
    """One row of ``summary.csv``.

    Attributes:
        regret: of the densest cell's best learning rate, carried over to this cell.
        zero_shot: of the proxy's learning rate, carried over to this cell; None if that is not known.
        zero_shot_to_best: the same against the best that any parametrization reached at this width and sparsity.
    """

    cell: Cell
    optimum: Optimum
    regret: Regret
    zero_shot: Regret | None
    zero_shot_to_best: Regret | None


@dataclass(frozen=True)
class Drift:
    """How far a parametrization's optimum moves over sparsity at one width.

    Attributes:
        octaves: max - min of log2 eta*. low, high: 95 % bootstrap interval, seeds paired over all cells.
        slope: d log2 eta* / d log2 density, least squares; NaN with one cell.
        largest_regret: of the densest cell's best learning rate, in percent, over the cells.
        largest_zero_shot_regret: of the proxy's learning rate; NaN if that is not known.
        exact: whether every optimum came from a fit; if not, ``octaves`` is a lower bound or one of the grid.
    """

    parametrization: str
    width: int
    octaves: float
    low: float
    high: float
    slope: float
    largest_regret: float
    largest_zero_shot_regret: float
    exact: bool


def carried_over(cell: Cell, log2_rate: float, best_losses: np.ndarray) -> Regret:
    """Regret of a cell at the grid's learning rate nearest to ``log2_rate``.

    Args:
        cell: the target.
        log2_rate: the rate to use without tuning.
        best_losses: losses that tuning reaches, per seed, (seeds,).
    """
    column = int(np.abs(cell.log2_learning_rates - log2_rate).argmin())
    carried = cell.losses[:, column]
    if np.isnan(carried).any() or np.isnan(best_losses).any():  # a run that was not run yet
        return Regret(float(cell.log2_learning_rates[column]), math.nan, math.nan, math.nan)
    if not np.isfinite(carried).all():
        return Regret(float(cell.log2_learning_rates[column]), math.inf, math.inf, math.nan)
    difference = carried - best_losses
    nats = float(difference.mean())
    error = float("nan")
    if len(difference) > 1:
        error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    percent = 100 * nats / float(best_losses.mean())
    return Regret(float(cell.log2_learning_rates[column]), nats, percent, error)


def _losses_at_best(cell: Cell, optimum: Optimum) -> np.ndarray:
    column = int(np.abs(cell.log2_learning_rates - optimum.grid_log2_learning_rate).argmin())
    return np.asarray(cell.losses[:, column])


def summarise(sweep: Sequence[Cell], proxy_log2_rate: float | None = None) -> list[CellSummary]:
    """Estimate every cell, and what it costs not to tune it.

    Args:
        sweep: all cells.
        proxy_log2_rate: log2 of the base learning rate that was tuned on the proxy; the grid's nearest stands for it.
    """
    estimated = [(cell, estimate(cell)) for cell in sweep]
    trained = [(cell, optimum) for cell, optimum in estimated if optimum.status is not Status.NOTHING]
    return [_summarise(cell, optimum, trained, proxy_log2_rate) for cell, optimum in estimated]


def _summarise(
    cell: Cell, optimum: Optimum, trained: Sequence[tuple[Cell, Optimum]], proxy_log2_rate: float | None
) -> CellSummary:
    if optimum.status is Status.NOTHING:
        known = None if proxy_log2_rate is None else LOST
        return CellSummary(cell, optimum, LOST, known, known)
    family = [pair for pair in trained if _family(pair[0]) == _family(cell)]
    _, densest = min(family, key=lambda pair: pair[0].sparsity)
    own = _losses_at_best(cell, optimum)
    regret = carried_over(cell, densest.grid_log2_learning_rate, own)
    if proxy_log2_rate is None:
        return CellSummary(cell, optimum, regret, None, None)
    rivals = [pair for pair in trained if (pair[0].width, pair[0].sparsity) == (cell.width, cell.sparsity)]
    rival, best = min(rivals, key=lambda pair: pair[1].loss)
    best_of_all = _losses_at_best(rival, best) if rival.seeds == cell.seeds else np.full(len(cell.seeds), best.loss)
    return CellSummary(
        cell,
        optimum,
        regret,
        carried_over(cell, proxy_log2_rate, own),
        carried_over(cell, proxy_log2_rate, best_of_all),
    )


def _family(cell: Cell) -> tuple[str, int]:
    return cell.parametrization, cell.width


def drifts(summaries: Sequence[CellSummary]) -> list[Drift]:
    """Drift over sparsity of every parametrization and width that trained at two sparsities or more."""
    families: dict[tuple[str, int], list[CellSummary]] = {}
    for summary in summaries:
        families.setdefault(_family(summary.cell), []).append(summary)
    return [
        _drift(members)
        for members in families.values()
        if sum(member.optimum.status is not Status.NOTHING for member in members) > 1
    ]


def _largest(values: Iterable[float]) -> float:
    """The largest of those that are known."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _drift(members: Sequence[CellSummary]) -> Drift:
    largest_regret = _largest(member.regret.percent for member in members)
    zero_shot = [member.zero_shot.percent for member in members if member.zero_shot is not None]
    exact = all(member.optimum.status is Status.FIT for member in members)
    members = [member for member in members if member.optimum.status is not Status.NOTHING]
    first = members[0].cell
    positions = np.array([member.optimum.log2_learning_rate for member in members])
    log2_density = np.log2([member.cell.density for member in members])
    low = high = float("nan")
    if len({member.cell.seeds for member in members}) == 1 and len(first.seeds) > 1:
        spread = np.stack([bootstrap(member.cell) for member in members])  # resamples are the same for all cells
        low, high = interval(spread.max(axis=0) - spread.min(axis=0))
    return Drift(
        parametrization=first.parametrization,
        width=first.width,
        octaves=float(positions.max() - positions.min()),
        low=low,
        high=high,
        slope=float(np.polyfit(log2_density, positions, 1)[0]),
        largest_regret=largest_regret,
        largest_zero_shot_regret=_largest(zero_shot),
        exact=exact,
    )


def _prefixed(prefix: str, regret: Regret | None) -> dict[str, float]:
    names = [field.name for field in fields(Regret)]
    return {f"{prefix}_{name}": math.nan if regret is None else getattr(regret, name) for name in names}


def summary_table(summaries: Sequence[CellSummary]) -> pd.DataFrame:
    """``summary.csv``: one row a cell."""
    return pd.DataFrame(
        [
            {
                "parametrization": summary.cell.parametrization,
                "width": summary.cell.width,
                "sparsity": summary.cell.sparsity,
                "seeds": len(summary.cell.seeds),
                **{key: str(value) if key == "status" else value for key, value in asdict(summary.optimum).items()},
                **_prefixed("regret", summary.regret),
                **_prefixed("zero_shot", summary.zero_shot),
                **_prefixed("zero_shot_to_best", summary.zero_shot_to_best),
                "diverged_runs": int(np.isinf(summary.cell.losses).sum()),
            }
            for summary in summaries
        ]
    )


def drift_table(found: Sequence[Drift]) -> pd.DataFrame:
    """``drift.csv``: one row a parametrization and width."""
    return pd.DataFrame([asdict(drift) for drift in found])
