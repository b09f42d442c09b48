"""Runs that were tried and came to no end, so that nobody waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smupar_transfer.records.store import Store
from smupar_transfer.theory import one_line

NO_MEMORY = ("t allocate memory", "out of memory", "not enough memory", "Storage size calculation overflowed")
"""What PyTorch says where there is none, on a CPU, an accelerator, and for more than any computer has."""
LONGEST_REASON = 200
"""Characters of what a library says of its memory."""


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
        what: What the runs are called.

    Attributes:
        failures: What was given up.
    """

    def __init__(self, failures: Sequence[RunFailure], planned: int, what: str = "runs") -> None:
        self.failures, first = list(failures), failures[0]
        name = first.key if " " in first.key else first.key[:12]  # of a hash, the beginning will do
        told = f"{len(failures)} of {planned} {what} failed, and the others are done"
        if len(failures) == planned:
            told = f"all {planned} {what} failed"
        super().__init__(f"{told}: {name}: {first.reason}; the same command tries them again")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    # PyTorch has no class of its own for a lack of memory on a CPU, only words
    torchs = isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
    return torchs or isinstance(error, MemoryError)


def memory_reason(error: BaseException) -> str:
    """Why a run was given up for which memory ran out, as a clause."""
    return f"memory ran out: {one_line(str(error))[:LONGEST_REASON]}"
