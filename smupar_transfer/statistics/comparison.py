"""One target under several parametrizations: transferred without tuning, and tuned directly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from smupar_transfer.records import RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS


@dataclass(frozen=True)
class Comparison:
    """What one parametrization reached; losses in nats, infinite where a run diverged.

    Attributes:
        name: The name of the parametrization.
        title: Its name for people.
        zero_shot_log2_rate: The log2 of the base learning rate that was tuned on the proxy.
        zero_shot: The loss at that learning rate.
        tuned: The smallest loss over ``rates``.
        tuned_log2_rate: The log2 of the base learning rate of that loss.
        was_tuned: Whether there is more than the zero-shot rate.
        rates: The log2 of every base learning rate that was run, increasing.
        losses: The loss at each of ``rates``.
        regret_percent: The regret of zero-shot against ``tuned``; None if not tuned or diverged.
        regret_to_best_percent: The regret of zero-shot against the best of all parametrizations.
        tuned_dense: Whether the zero-shot rate was tuned on a dense network of the target's width, not on the proxy.
    """

    name: str
    title: str
    zero_shot_log2_rate: float
    zero_shot: float
    tuned: float
    tuned_log2_rate: float
    was_tuned: bool
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    regret_percent: float | None
    regret_to_best_percent: float | None
    tuned_dense: bool = False

    @property
    def at_edge(self) -> bool:
        """Whether there is no run, or one that diverged, on one side of the best: regret is a lower bound."""
        at = self.rates.index(self.tuned_log2_rate)
        beside = (math.inf, *self.losses, math.inf)
        return self.was_tuned and math.inf in (beside[at], beside[at + 2])


def compare(
    records: Sequence[RunRecord], zero_shot_log2_rate: float, tuned_dense: Mapping[str, float] | None = None
) -> list[Comparison]:
    """Compare parametrizations, in the order of ``theory``; after each, what re-using a dense network's rate gives.

    Args:
        records: The runs of one target with one seed; every parametrization has one at the zero-shot rate.
        zero_shot_log2_rate: The log2 of the base learning rate that was tuned on the proxy.
        tuned_dense: By parametrization, the log2 of the base learning rate that is best for a dense network of the
            target's width, at which ``records`` has a run too.
    """
    comparisons, reused = [], tuned_dense or {}
    for name, table in PARAMETRIZATIONS.items():
        if any(record.spec.parametrization == name for record in records):
            comparisons.append(_comparison(records, name, table.title, zero_shot_log2_rate))
            if name in reused:
                item = _comparison(records, name, f"{table.title} tuned dense, re-used", reused[name])
                comparisons.append(replace(item, tuned_dense=True))
    return comparisons


def best_log2_rate(records: Sequence[RunRecord]) -> float | None:
    """The log2 of the base learning rate of the smallest loss; None where every run diverged."""
    loss, rate = min((_loss(record), record.spec.log2_learning_rate) for record in records)
    return rate if math.isfinite(loss) else None


def _comparison(records: Sequence[RunRecord], name: str, title: str, rate: float) -> Comparison:
    points = sorted((r.spec.log2_learning_rate, _loss(r)) for r in records if r.spec.parametrization == name)
    # the nearest, not an equal one: rates are products of powers and may differ in the last bit
    _, zero_shot = min(points, key=lambda point: abs(point[0] - rate))
    tuned_rate, tuned = min(points, key=lambda point: point[1])
    return Comparison(
        name=name,
        title=title,
        zero_shot_log2_rate=rate,
        zero_shot=zero_shot,
        tuned=tuned,
        tuned_log2_rate=tuned_rate,
        was_tuned=len(points) > 1,
        rates=tuple(rate for rate, _ in points),
        losses=tuple(loss for _, loss in points),
        regret_percent=_percent(zero_shot, tuned) if len(points) > 1 else None,
        regret_to_best_percent=_percent(zero_shot, min(map(_loss, records))),
    )


def _loss(record: RunRecord) -> float:
    return math.inf if record.validation_loss is None else record.validation_loss


def _percent(loss: float, reference: float) -> float | None:
    return 100 * (loss - reference) / reference if math.isfinite(loss) else None
