"""A study that can be reached, that asks one question, and that goes on where it was."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from smupar_transfer.records import RunSpec
from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Data, Execution
from smupar_transfer.tuning import Range, SearchSpace, StudySettings
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.study import finished_trials, missing_ordinals, open_study, run_next_trial


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": ""}, "study.name"),
        ({"n_trials": 0}, "tuning.n_trials"),
        ({"startup_trials": 0}, "tuning.startup_trials"),
        ({"pruner_startup_trials": -1}, "tuning.pruner_startup_trials"),
    ],
)
def test_impossible_settings_are_refused(storage: str, changes: dict[str, object], key: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(StudySettings("study", storage, 1), **changes)  # type: ignore[arg-type]
    assert caught.value.key == key


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "nonsense://",
        "sqlite:///{tmp}/file/study.db",
        "sqlite:///{tmp}/file/below/study.db",
        "sqlite:///{tmp}/file",
        "sqlite:///{tmp}",
        "sqlite:////proc/none/study.db",
        "sqlite+nonsense:///{tmp}/study.db",
        "postgresql://someone@127.0.0.1:1/study",
        "postgresql://someone@127.0.0.1:port/study",
        "mysql://127.0.0.1:1/study",
    ],
)
def test_a_storage_that_cannot_be_opened_is_an_input_error(
    tmp_path: Path, proxy: RunSpec, space: SearchSpace, url: str
) -> None:
    (tmp_path / "file").write_text("This is no database, though it is long enough to be taken for one. " * 20)
    filled, started = url.format(tmp=tmp_path), time.monotonic()
    with pytest.raises(InputError, match="cannot be opened") as caught:
        open_study(StudySettings("study", filled, 1), proxy, space)
    assert (caught.value.key, caught.value.remedy) == ("study.storage", "check the URL, the folder and the server")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 20


def test_a_password_is_not_shown(proxy: RunSpec, space: SearchSpace) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/study"
    with pytest.raises(InputError) as caught:
        open_study(StudySettings("study", url, 1), proxy, space)
    assert "hunter2" not in str(caught.value)


def test_folders_of_a_database_are_made(tmp_path: Path, proxy: RunSpec, space: SearchSpace) -> None:
    open_study(StudySettings("study", f"sqlite:///{tmp_path}/a/b/study.db", 1), proxy, space)
    with sqlite3.connect(tmp_path / "a" / "b" / "study.db") as database:
        assert database.execute("select study_name from studies").fetchall() == [("study",)]


def changed(proxy: RunSpec, what: str) -> RunSpec:
    return {
        "proxy.seed": replace(proxy, seed=9),
        "proxy.model.width": replace(proxy, model=replace(proxy.model, width=32)),
        "proxy.budget.steps": replace(proxy, budget=replace(proxy.budget, steps=10)),
        "proxy.hparams.init_std": replace(proxy, hparams=BaseHyperparameters(2**-5, 0.11)),
        "proxy.optimizer.beta2": replace(proxy, optimizer=OptimizerSettings(beta2=0.99)),
        "proxy.data.sha256": replace(proxy, data=replace(proxy.data, sha256="00")),
    }[what]


@pytest.mark.parametrize(
    "key",
    [
        "proxy.seed",
        "proxy.model.width",
        "proxy.budget.steps",
        "proxy.hparams.init_std",
        "proxy.optimizer.beta2",
        "proxy.data.sha256",
    ],
)
def test_a_study_of_another_proxy_is_refused_by_what_differs(
    storage: str, proxy: RunSpec, space: SearchSpace, key: str
) -> None:
    settings = StudySettings("study", storage, 1)
    open_study(settings, proxy, space)
    with pytest.raises(InputError, match=rf"study\.name=study: exists with another {key};"):
        open_study(settings, changed(proxy, key), space)
    open_study(replace(settings, name="other"), changed(proxy, key), space)
    open_study(settings, proxy, space)


@pytest.mark.parametrize(
    ("ranges", "key"),
    [
        ({"learning_rate": Range(2**-9, 2**-2)}, r"space\.learning_rate\.low"),
        ({"learning_rate": Range(2**-8, 2**-2, log=False)}, r"space\.learning_rate\.log"),
        ({"learning_rate": Range(2**-8, 2**-2), "init_std": Range(0.1, 0.2)}, r"space\.init_std"),
        ({"init_std": Range(0.1, 0.2)}, r"space\.init_std, space\.learning_rate"),
    ],
)
def test_a_study_of_another_space_is_refused_by_what_differs(
    storage: str, proxy: RunSpec, ranges: dict[str, Range], key: str
) -> None:
    settings = StudySettings("study", storage, 1)
    open_study(settings, proxy, SearchSpace({"learning_rate": Range(2**-8, 2**-2)}))
    with pytest.raises(InputError, match=f"exists with another {key};"):
        open_study(settings, proxy, SearchSpace(ranges))


def test_the_same_question_may_be_asked_with_more_trials(storage: str, proxy: RunSpec, space: SearchSpace) -> None:
    settings = StudySettings("study", storage, 1)
    first = open_study(settings, proxy, space)
    again = open_study(replace(settings, n_trials=7, seed=3, pruner_startup_trials=2), proxy, space)
    assert again.study.study_name == first.study.study_name


def test_the_pruner_waits_for_trials_and_for_a_third_of_the_run(
    storage: str, proxy: RunSpec, space: SearchSpace
) -> None:
    study = open_study(StudySettings("study", storage, 1, pruner_startup_trials=2), proxy, space).study
    verdicts = []

    def reporting(value: float) -> Callable[[optuna.Trial], float]:
        def objective(trial: optuna.Trial) -> float:
            for step in (2, 3, 6):
                trial.report(value, step)
                verdicts.append((trial.number, step, trial.should_prune()))
            return value

        return objective

    for value in (1.0, 2.0, 5.0):
        study.optimize(reporting(value), n_trials=1)
    assert [(number, step) for number, step, pruned in verdicts if pruned] == [(2, 3), (2, 6)]


def test_finished_trials_are_those_with_an_outcome(storage: str, proxy: RunSpec, space: SearchSpace) -> None:
    settings = StudySettings("study", storage, 3)
    study = open_study(settings, proxy, space).study
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        value = 1.0 if state is TrialState.COMPLETE else None
        study.add_trial(optuna.trial.create_trial(state=state, value=value))
    finished = finished_trials(study)
    assert [trial.number for trial in finished] == [0, 1]
    assert len(missing_ordinals(finished, settings)) == 1
    assert missing_ordinals(finished, replace(settings, n_trials=1)) == []


@pytest.fixture
def next_trial(
    storage: str, proxy: RunSpec, space: SearchSpace, data: Data
) -> Callable[[str, int, int], dict[str, float]]:
    def point(name: str, seed: int, ordinal: int) -> dict[str, float]:
        settings = StudySettings(name, storage, 9, seed=seed)
        study = open_study(settings, proxy, space).study
        trial = run_next_trial(study, settings, Objective(proxy, space, data, Execution()), ordinal)
        assert trial is not None
        return trial.params

    return point


def test_trial_zero_is_the_defaults(next_trial: Callable[[str, int, int], dict[str, float]]) -> None:
    assert next_trial("study", 0, 0) == pytest.approx({"learning_rate": 2**-5, "init_std": 0.1})
    assert next_trial("other", 0, 1) != pytest.approx({"learning_rate": 2**-5, "init_std": 0.1})


def test_a_random_point_depends_on_seed_and_ordinal_alone(
    next_trial: Callable[[str, int, int], dict[str, float]],
) -> None:
    first = next_trial("a", 0, 1)
    assert next_trial("b", 0, 1) == first
    assert next_trial("c", 1, 1) != first
    assert next_trial("d", 0, 2) != first
