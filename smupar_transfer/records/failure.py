"""Runs that were tried and came to no end, so that nobody waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smupar_transfer.records.store import Store


@dataclass(frozen=True)
class RunFailure:
    """A run that was given up. It counts until the run has a record, or until a command is given that tries it again.

    Attributes:
        key: The key of the run.
        reason: Why it was given up, as a clause.
        host: The name of the machine whose command gave it up.
        ended: When, in seconds since 1970.
    """

    key: str
    reason: str
    host: str
    ended: float


class FailureStore(Store[RunFailure]):
    """The failures of one result: a file each in ``failures``, which are never gathered."""

    kind = RunFailure
    file = "failures.jsonl"
    pending = "failures"


class RunsFailedError(Exception):
    """Some runs were given up, and all others have records.

    Args:
        failures: What was given up, at least one run.
        planned: The number of runs in all.
    """

    def __init__(self, failures: Sequence[RunFailure], planned: int) -> None:
        first = failures[0]
        super().__init__(
            f"{len(failures)} of {planned} runs failed, and the others are done: {first.key[:12]}: {first.reason}; "
            "the same command tries them again"
        )
