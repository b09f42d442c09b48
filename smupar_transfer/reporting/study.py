"""A search for base hyperparameters, as its page and its figures have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from smupar_transfer.records import RunSpec
from smupar_transfer.reporting.figures.tuning_history import Trial, completed
from smupar_transfer.statistics.confirmed import Confirmed, winner


class SearchedRange(Protocol):
    """The values between which a hyperparameter was searched; ``tuning.Range`` is one."""

    @property
    def low(self) -> float:
        """The smallest."""

    @property
    def high(self) -> float:
        """The largest."""

    @property
    def log(self) -> bool:
        """Whether the logarithm was searched."""


@dataclass(frozen=True)
class Study:
    """A search as its page has it.

    Attributes:
        name: The name of its folder.
        command: The command line that made it.
        go_on: The command line that makes use of it.
        proxy: The run that was tuned; its own hyperparameters are the defaults.
        space: What was searched, by name.
        planned: Trials that it shall have in the end.
        trials: The trials that have ended; at least one is complete.
        confirmed: The best of them that were trained again, in the order in which the search ranks them.
        confirmation_seconds: How long that took, all together.
    """

    name: str
    command: str
    go_on: str
    proxy: RunSpec
    space: Mapping[str, SearchedRange]
    planned: int
    trials: Sequence[Trial]
    confirmed: Sequence[Confirmed] = ()
    confirmation_seconds: float = 0.0

    @property
    def best(self) -> tuple[Trial, float]:
        """The best trial and its loss: by its mean over further seeds, where there are any."""
        complete = completed(self.trials)
        # the loss of the search led to the choice of these, and so is too low for the one that leads: the mean decides
        if self.confirmed:
            number = winner(self.confirmed).trial
            return next(pair for pair in complete if pair[0].number == number)
        return min(complete, key=lambda pair: (pair[1], pair[0].number))  # of equal ones the first

    @property
    def on_target(self) -> bool:
        """Whether the target itself was searched: what is trained is wider than the base, or sparse."""
        return self.proxy.model.width != self.proxy.base_width or self.proxy.sparsity.density < 1
