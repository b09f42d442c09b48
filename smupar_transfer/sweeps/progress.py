"""What a sweep tells whoever watches it; a terminal is one of those, silence another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from smupar_transfer.records import CoordinateRecord, RunFailure, RunRecord


class Watcher(Protocol):
    """Is told how far a sweep is."""

    def expect(self, total: int) -> None:
        """There are more, or fewer, runs than was thought."""

    def finished(self, record: RunRecord | CoordinateRecord) -> None:
        """One more run has a record."""

    def failed(self, failure: RunFailure) -> None:
        """A run was given up."""

    def waiting(self, count: int) -> None:
        """None is left to begin, and other commands are at so many."""


class NoWatcher:
    """Tells nobody."""

    def expect(self, total: int) -> None:
        """See ``Watcher``."""

    def finished(self, record: RunRecord | CoordinateRecord) -> None:
        """See ``Watcher``."""

    def failed(self, failure: RunFailure) -> None:
        """See ``Watcher``."""

    def waiting(self, count: int) -> None:
        """See ``Watcher``."""


Watch = Callable[[str, int, int], AbstractContextManager[Watcher]]
"""Begins to watch: given a title, the number of runs in all, and how many of them are done."""


@contextmanager
def unwatched(title: str, total: int, done: int) -> Iterator[Watcher]:
    """Watch nothing."""
    del title, total, done
    yield NoWatcher()
