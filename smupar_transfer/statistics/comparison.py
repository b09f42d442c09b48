"""One target under several parametrizations: transferred without tuning, and tuned directly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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

    @property
    def at_edge(self) -> bool:
        """Whether there is no run, or one that diverged, on one side of the best: regret is a lower bound."""
        at = self.rates.index(self.tuned_log2_rate)
        beside = (math.inf, *self.losses, math.inf)
        return self.was_tuned and math.inf in (beside[at], beside[at + 2])


def compare(records: Sequence[RunRecord], zero_shot_log2_rate: float) -> list[Comparison]:
    """Compare parametrizations, in the order of ``theory``.

    Args:
        records: The runs of one target with one seed; every parametrization has one at the zero-shot rate.
        zero_shot_log2_rate: The log2 of the base learning rate that was tuned on the proxy.
    """
    best_of_all = min((_loss(record) for record in records), default=math.inf)
    comparisons = []
    for name, table in PARAMETRIZATIONS.items():
        points = sorted((r.spec.log2_learning_rate, _loss(r)) for r in records if r.spec.parametrization == name)
        if not points:
            continue
        # the nearest, not an equal one: rates are products of powers and may differ in the last bit
        _, zero_shot = min(points, key=lambda point: abs(point[0] - zero_shot_log2_rate))
        tuned_rate, tuned = min(points, key=lambda point: point[1])
        comparisons.append(
            Comparison(
                name=name,
                title=table.title,
                zero_shot_log2_rate=zero_shot_log2_rate,
                zero_shot=zero_shot,
                tuned=tuned,
                tuned_log2_rate=tuned_rate,
                was_tuned=len(points) > 1,
                rates=tuple(rate for rate, _ in points),
                losses=tuple(loss for _, loss in points),
                regret_percent=_percent(zero_shot, tuned) if len(points) > 1 else None,
                regret_to_best_percent=_percent(zero_shot, best_of_all),
            )
        )
    return comparisons


def _loss(record: RunRecord) -> float:
    return math.inf if record.validation_loss is None else record.validation_loss


def _percent(loss: float, reference: float) -> float | None:
    return 100 * (loss - reference) / reference if math.isfinite(loss) else None
