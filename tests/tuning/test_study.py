"""A study that can be reached, that asks one question, and that goes on where it was."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import optuna
import pytest
from optuna.trial import TrialState

from smupar_transfer.records import RunSpec
from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Data, Execution
from smupar_transfer.tuning import Range, SearchSpace, StudySettings
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.storage import DRIVER
from smupar_transfer.tuning.study import (
    ORDINAL,
    SPECIFICATION,
    SharedStudy,
    fail_dead_trials,
    finished_trials,
    missing_ordinals,
    open_study,
    run_next_trial,
    sampler_seed,
)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": ""}, "study.name"),
        ({"name": "../../x"}, "study.name"),
        ({"name": "/absolute"}, "study.name"),
        ({"name": ".."}, "study.name"),
        ({"n_trials": 0}, "tuning.n_trials"),
        ({"startup_trials": 0}, "tuning.startup_trials"),
        ({"pruner_startup_trials": -1}, "tuning.pruner_startup_trials"),
        ({"evaluation_batches": 0}, "tuning.evaluation_batches"),
        ({"confirm": -1}, "tuning.confirm"),
        ({"confirm_seeds": 0}, "tuning.confirm_seeds"),
        ({"confirm_seeds": 1001}, "tuning.confirm_seeds"),
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
    assert caught.value.key == "study.storage"
    assert caught.value.remedy in ("check the URL, the folder and the server", "a file is sqlite:///nonsense", DRIVER)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 20


def test_a_driver_that_is_not_installed_is_told_with_what_brings_one(
    storage: str, proxy: RunSpec, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(url: str) -> NoReturn:
        raise ImportError("Please install appropriate one.") from ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr("smupar_transfer.tuning.study.open_storage", lacking)
    with pytest.raises(
        InputError, match=r"cannot be opened: No module named 'psycopg'; .*smupar-transfer\[postgresql\]"
    ):
        open_study(StudySettings("study", storage, 1), proxy, space)


def test_a_database_of_another_version_of_optuna_is_told_in_one_line(
    tmp_path: Path, storage: str, proxy: RunSpec, space: SearchSpace
) -> None:
    settings = StudySettings("study", storage, 1)
    open_study(settings, proxy, space).claims.engine.dispose()
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("update version_info set schema_version = 1")
        database.execute("update alembic_version set version_num = 'v99.0.0.a'")
    with pytest.raises(InputError, match="cannot be opened: The runtime optuna version") as caught:
        open_study(settings, proxy, space)
    assert "\n" not in str(caught.value)


def test_a_study_that_another_program_maximises_is_refused(storage: str, proxy: RunSpec, space: SearchSpace) -> None:
    optuna.create_study(storage=storage, study_name="study", direction="maximize")
    with pytest.raises(InputError, match=r"study\.name=study: is a study of another program") as caught:
        open_study(StudySettings("study", storage, 1), proxy, space)
    assert caught.value.remedy == "choose another study.name"
    assert optuna.load_study(storage=storage, study_name="study").user_attrs == {}, "it is left as it is"


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


def test_a_study_whose_trials_are_validated_otherwise_is_refused_by_the_key(
    storage: str, proxy: RunSpec, space: SearchSpace
) -> None:
    proxy = replace(proxy, budget=replace(proxy.budget, evaluation_batches=8))
    settings = StudySettings("study", storage, 1, evaluation_batches=4)
    study = open_study(settings, proxy, space).study
    with pytest.raises(InputError, match=r"exists with another tuning\.evaluation_batches;"):
        open_study(replace(settings, evaluation_batches=2), proxy, space)
    # studies of before the key existed are validated in full, and go on so
    content = {key: value for key, value in study.user_attrs[SPECIFICATION].items() if key in ("proxy", "space")}
    study.set_user_attr(SPECIFICATION, content)
    open_study(replace(settings, evaluation_batches=8), proxy, space)
    with pytest.raises(InputError, match=r"exists with another tuning\.evaluation_batches;"):
        open_study(settings, proxy, space)


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


@pytest.mark.parametrize(("seed", "ordinal"), [(0, 0), (0, 7), (3, 0), (3, 999), (4294, 954_413)])
def test_seeds_of_32_bits_are_what_they_always_were(seed: int, ordinal: int) -> None:
    assert sampler_seed(seed, ordinal) == seed * 1_000_003 + ordinal


def test_every_whole_number_is_a_seed_and_gives_a_stream_of_its_own_to_every_place() -> None:
    seeds = (-(2**70), -5, -1, 4294, 4295, 5000, 20_260_131, 2**32, 2**70)
    numbers = [sampler_seed(seed, ordinal) for seed in seeds for ordinal in range(50)]
    assert all(0 <= number < 2**32 for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("seed", [-1, 5000, 2**70])
def test_a_search_takes_every_seed(next_trial: Callable[[str, int, int], dict[str, float]], seed: int) -> None:
    assert next_trial("a", seed, 1) == next_trial("b", seed, 1)
    assert next_trial("a", seed, 1) != next_trial("a", 0, 1)


@pytest.fixture
def shared(storage: str, proxy: RunSpec, space: SearchSpace) -> SharedStudy:
    return open_study(StudySettings("study", storage, 9), proxy, space)


def states(shared: SharedStudy) -> list[TrialState]:
    return [trial.state for trial in shared.study.get_trials(deepcopy=False)]


def start_trial(shared: SharedStudy, ordinal: int | None) -> None:
    trial = shared.study.ask()
    if ordinal is not None:
        trial.set_user_attr(ORDINAL, ordinal)


def test_a_trial_that_nobody_is_at_work_on_is_failed(shared: SharedStudy) -> None:
    start_trial(shared, 3)
    start_trial(shared, None)  # killed before it knew its place
    assert fail_dead_trials(shared) == []
    assert states(shared) == [TrialState.FAIL, TrialState.FAIL]


def test_a_trial_that_a_living_process_is_at_work_on_goes_on(shared: SharedStudy) -> None:
    start_trial(shared, 3)
    start_trial(shared, 4)
    claim = shared.claims.take([3], "command")
    assert claim is not None
    fail_dead_trials(shared)
    assert states(shared) == [TrialState.RUNNING, TrialState.FAIL]
    fail_dead_trials(shared, own=3)  # taken over, and no trial asked for yet: it is that of the one before
    assert states(shared) == [TrialState.FAIL, TrialState.FAIL]


def test_a_trial_that_may_be_just_beginning_is_left_alone(shared: SharedStudy) -> None:
    start_trial(shared, None)
    claim = shared.claims.take([3], "command")
    assert claim is not None
    fail_dead_trials(shared)
    assert states(shared) == [TrialState.RUNNING]
    start_trial(shared, 3)  # the holder's own trial turns up: the other is nobody's
    fail_dead_trials(shared)
    assert states(shared) == [TrialState.FAIL, TrialState.RUNNING]


def test_finished_trials_are_told_and_left_alone(shared: SharedStudy) -> None:
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        value = 1.0 if state is TrialState.COMPLETE else None
        shared.study.add_trial(optuna.trial.create_trial(state=state, value=value))
    start_trial(shared, 5)
    assert [trial.number for trial in fail_dead_trials(shared)] == [0, 1]
    assert states(shared) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]


Replace = Callable[[Callable[[optuna.Trial], float]], Objective]


@pytest.fixture
def objective(proxy: RunSpec, space: SearchSpace, data: Data, monkeypatch: pytest.MonkeyPatch) -> Replace:
    """An objective whose training is replaced."""

    def replaced(work: Callable[[optuna.Trial], float]) -> Objective:
        monkeypatch.setattr(Objective, "__call__", lambda _, trial: work(trial))
        return Objective(proxy, space, data, Execution())

    return replaced


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), ValueError("a fault")])
def test_whatever_ends_a_trial_early_leaves_it_failed(
    shared: SharedStudy, storage: str, objective: Replace, error: BaseException
) -> None:
    def ending(trial: optuna.Trial) -> float:
        raise error

    with pytest.raises(type(error)):
        run_next_trial(shared.study, StudySettings("study", storage, 9), objective(ending), 3)
    assert states(shared) == [TrialState.FAIL]


@pytest.mark.parametrize("when", ["while it trains", "when it has trained", "when it is told"])
def test_a_place_that_was_taken_over_is_told_nothing(
    shared: SharedStudy, storage: str, objective: Replace, when: str
) -> None:
    def slept(trial: optuna.Trial) -> float:
        if when != "when it has trained":
            shared.study.tell(trial.number, state=TrialState.FAIL)
        if when == "while it trains":
            trial.report(1.0, 1)
        return 1.0

    held = when != "when it has trained"
    told = run_next_trial(shared.study, StudySettings("study", storage, 9), objective(slept), 3, lambda: held)
    assert told is None
    assert finished_trials(shared.study) == []


def test_a_new_study_is_given_its_question_by_one_process_at_a_time(
    storage: str, proxy: RunSpec, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StudySettings("study", storage, 9)
    real = optuna.Study.set_user_attr
    refused: list[InputError] = []
    other = replace(proxy, seed=9)

    def late(study: optuna.Study, key: str, value: object) -> None:
        """Another command, with another question, comes while the first is about to write its own."""
        monkeypatch.setattr(optuna.Study, "set_user_attr", real)
        thread = threading.Thread(target=open_other)
        thread.start()
        thread.join(0.5)
        real(study, key, value)
        threads.append(thread)

    def open_other() -> None:
        try:
            open_study(settings, other, space)
        except InputError as error:
            refused.append(error)

    threads: list[threading.Thread] = []
    monkeypatch.setattr(optuna.Study, "set_user_attr", late)
    shared = open_study(settings, proxy, space)
    threads[0].join()
    assert [error.problem for error in refused] == ["exists with another proxy.seed"]
    assert shared.claims.alive() == [], "nothing is held that is not a place"
    assert open_study(settings, proxy, space).study.study_name == "study"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of connections of failed attempts
def test_several_processes_may_make_a_database_at_the_same_moment(
    database: str, proxy: RunSpec, space: SearchSpace
) -> None:
    settings, start = StudySettings("study", database, 9), threading.Barrier(6)
    opened: list[SharedStudy] = []

    def open_together() -> None:
        start.wait()
        opened.append(open_study(settings, proxy, space))

    threads = [threading.Thread(target=open_together) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    for shared in opened:
        shared.claims.engine.dispose()
    gc.collect()
