"""A tracker that cannot do harm: what it raises ends the tracking, never the run."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from smupar_transfer.theory import one_line, shown_text
from smupar_transfer.training.trackers.base import RunState, TrackedRun, Tracker
from smupar_transfer.training.trackers.registry import tracker_factory

_told: set[str] = set()
"""Trackers that this process has cautioned about; a sweep whose server is gone says so once."""


class Guarded:
    """The tracker of one run, until it fails.

    Args:
        name: of the tracker.
        run: that it is told of.
    """

    def __init__(self, name: str, run: TrackedRun) -> None:
        self._name, self._run = name, run
        self._tracker: Tracker | None = None
        self._failed = False

    def start(self, config: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        try:
            tracker = tracker_factory(self._name)(self._run)
            tracker.start(config)
            self._tracker = tracker
        except Exception as error:
            self._give_up("start", error)

    @property
    def listens(self) -> bool:
        """Whether it has started and not failed since; else what would be logged need not be computed."""
        return self._tracker is not None and not self._failed

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See ``Tracker``; nothing more is logged once that failed."""
        if self._tracker is None or self._failed or not values:
            return
        try:
            self._tracker.log(values, step)
        except Exception as error:
            self._give_up("log", error)

    def finish(self, state: RunState) -> None:
        """See ``Tracker``; tried after a failure, too, so that nothing is left open for the next run."""
        if self._tracker is None:
            return
        tracker, self._tracker = self._tracker, None
        try:
            tracker.finish(state)
        except Exception as error:
            self._give_up("finish", error)

    def _give_up(self, where: str, error: Exception) -> None:
        self._failed = True
        if self._name in _told:
            return
        _told.add(self._name)
        said = one_line(shown_text(re.sub(r"//[^/@\s]+@", "//***@", str(error))))  # an address may hold a password
        line = f"tracker={self._name} failed in {where}: {type(error).__name__}: {said}; training goes on without it"
        print(f"smupar: caution: {line}", file=sys.stderr, flush=True)
