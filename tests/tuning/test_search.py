"""The whole search, interrupted and shared at will."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from smupar_transfer.records import RunRecord, RunSpec, read_tuned, write_tuned
from smupar_transfer.theory import BaseHyperparameters, InputError
from smupar_transfer.training import Data, load, run
from smupar_transfer.tuning import Range, Search, SearchSpace, TrialOutcome, best, outcomes, run_search
from smupar_transfer.tuning.claims import EXPIRY_SECONDS, TABLE, TrialClaim, TrialClaims
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.search import _try_place
from smupar_transfer.tuning.study import ORDINAL, SharedStudy, open_study, run_next_trial
from tests import postgresql

MakeSearch = Callable[..., Search]


def test_equal_searches_try_the_same_points(make_search: MakeSearch) -> None:
    first = list(run_search(make_search(4, name="a"), workers=1))
    assert [trial.number for trial in first] == [0, 1, 2, 3]
    assert list(run_search(make_search(4, name="b"), workers=1)) == first
    other = list(run_search(make_search(4, name="c", seed=1), workers=1))
    assert other[0] == first[0], "the defaults come first, whatever the seed"
    assert all(theirs.hparams != ours.hparams for theirs, ours in zip(other[1:], first[1:], strict=True))


def test_the_first_trial_is_the_defaults_moved_into_the_ranges(make_search: MakeSearch) -> None:
    space = SearchSpace({"learning_rate": Range(2**-4, 2**-2), "init_std": Range(0.01, 1.0)})
    (first,) = run_search(make_search(1, space=space), workers=1)
    assert first.hparams == pytest.approx({"learning_rate": 2**-4, "init_std": 0.1})


def test_a_search_that_is_extended_equals_one_that_was_long_from_the_start(make_search: MakeSearch) -> None:
    whole = list(run_search(make_search(5, name="whole"), workers=1))
    parts = [trial for count in (3, 5) for trial in run_search(make_search(count, name="parts"), workers=1)]
    assert parts == whole


def test_trials_are_validated_cheaply_before_their_end_and_fully_at_it(make_search: MakeSearch, proxy: RunSpec) -> None:
    proxy = replace(proxy, budget=replace(proxy.budget, evaluations=9, evaluation_batches=8))
    search = make_search(1, proxy=proxy)
    search = replace(search, settings=replace(search.settings, evaluation_batches=2))
    (trial,) = run_search(search, workers=1)
    (stored,) = open_study(search.settings, search.proxy, search.space).study.trials
    full = run(replace(proxy, hparams=replace(proxy.hparams, **trial.hparams)), load(search.data))
    assert trial.value == full.validation_loss
    whole = {evaluation.step: evaluation.validation_loss for evaluation in full.history}
    assert sorted(stored.intermediate_values) == [3, 4, 5, 6, 7, 8, 9], "the pruner is deaf in the first third"
    alike = [step for step, value in stored.intermediate_values.items() if value == whole[step]]
    assert alike == [9]


@pytest.mark.parametrize("interrupted", [0, 2])
@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch, interrupted: int, ending: BaseException
) -> None:
    calls = 0

    def interrupting(*arguments: object, **options: object) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == interrupted + 1:
            raise ending
        return run(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("smupar_transfer.tuning.objective.run", interrupting)
        with pytest.raises(type(ending)):
            list(run_search(make_search(4, name="parts"), workers=1))
        assert running(make_search(4, name="parts")) == 0
    list(run_search(make_search(4, name="parts"), workers=1))
    whole = list(run_search(make_search(4, name="whole"), workers=1))
    parts = outcomes(make_search(4, name="parts"))
    assert [(trial.hparams, trial.value) for trial in parts] == [(trial.hparams, trial.value) for trial in whole]


def shared(search: Search) -> SharedStudy:
    return open_study(search.settings, search.proxy, search.space)


def running(search: Search) -> int:
    return len(shared(search).study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def leave_a_ghost(search: Search, ordinal: int) -> None:
    """What a ``kill -9`` leaves behind: a trial that runs for ever, at the best point so far."""
    study = shared(search).study
    known = study.best_params
    study.sampler = optuna.samplers.PartialFixedSampler(known, optuna.samplers.RandomSampler())
    trial = study.ask()
    search.space.suggest(trial, search.proxy.hparams)
    trial.set_user_attr(ORDINAL, ordinal)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_search_that_was_killed_goes_on_at_once_as_if_it_had_not_been(make_search: MakeSearch) -> None:
    """The sampler keeps away from trials that run; one whose process was killed used to run on for ever."""
    whole = list(run_search(make_search(8, name="whole"), workers=1))
    list(run_search(make_search(4, name="parts"), workers=1))
    leave_a_ghost(make_search(8, name="parts"), ordinal=4)
    list(run_search(make_search(8, name="parts"), workers=1))
    parts = outcomes(make_search(8, name="parts"))
    assert [(trial.hparams, trial.value) for trial in parts] == [(trial.hparams, trial.value) for trial in whole]
    assert running(make_search(8, name="parts")) == 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_trial_that_nobody_is_at_work_on_is_failed_though_the_search_is_complete(make_search: MakeSearch) -> None:
    search = make_search(3)
    list(run_search(search, workers=1))
    leave_a_ghost(search, ordinal=1)
    assert running(search) == 1
    assert list(run_search(search, workers=1)) == []
    assert running(search) == 0
    assert len(outcomes(search)) == 3


def test_searches_of_one_study_share_its_places(make_search: MakeSearch) -> None:
    """Each used to run all of them."""
    search = make_search(6)
    whole = list(run_search(make_search(6, name="whole"), workers=1))
    first, second = run_search(search, workers=1), run_search(search, workers=1)
    seen: list[list[TrialOutcome]] = [[], []]
    for _ in range(3):
        for mine, ended in zip(seen, (first, second), strict=True):
            mine.append(next(ended))
    for mine, ended in zip(seen, (first, second), strict=True):
        mine += ended
    assert outcomes(search) == whole, "one after the other, they are one search"
    assert seen == [whole, whole[1:]], "each sees what the other does"


def test_what_a_search_is_told_to_be_known_already_is_not_seen_again(make_search: MakeSearch) -> None:
    search = make_search(3)
    known = list(run_search(make_search(1), workers=1))
    list(run_search(make_search(2), workers=1))  # by another command, before the search starts
    assert [trial.number for trial in run_search(search, workers=1, known=known)] == [1, 2]


def claimed_elsewhere(search: Search, ordinal: int, seconds: float) -> None:
    """A place is held by a command on another machine, whose heart beat last some seconds ago."""
    claims = shared(search).claims
    row = {"study": search.settings.name, "ordinal": ordinal, "command": "elsewhere/1/1", "process": "elsewhere/1/1"}
    with claims.engine.begin() as connection:
        connection.execute(sa.insert(TABLE).values(heartbeat=claims._clock - seconds, **row))
    claims.engine.dispose()


def test_the_last_places_of_other_commands_are_waited_for(
    make_search: MakeSearch, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smupar_transfer.launchers.jobs.PAUSE_SECONDS", 0.0)
    search, waits = make_search(4), 0
    claimed_elsewhere(search, ordinal=1, seconds=0)
    others = Objective(search.proxy, search.space, data, search.execution)

    def wait(count: int) -> None:
        nonlocal waits
        waits += 1
        assert count == 1
        if waits == 3:  # now the other command is done
            run_next_trial(shared(search).study, search.settings, others, 1)

    ended = list(run_search(search, workers=1, waiting=wait))
    assert waits == 3
    assert len(ended) == 4, "the other's trial is seen as well"
    assert ended == outcomes(search)


def test_places_of_a_command_that_died_elsewhere_are_taken_over(make_search: MakeSearch, database: str) -> None:
    search = make_search(3)
    search = replace(search, settings=replace(search.settings, storage=database))
    claimed_elsewhere(search, ordinal=1, seconds=EXPIRY_SECONDS - 5)
    waits: list[int] = []
    started = time.monotonic()
    ended = list(run_search(search, workers=1, waiting=waits.append))
    assert len(ended) == 3
    assert set(waits) == {1}, "it was alive at first"
    assert time.monotonic() - started < 40


def test_a_place_that_is_claimed_and_not_needed_any_more_is_left_to_others(make_search: MakeSearch, data: Data) -> None:
    """A search for more trials may be at places beyond those of a search for fewer, and still want those."""
    few, many = make_search(1), make_search(3)
    study, claims = shared(many).study, shared(many).claims
    run_next_trial(study, many.settings, Objective(many.proxy, many.space, data, many.execution), 1)
    claim = claims.take([0], "command")
    assert claim is not None
    assert not _try_place(few, shared(few), claim).done
    assert len(outcomes(few)) == 1, "it has the trial that it wants"


def test_what_the_storage_says_when_it_fails_is_one_line(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> NoReturn:
        raise OperationalError("select", {}, Exception("disk I/O error"))

    assert outcomes(make_search(3)) == []
    monkeypatch.setattr("smupar_transfer.tuning.storage.PAUSES", ())
    monkeypatch.setattr(TrialClaims, "take", failing)
    with pytest.raises(InputError, match=r"study\.storage=sqlite:.*: failed: disk I/O error; .* same command again"):
        list(run_search(make_search(3), workers=1))


def test_a_storage_that_fails_for_a_moment_costs_nothing_but_time(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = TrialClaims.take, 0

    def failing_once(*arguments: Any) -> TrialClaim | None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OperationalError("select", {}, Exception("the server was restarted"))
        return real(*arguments)

    monkeypatch.setattr("smupar_transfer.tuning.storage.PAUSES", (0.0,))
    with monkeypatch.context() as patch:
        patch.setattr(TrialClaims, "take", failing_once)
        ended = list(run_search(make_search(3), workers=1))
    assert ended == list(run_search(make_search(3, name="whole"), workers=1))


def test_a_server_that_restarts_in_the_middle_of_a_trial_costs_no_training(
    make_search: MakeSearch, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained used to be thrown away, and an hour's trial begun anew."""
    calls = 0
    timers = []

    def stopping(*arguments: Any, **options: Any) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == 2:
            timers.append(postgresql.restart_later(server, 1.0))
        return run(*arguments, **options)

    search = make_search(3)
    search = replace(search, settings=replace(search.settings, storage=postgresql.new_database(server)))
    with monkeypatch.context() as patch:
        patch.setattr("smupar_transfer.tuning.storage.PAUSES", (0.2,) * 100)
        patch.setattr("smupar_transfer.tuning.objective.run", stopping)
        ended = list(run_search(search, workers=1))
    timers[0].join()
    assert calls == 3
    assert ended == list(run_search(make_search(3, name="whole"), workers=1))
    assert running(search) == 0


def test_what_two_workers_left_unfinished_is_made_up_for(make_search: MakeSearch, data: Data) -> None:
    search = make_search(4)
    search = replace(search, settings=replace(search.settings, startup_trials=10))
    study = open_study(search.settings, search.proxy, search.space).study
    for ordinal in (1, 2):  # trial 0 was still running on the other worker when both were stopped
        run_next_trial(study, search.settings, Objective(search.proxy, search.space, data, search.execution), ordinal)
    list(run_search(search, workers=1))
    points = {tuple(trial.hparams.values()) for trial in outcomes(search)}
    assert len(points) == 4, "no point is trained twice"
    assert any(point == pytest.approx((2**-5, 0.1)) for point in points), "the defaults are tried"


def test_a_search_that_is_complete_runs_nothing(make_search: MakeSearch) -> None:
    list(run_search(make_search(2), workers=1))
    assert list(run_search(make_search(2), workers=1)) == []
    assert list(run_search(make_search(1), workers=1)) == []
    assert len(outcomes(make_search(2))) == 2


def test_outcomes_are_what_the_search_yielded(make_search: MakeSearch) -> None:
    yielded = list(run_search(make_search(3), workers=1))
    assert outcomes(make_search(3)) == yielded
    assert {trial.outcome for trial in yielded} == {"complete"}
    assert outcomes(make_search(3, name="another")) == []


def test_a_trials_value_is_the_loss_of_the_proxy(make_search: MakeSearch, proxy: RunSpec, data: Data) -> None:
    last = list(run_search(make_search(3), workers=1))[-1]
    point = BaseHyperparameters(**last.hparams)
    assert run(replace(proxy, hparams=point), data).validation_loss == last.value


def test_a_diverged_trial_is_an_outcome_and_the_search_goes_on(make_search: MakeSearch) -> None:
    search = make_search(5, space=SearchSpace({"learning_rate": Range(2**-5, 1e9)}))
    trials = list(run_search(search, workers=1))
    assert len(trials) == 5
    assert trials[0].outcome == "complete"
    lost = [trial for trial in trials if trial.outcome == "diverged"]
    assert lost, "the range should reach far beyond what trains"
    assert {trial.value for trial in lost} == {None}
    assert (
        best(search, outcomes(search)).trial
        == min((trial for trial in trials if trial.value is not None), key=lambda trial: trial.value or 0.0).number
    )


def test_a_search_without_a_completed_trial_has_no_best(make_search: MakeSearch) -> None:
    search = make_search(2, space=SearchSpace({"learning_rate": Range(1e6, 1e9)}))
    with pytest.raises(InputError, match="has no completed trial"):
        best(search, outcomes(search))
    assert [trial.outcome for trial in run_search(search, workers=1)] == ["diverged", "diverged"]
    with pytest.raises(InputError, match=r"study\.name=study: has no completed trial; every point"):
        best(search, outcomes(search))


def test_the_best_trial_comes_with_what_is_needed_to_use_it(
    make_search: MakeSearch, proxy: RunSpec, tmp_path: Path
) -> None:
    search = make_search(3, space=SearchSpace({"learning_rate": Range(2**-8, 2**-2)}))
    trials = list(run_search(search, workers=1))
    winner = min(trials, key=lambda trial: trial.value or 0.0)
    tuned = best(search, outcomes(search))
    assert (tuned.trial, tuned.value, tuned.trials, tuned.study) == (winner.number, winner.value, 3, "study")
    assert tuned.hparams == replace(proxy.hparams, **winner.hparams)
    assert tuned.hparams.init_std == proxy.hparams.init_std
    assert tuned.proxy == proxy
    write_tuned(tmp_path / "tuned.yaml", tuned)
    assert read_tuned(tmp_path / "tuned.yaml") == tuned


def test_a_tie_goes_to_the_earlier_trial(make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make_search(3)
    with monkeypatch.context() as patch:
        patch.setattr("smupar_transfer.tuning.objective.Objective.__call__", lambda self, trial: 1.5)
        list(run_search(search, workers=1))
    assert (best(search, outcomes(search)).trial, best(search, outcomes(search)).value) == (0, 1.5)


def test_an_error_in_a_trial_ends_the_search_and_counts_for_nothing(make_search: MakeSearch, proxy: RunSpec) -> None:
    search = make_search(2, proxy=replace(proxy, data=replace(proxy.data, sha256="00")))
    with pytest.raises(InputError, match="has sha256"):
        list(run_search(search, workers=1))
    assert outcomes(search) == []


def test_two_workers_finish_exactly_the_trials_that_were_asked_for(make_search: MakeSearch, database: str) -> None:
    search = make_search(6)
    search = replace(search, settings=replace(search.settings, storage=database))
    trials = list(run_search(search, workers=2))
    assert len(trials) == 6
    assert sorted(trial.number for trial in trials) == list(range(6))
    assert sorted(trials, key=_number) == outcomes(search)
    defaults = [trial for trial in trials if trial.hparams == pytest.approx({"learning_rate": 2**-5, "init_std": 0.1})]
    assert len(defaults) == 1
    assert len({tuple(trial.hparams.values()) for trial in trials}) == 6


def _number(trial: TrialOutcome) -> int:
    return trial.number
