"""The whole search, interrupted and shared at will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import RunRecord, RunSpec, read_tuned, write_tuned
from smupar_transfer.theory import BaseHyperparameters, InputError
from smupar_transfer.training import Data, run
from smupar_transfer.tuning import Range, Search, SearchSpace, TrialOutcome, best, outcomes, run_search
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.study import open_study, run_next_trial

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


@pytest.mark.parametrize("interrupted", [0, 2])
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    calls = 0

    def interrupting(*arguments: object) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == interrupted + 1:
            raise KeyboardInterrupt
        return run(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("smupar_transfer.tuning.objective.run", interrupting)
        with pytest.raises(KeyboardInterrupt):
            list(run_search(make_search(4, name="parts"), workers=1))
    list(run_search(make_search(4, name="parts"), workers=1))
    whole = list(run_search(make_search(4, name="whole"), workers=1))
    parts = outcomes(make_search(4, name="parts"))
    assert [(trial.hparams, trial.value) for trial in parts] == [(trial.hparams, trial.value) for trial in whole]


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
    found = list(run_search(search, workers=1))
    assert len(found) == 5
    assert found[0].outcome == "complete"
    lost = [trial for trial in found if trial.outcome == "diverged"]
    assert lost, "the range should reach far beyond what trains"
    assert {trial.value for trial in lost} == {None}
    assert (
        best(search, outcomes(search)).trial
        == min((trial for trial in found if trial.value is not None), key=lambda trial: trial.value or 0.0).number
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
    found = list(run_search(search, workers=1))
    winner = min(found, key=lambda trial: trial.value or 0.0)
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


def test_two_workers_finish_exactly_the_trials_that_were_asked_for(make_search: MakeSearch) -> None:
    search = make_search(6)
    found = list(run_search(search, workers=2))
    assert len(found) == 6
    assert sorted(trial.number for trial in found) == list(range(6))
    assert sorted(found, key=_number) == outcomes(search)
    defaults = [trial for trial in found if trial.hparams == pytest.approx({"learning_rate": 2**-5, "init_std": 0.1})]
    assert len(defaults) == 1
    assert len({tuple(trial.hparams.values()) for trial in found}) == 6


def _number(trial: TrialOutcome) -> int:
    return trial.number
