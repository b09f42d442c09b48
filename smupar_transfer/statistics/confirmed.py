"""Which of a few candidates is best, each trained again with several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Confirmed:
    """A candidate of a search, trained again.

    Attributes:
        trial: The number of the trial that it was.
        losses: Its validation losses (nats), one a seed, the same seeds for all candidates; None where it diverged.
    """

    trial: int
    losses: tuple[float | None, ...]

    @property
    def mean(self) -> float:
        """Mean loss over the seeds, nats; infinite if it diverged with one of them, or there is no seed."""
        known = [loss for loss in self.losses if loss is not None]
        return statistics.fmean(known) if known and len(known) == len(self.losses) else math.inf

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, nats; None with fewer than two seeds, or where it diverged."""
        return None if math.isinf(self.mean) else _standard_error([loss for loss in self.losses if loss is not None])

    def ties_with(self, better: Confirmed) -> bool:
        """Whether it is worse than a better one by no more than the standard error of their difference, seed by seed.

        Args:
            better: A candidate with a lower mean, or an equal one.

        Returns:
            Whether it is; False where seeds are too few to say.
        """
        pairs = zip(self.losses, better.losses, strict=True)
        differences = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
        error = _standard_error(differences)
        if error is None or len(differences) < len(self.losses):
            return False
        return statistics.fmean(differences) <= error


def winner(candidates: Sequence[Confirmed]) -> Confirmed:
    """The candidate with the lowest mean; of equal ones, and where all diverged, the first.

    Args:
        candidates: At least one, in the order in which the search ranks them.
    """
    return min(candidates, key=lambda candidate: candidate.mean)


def tied_with(best: Confirmed, candidates: Sequence[Confirmed]) -> tuple[int, ...]:
    """The trials of the other candidates that tie with the best, lowest mean first."""
    ordered = sorted(candidates, key=lambda candidate: candidate.mean)
    return tuple(other.trial for other in ordered if other != best and other.ties_with(best))


def _standard_error(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
