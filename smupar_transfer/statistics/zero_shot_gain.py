"""What transferred hyperparameters gain without tuning, family by family and position by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smupar_transfer.statistics.cell import SIZES, Cell, Family, Floats
from smupar_transfer.statistics.regret import paired
from smupar_transfer.statistics.variance import student
from smupar_transfer.statistics.varying import without_unit_scale
from smupar_transfer.theory import InputError


@dataclass(frozen=True, eq=False)
class Gain:
    """What one cell gains over the reference family's cell at the same position on the axis.

    Attributes:
        family: The family that the cell belongs to.
        cell: The cell.
        position: The position on the axis (density for ``sparsity``).
        loss: The mean loss over seeds, nats; infinite if a run diverged.
        standard_error: Its standard error, nats; NaN if a run diverged.
        nats: The loss less that of the reference, seeds paired; negative is better. NaN without a reference there.
        nats_error: Its standard error; NaN with fewer than two seeds in common.
        low: The lower end of the 95 % interval of ``nats``.
        high: The upper end of that interval.
        percent: The value of ``nats`` in percent of the loss of the reference.
        percent_error: Its standard error.
        seeds: The number of seeds in common with the reference.
    """

    family: Family
    cell: Cell
    position: float
    loss: float
    standard_error: float
    nats: float
    nats_error: float
    low: float
    high: float
    percent: float
    percent_error: float
    seeds: int


def gains(families: Sequence[Family], reference: str = "sp") -> list[Gain]:
    """Every cell against the reference parametrization.

    Args:
        families: Families whose cells have a single value each: what was transferred.
        reference: The parametrization to compare with. Its cell of the same size and sparsity counts; of several, that
            of the family which shares most with the one it is compared with.

    Raises:
        InputError: a cell has several values, so it was tuned.
    """
    references = [family for family in families if family.parametrization == reference]
    return [_gain(family, cell, _counterpart(family, cell, references)) for family in families for cell in family.cells]


def _counterpart(family: Family, cell: Cell, references: Sequence[Family]) -> Cell | None:
    own, size = set(family.apart), [cell.settings[name] for name in SIZES]
    # most in common first; sorting is stable, so that equal ones stay in the order of the sweep
    for other in sorted(references, key=lambda other: -len(own & set(other.apart))):
        for candidate in other.cells:
            alike = size == [candidate.settings[name] for name in SIZES]
            if alike and candidate.position(family.axis) == cell.position(family.axis):
                return candidate
    return None


def _losses(cell: Cell) -> dict[int, float]:
    if cell.losses.shape[1] != 1:
        raise InputError(
            "sweep", cell.parametrization, "has cells with several values, so nothing was transferred to them"
        )
    return dict(zip(cell.seeds, cell.losses[:, 0].tolist(), strict=True))


def _gain(family: Family, cell: Cell, other: Cell | None) -> Gain:
    own = _losses(cell)
    loss, error = paired(np.array(list(own.values())), np.zeros(1)) if _finite(own) else (math.inf, math.nan)
    theirs = {} if other is None else _losses(other)
    shared = sorted(own.keys() & theirs.keys())
    nats = nats_error = low = high = percent = percent_error = math.nan
    if shared:
        losses, references = (np.array([table[seed] for seed in shared]) for table in (own, theirs))
        nats, nats_error = _difference(losses, references)
        half_width = student(len(shared) - 1.0) * nats_error if len(shared) > 1 else math.nan
        low, high = nats - half_width, nats + half_width
        percent, percent_error = (100 * value / float(references.mean()) for value in (nats, nats_error))
    position = cell.position(family.axis)
    return Gain(family, cell, position, loss, error, nats, nats_error, low, high, percent, percent_error, len(shared))


def _finite(losses: dict[int, float]) -> bool:
    return all(math.isfinite(loss) for loss in losses.values())


def _difference(losses: Floats, references: Floats) -> tuple[float, float]:
    """Mean and standard error; infinite where one side diverged, NaN where both did."""
    ours, theirs = bool(np.isfinite(losses).all()), bool(np.isfinite(references).all())
    if ours and theirs:
        return paired(losses, references)
    return (math.nan if ours == theirs else -math.inf if ours else math.inf), math.nan


def gain_table(gains: Sequence[Gain]) -> pd.DataFrame:
    """``gain.csv``: one row a cell."""
    names = ("loss", "standard_error", "nats", "nats_error", "low", "high", "percent", "percent_error", "seeds")
    table = pd.DataFrame(
        [
            {
                "family": gain.family.label,
                "parametrization": gain.cell.parametrization,
                **gain.cell.settings,
                **{name: getattr(gain, name) for name in names},
            }
            for gain in gains
        ]
    )
    return without_unit_scale(table)
