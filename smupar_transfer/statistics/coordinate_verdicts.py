"""What a coordinate check decides about each parametrization: that sizes stay put, that one drifts, or why neither."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.statistics.clipping import Clipping, clipping_of
from smupar_transfer.statistics.coordinate_slopes import (
    LayerSlope,
    Moment,
    Verdict,
    exponent_at_start,
    sizes_table,
    slopes,
)
from smupar_transfer.theory import Coordinate


class Reason(StrEnum):
    """Why a verdict is open."""

    FEW_SEEDS = "few seeds"
    """An interval lies across the border of its allowance, or there is none."""
    UNMEASURED = "unmeasured"
    """A size is zero or missing at some scale in every seed."""
    DIVERGED = "diverged"
    """Nothing drifts as far as sizes are known, but those of runs that diverged are not."""
    CLIPPED = "clipped"
    """What drifts does so under SGD, or a rule like it, whose gradients were clipped: that can make it drift."""


@dataclass(frozen=True)
class Judgement:
    """What a check decides about one parametrization.

    Attributes:
        parametrization: The name of the parametrization.
        verdict: The verdict on all of its sizes together.
        expected: The verdict that theory predicts on this axis; open if it does not know.
        deciding: The slopes that decide the verdict, those that use up most of their allowance first.
        unmeasured: The slopes of which no seed tells anything.
        reasons: Why the verdict is open; empty if it is not.
        runs: The number of runs, diverged ones among them.
        diverged: How many of them did.
        clipping: What the gradient clip did to the sizes; None if nothing.
    """

    parametrization: str
    verdict: Verdict
    expected: Verdict
    deciding: tuple[LayerSlope, ...]
    unmeasured: tuple[LayerSlope, ...] = ()
    reasons: tuple[Reason, ...] = ()
    runs: int = 0
    diverged: int = 0
    clipping: Clipping | None = None

    @property
    def worst(self) -> LayerSlope | None:
        """The slope to name: the steepest, in allowances, of those that decide; None if none was measured."""
        return self.deciding[0] if self.deciding else None

    @property
    def seeds_would_decide(self) -> bool:
        """Whether it is open for lack of seeds alone."""
        return self.reasons == (Reason.FEW_SEEDS,)


def slopes_of(records: Sequence[CoordinateRecord], axis: str, extended: Collection[str] = ()) -> list[LayerSlope]:
    """Slopes of everything that is judged.

    Args:
        records: The records of one check, at least one.
        axis: The scale along which they differ, "sparsity" or "width".
        extended: The parametrizations to which seeds were added.

    Raises:
        InputError: see ``slopes.sizes_table`` and ``slopes.slopes``.
    """
    spec = records[0].spec
    return slopes(sizes_table(records, axis), axis, spec.budget.steps, spec.optimizer.rule, extended)


def judge(records: Sequence[CoordinateRecord], axis: str, extended: Collection[str] = ()) -> list[Judgement]:
    """One verdict a parametrization; arguments and errors are those of ``slopes_of``."""
    slopes = slopes_of(records, axis, extended)
    return [
        _judged(
            [slope for slope in slopes if slope.parametrization == name],
            [record for record in records if record.spec.parametrization == name],
            axis,
        )
        for name in dict.fromkeys(slope.parametrization for slope in slopes)
    ]


def _judged(members: Sequence[LayerSlope], records: Sequence[CoordinateRecord], axis: str) -> Judgement:
    """It drifts if any size does, and stays put only if every size does, in runs that all came to their end."""
    name, optimizer = members[0].parametrization, records[0].spec.optimizer.rule
    clipping = clipping_of(records)
    drifting = [slope for slope in members if slope.verdict is Verdict.OUTSIDE]
    of_the_clip = [slope for slope in drifting if _is_reached(slope, clipping)]
    unmeasured = tuple(slope for slope in members if not slope.estimate.by_seed)
    unsure = [slope for slope in members if slope.verdict is Verdict.OPEN and slope.estimate.by_seed]
    diverged = sum(record.diverged for record in records)
    reasons = [
        *([Reason.FEW_SEEDS] if unsure else []),
        *([Reason.UNMEASURED] if unmeasured else []),
        *([Reason.DIVERGED] if diverged else []),
        *([Reason.CLIPPED] if of_the_clip else []),
    ]
    # one size that surely drifts settles it: nothing that is still open could take that back
    if len(drifting) > len(of_the_clip):
        verdict, deciding = Verdict.OUTSIDE, [slope for slope in drifting if slope not in of_the_clip]
    elif reasons:
        verdict, deciding = Verdict.OPEN, [*of_the_clip, *unsure]
    else:
        verdict, deciding = Verdict.INSIDE, list(members)
    exponents = [exponent_at_start(name, coordinate, axis, optimizer) for coordinate in Coordinate]
    return Judgement(
        parametrization=name,
        verdict=verdict,
        expected=_expected(exponents),
        deciding=tuple(sorted(deciding, key=lambda slope: slope.strain, reverse=True)),
        unmeasured=unmeasured,
        reasons=tuple(reasons) if verdict is Verdict.OPEN else (),
        runs=len(records),
        diverged=diverged,
        clipping=clipping,
    )


def _expected(exponents: Sequence[float | None]) -> Verdict:
    """What theory makes of its exponents, None among them where it has none."""
    # None is no drift here: one that is predicted settles it, whatever of another size is not known
    if any(exponents):
        return Verdict.OUTSIDE
    return Verdict.OPEN if None in exponents else Verdict.INSIDE


def _is_reached(slope: LayerSlope, clipping: Clipping | None) -> bool:
    """Whether the clip can have made the slope what it is: it acts on updates, and on all that comes after one."""
    if clipping is None:
        return False
    if slope.moment is Moment.END:
        return True
    return slope.coordinate is Coordinate.UPDATE and not clipping.taken_out
