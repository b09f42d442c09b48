"""Weights & Biases; with WANDB_MODE=offline nothing leaves this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from smupar_transfer.training.trackers.base import PROJECT, RunState, TrackedRun, tool

NAME = MODULE = "wandb"
GOOD = (RunState.FINISHED, RunState.STOPPED)


class WandbTracker:
    """Keeps a run of Weights & Biases, which goes on where a run of ours goes on."""

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._wandb = tool(MODULE, NAME)
        self._remote: Any = None

    def start(self, config: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        folder = os.environ.get("WANDB_DIR") or self._run.files
        self._run.files.mkdir(parents=True, exist_ok=True)
        self._remote = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=self._run.name,
            group=self._run.group,
            id=self._run.identity,
            dir=str(folder),
            config=dict(config),
            resume="allow" if self._run.step else None,  # a run that begins again takes the place of the one before
            reinit="create_new",  # a run that a person's own program has open stays open
            settings={"console": "off"},  # the terminal is ours
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See ``Tracker``."""
        self._remote.log(dict(values), step=step)

    def finish(self, state: RunState) -> None:
        """See ``Tracker``."""
        self._remote.summary["state"] = str(state)
        self._remote.finish(exit_code=0 if state in GOOD else 1)
