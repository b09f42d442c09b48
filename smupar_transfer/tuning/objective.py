"""What a trial does: train the proxy at one point of the search space."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import optuna

from smupar_transfer.records import Evaluation, RunSpec
from smupar_transfer.training import Data, EarlyValidation, Execution, Silent, Tracking, run
from smupar_transfer.tuning.space import SearchSpace
from smupar_transfer.tuning.storage import patiently

DIVERGED = "diverged"
"""Attribute of a trial that ended as pruned because its loss was lost."""


class PruningObserver(Silent):
    """Reports every evaluation to a trial, and ends the run where the pruner says so."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """See ``Observer``.

        Raises:
            optuna.TrialPruned: the pruner gave the trial up.
        """
        if evaluation.validation_loss is None:  # the run is about to end as diverged, and a pruner compares numbers
            return
        patiently(partial(self.trial.report, evaluation.validation_loss, evaluation.step))
        if patiently(self.trial.should_prune):
            raise optuna.TrialPruned


@dataclass(frozen=True)
class Objective:
    """Validation loss in nats of the proxy after its whole budget.

    Attributes:
        proxy: The run whose hyperparameters are replaced; its seed is the same in every trial.
        space: The ranges that trials draw from.
        data: What every trial learns from.
        execution: How every trial is computed.
        tracking: Who keeps the curves of trials, each under its number.
        early: How trials are validated before their end; as the proxy's budget says if left out.
    """

    proxy: RunSpec
    space: SearchSpace
    data: Data
    execution: Execution
    tracking: Tracking = field(default_factory=Tracking)
    early: EarlyValidation | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        """Train one point.

        Raises:
            optuna.TrialPruned: the pruner gave it up, or it diverged (then the trial is marked so).
        """
        spec = replace(self.proxy, hparams=self.space.suggest(trial, self.proxy.hparams))
        tracking = replace(self.tracking, run=f"trial-{trial.number}")
        observer = PruningObserver(trial)
        record = run(spec, self.data, self.execution, observer, tracking=tracking, early=self.early)
        known: dict[str, float] = {"wall_seconds": record.wall_seconds, "tokens": record.tokens}
        if record.validation_loss is None:
            known[DIVERGED] = True
        # before the trial ends: Optuna takes no attributes of one that has
        for name, value in known.items():
            patiently(partial(trial.set_user_attr, name, value))
        if record.validation_loss is None:
            raise optuna.TrialPruned
        return record.validation_loss
