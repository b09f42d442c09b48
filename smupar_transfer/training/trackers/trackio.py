"""Trackio: local first, in the manner of Weights & Biases, for ``trackio show``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from smupar_transfer.training.trackers.base import PROJECT, RunState, TrackedRun, flat, tool

NAME = MODULE = "trackio"


class TrackioTracker:
    """Keeps a run of Trackio, which goes on where a run of ours goes on."""

    def __init__(self, run: TrackedRun) -> None:
        self._run, self._step = run, run.step
        self._trackio = tool(MODULE, NAME)
        self._kept: Any = None

    def start(self, config: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        with contextlib.redirect_stdout(sys.stderr):  # it prints; standard output is for results
            self._kept = self._trackio.init(
                project=os.environ.get("TRACKIO_PROJECT") or PROJECT,
                name=f"{self._run.name}-{self._run.identity[:6]}",  # a run is found again by its name alone
                group=self._run.group,
                config=flat(config),
                resume="allow" if self._run.step else "never",
            )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See ``Tracker``."""
        self._kept.log(dict(values), step=step)
        self._step = step

    def finish(self, state: RunState) -> None:
        """See ``Tracker``."""
        with contextlib.redirect_stdout(sys.stderr):
            self._kept.log({"state": str(state)}, step=self._step)
            self._trackio.finish()  # of the run alone, it would be finished again when the process ends
