"""Who watches a run: progress bars, pruners."""

from __future__ import annotations

from typing import Protocol

from smupar_transfer.records import Evaluation


class Observer(Protocol):
    """Told what happens in a run, in the process that runs it. Raising an exception ends the run without a record."""

    def on_start(self, step: int) -> None:
        """Before the first step of this session: how many steps a checkpoint brought along, 0 without one."""

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        """After optimizer step ``step`` (from 1): its training loss in nats and its tokens."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """After each validation."""


class Silent:
    """Watches nothing."""

    def on_start(self, step: int) -> None:
        """See ``Observer``."""

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        """See ``Observer``."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """See ``Observer``."""
