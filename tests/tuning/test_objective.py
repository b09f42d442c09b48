"""What a trial does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import optuna
import pytest
from optuna.trial import TrialState

from smupar_transfer.records import Evaluation, RunSpec
from smupar_transfer.theory import BaseHyperparameters
from smupar_transfer.training import Data, Execution, run
from smupar_transfer.tuning import Range, SearchSpace
from smupar_transfer.tuning.objective import DIVERGED, Objective, PruningObserver

MakeObjective = Callable[..., Objective]


class StubTrial:
    """Gives up from a step on."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.reports: list[tuple[float, int]] = []

    def report(self, value: float, step: int) -> None:
        self.reports.append((value, step))

    def should_prune(self) -> bool:
        return self.reports[-1][1] >= self.last


@pytest.fixture
def make_objective(proxy: RunSpec, data: Data) -> MakeObjective:
    def made(low: float, high: float) -> Objective:
        return Objective(proxy, SearchSpace({"learning_rate": Range(low, high)}), data, Execution())

    return made


def ask_for(study: optuna.Study, rate: float) -> optuna.Trial:
    study.enqueue_trial({"learning_rate": rate})
    return study.ask()


def test_an_evaluation_is_reported_at_its_step() -> None:
    stub = StubTrial(last=100)
    observer = PruningObserver(cast(optuna.Trial, stub))
    observer.on_step(1, 9.0, 16)
    observer.on_evaluation(Evaluation(5, 2.5, 2.25, 0.5))
    observer.on_evaluation(Evaluation(10, 2.0, 2.125, 0.5))
    assert stub.reports == [(2.25, 5), (2.125, 10)]


def test_a_trial_that_is_given_up_ends() -> None:
    stub = StubTrial(last=10)
    observer = PruningObserver(cast(optuna.Trial, stub))
    observer.on_evaluation(Evaluation(5, 2.5, 2.25, 0.5))
    with pytest.raises(optuna.TrialPruned):
        observer.on_evaluation(Evaluation(10, 2.0, 2.125, 0.5))


def test_a_diverged_evaluation_is_not_reported() -> None:
    stub = StubTrial(last=0)
    PruningObserver(cast(optuna.Trial, stub)).on_evaluation(Evaluation(5, None, None, 0.0))
    assert stub.reports == []


def test_a_pruner_ends_the_run_of_a_bad_trial_early_and_lets_a_good_one_go_on(proxy: RunSpec, data: Data) -> None:
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=4))
    good = study.ask()
    for step in (3, 6, 9):
        good.report(4.0, step)
    study.tell(good, 4.0)
    bad, better = study.ask(), study.ask()
    slow = replace(proxy, hparams=BaseHyperparameters(1e-9, 0.1))
    with pytest.raises(optuna.TrialPruned):
        run(slow, data, observer=PruningObserver(bad))
    assert list(study.get_trials()[bad.number].intermediate_values) == [3, 6]
    quick = replace(proxy, hparams=BaseHyperparameters(2**-4, 0.1))
    assert run(quick, data, observer=PruningObserver(better)).validation_loss is not None
    assert list(study.get_trials()[better.number].intermediate_values) == [3, 6, 9]


def test_the_value_is_the_loss_of_the_proxy_at_the_point(
    make_objective: MakeObjective, proxy: RunSpec, data: Data
) -> None:
    study, objective = optuna.create_study(), make_objective(2**-8, 2**-2)
    trial = ask_for(study, 2**-4)
    expected = run(replace(proxy, hparams=replace(proxy.hparams, learning_rate=2**-4)), data)
    assert objective(trial) == expected.validation_loss
    assert trial.user_attrs["tokens"] == proxy.budget.tokens
    assert trial.user_attrs["wall_seconds"] > 0
    assert DIVERGED not in trial.user_attrs
    assert objective(ask_for(study, 2**-6)) != expected.validation_loss


def test_a_diverged_trial_is_marked_and_pruned(make_objective: MakeObjective) -> None:
    study, objective = optuna.create_study(), make_objective(1e3, 1e9)
    study.enqueue_trial({"learning_rate": 1e6})
    study.optimize(objective, n_trials=1)
    (trial,) = study.get_trials()
    assert trial.state is TrialState.PRUNED
    assert trial.user_attrs[DIVERGED] is True
    assert trial.user_attrs["tokens"] > 0
