"""TensorBoard: event files in the folder of a result, for ``tensorboard --logdir``."""

from __future__ import annotations

import json
from collections.abc import Mapping

from smupar_transfer.training.trackers.base import RunState, TrackedRun, tool

NAME = "tensorboard"
MODULE = "torch.utils.tensorboard"
"""Of PyTorch, which asks the package tensorboard for it."""


class TensorBoardTracker:
    """Writes a folder of event files for a run."""

    def __init__(self, run: TrackedRun) -> None:
        # what an earlier session logged beyond its last checkpoint is not shown
        self._writer = tool(MODULE, NAME).SummaryWriter(
            str(run.files / NAME / run.name), purge_step=run.step + 1 if run.step else 0
        )
        self._step = run.step

    def start(self, config: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        text = json.dumps(config, indent=1, default=str).replace("\n", "\n    ")  # indented text is code in Markdown
        self._writer.add_text("config", f"    {text}", self._step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See ``Tracker``."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._step = step

    def finish(self, state: RunState) -> None:
        """See ``Tracker``."""
        self._writer.add_text("state", str(state), self._step)
        self._writer.close()
