"""The best points of a search, trained again: shared, interrupted and continued as the search itself is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from smupar_transfer.records import RunRecord, RunSpec, SearchedOn, read_tuned, write_tuned
from smupar_transfer.records.liveness import this_process
from smupar_transfer.training import run
from smupar_transfer.tuning import (
    Repeat,
    Search,
    TrialOutcome,
    best,
    candidates,
    close_study,
    confirmed,
    outcomes,
    repeats,
    run_repeats,
    run_search,
)
from smupar_transfer.tuning import confirmation as module
from smupar_transfer.tuning.search import shared_study

MakeSearch = Callable[..., Search]


@pytest.fixture
def search(make_search: MakeSearch) -> Search:
    """A search that is complete, of which two points are to be trained with two seeds more."""
    made = make_search(4)
    made = replace(made, settings=replace(made.settings, confirm=2, confirm_seeds=2))
    list(run_search(made, workers=1))
    return made


def rank(search: Search) -> list[int]:
    return [trial.number for trial in candidates(search, outcomes(search))]


def plan(search: Search) -> set[tuple[int, int]]:
    return {(trial, search.proxy.seed + further) for trial in rank(search) for further in (1, 2)}


def done(known: list[Repeat]) -> list[tuple[int, int]]:
    return [(repeat.trial, repeat.seed) for repeat in known]


def test_the_best_are_trained_again_with_seeds_of_their_own(search: Search) -> None:
    values = {trial.number: trial.value for trial in outcomes(search)}
    assert rank(search) == sorted(values, key=lambda number: values[number] or 0.0)[:2]
    yielded = list(run_repeats(search, outcomes(search), workers=1))
    assert set(done(yielded)) == plan(search)
    assert len(yielded) == 4
    assert repeats(search) == sorted(yielded, key=lambda repeat: (repeat.trial, repeat.seed))


def test_a_repeat_is_the_trials_point_with_another_seed(search: Search, data: object) -> None:
    first, *_ = run_repeats(search, outcomes(search), workers=1)
    (trial,) = (trial for trial in outcomes(search) if trial.number == first.trial)
    spec = replace(search.proxy, hparams=replace(search.proxy.hparams, **trial.hparams), seed=first.seed)
    assert run(spec, data).validation_loss == first.loss  # type: ignore[arg-type]
    assert first.loss != trial.value


def test_confirming_changes_nothing_for_the_search(search: Search, make_search: MakeSearch) -> None:
    """A search that is extended goes on as if nothing had been confirmed."""
    before = outcomes(search)
    list(run_repeats(search, before, workers=1))
    assert outcomes(search) == before
    longer = replace(search, settings=replace(search.settings, n_trials=6))
    list(run_search(longer, workers=1))
    assert outcomes(longer) == list(run_search(make_search(6, name="whole"), workers=1))


def test_what_was_trained_again_is_not_trained_a_third_time(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    list(run_repeats(search, outcomes(search), workers=1))
    known = repeats(search)
    monkeypatch.setattr(module, "run", None)
    assert list(run_repeats(search, outcomes(search), workers=1, known=known)) == []


def test_more_seeds_add_to_those_that_there_are(search: Search) -> None:
    list(run_repeats(search, outcomes(search), workers=1))
    known = repeats(search)
    more = replace(search, settings=replace(search.settings, confirm_seeds=3))
    added = list(run_repeats(more, outcomes(more), workers=1, known=known))
    assert set(done(added)) == {(trial, search.proxy.seed + 3) for trial in rank(search)}


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_confirmation_goes_on(
    search: Search, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    calls = 0

    def interrupting(*arguments: object, **options: object) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ending
        return run(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "run", interrupting)
        with pytest.raises(type(ending)):
            list(run_repeats(search, outcomes(search), workers=1))
    assert len(repeats(search)) == 2
    assert len(list(run_repeats(search, outcomes(search), workers=1, known=repeats(search)))) == 2
    assert set(done(repeats(search))) == plan(search)


def test_what_another_command_is_at_is_waited_for_and_not_trained(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smupar_transfer.launchers.jobs.PAUSE_SECONDS", 0.0)
    (first, *_), claims = candidates(search, outcomes(search)), module._claims(search)
    place = module._place(search, first, search.proxy.seed + 1)
    other = claims.take([place], "elsewhere")
    assert other is not None
    waits: list[int] = []

    def wait(count: int) -> None:
        waits.append(count)
        if len(waits) == 3:  # now the other command is done
            study = shared_study(search).study
            study.set_user_attr(f"confirmed {first.number} {search.proxy.seed + 1}", {"loss": 1.25, "seconds": 1.0})

    ended = list(run_repeats(search, outcomes(search), workers=1, waiting=wait))
    assert waits == [1, 1, 1]
    assert len(ended) == 4
    assert [repeat.loss for repeat in ended if repeat.trial == first.number][-1] == 1.25 or ended[-1].loss == 1.25


def test_the_work_of_a_command_that_died_is_taken_over(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_), claims = candidates(search, outcomes(search)), module._claims(search)
    assert claims.take([module._place(search, first, search.proxy.seed + 1)], "dead") is not None
    monkeypatch.setattr("smupar_transfer.tuning.claims.has_died", lambda process: process == this_process())
    assert len(list(run_repeats(search, outcomes(search), workers=1))) == 4


def test_two_workers_train_each_once(search: Search) -> None:
    ended = list(run_repeats(search, outcomes(search), workers=2))
    assert sorted(done(ended)) == sorted(plan(search))


def made(trial: int, losses: tuple[float | None, ...], seed: int) -> Iterator[Repeat]:
    for further, loss in enumerate(losses, 1):
        yield Repeat(trial, seed + further, loss, 1.0)


@pytest.fixture
def trials() -> list[TrialOutcome]:
    return [
        TrialOutcome(number, value, "complete", {"learning_rate": 2.0**-number, "init_std": 0.1})
        for number, value in enumerate((2.2, 2.0, 2.1, 2.3))
    ]


def test_the_best_mean_wins_and_the_point_says_how(search: Search, trials: list[TrialOutcome], tmp_path: Path) -> None:
    seed = search.proxy.seed
    known = [*made(1, (2.5, 2.4), seed), *made(2, (2.2, 2.3), seed)]
    tuned = best(search, trials, known)
    assert (tuned.trial, tuned.value) == (2, 2.1)
    assert tuned.hparams.learning_rate == 2.0**-2
    again = tuned.confirmation
    assert again is not None
    assert (again.candidates, again.seeds, again.tied) == (2, (seed + 1, seed + 2), ())
    assert again.mean == pytest.approx(2.25)
    assert again.standard_error == pytest.approx(0.05)
    assert tuned.searched is SearchedOn.PROXY
    write_tuned(tmp_path / "tuned.yaml", tuned)
    assert read_tuned(tmp_path / "tuned.yaml") == tuned


def test_a_tie_is_told(search: Search, trials: list[TrialOutcome]) -> None:
    known = [*made(1, (2.5, 2.2), search.proxy.seed), *made(2, (2.2, 2.4), search.proxy.seed)]
    again = best(search, trials, known).confirmation
    assert again is not None
    assert again.tied == (1,)


def test_a_candidate_counts_once_all_its_seeds_are_known(search: Search, trials: list[TrialOutcome]) -> None:
    known = [*made(1, (2.5,), search.proxy.seed), *made(2, (2.2, 2.3), search.proxy.seed)]
    assert [each.trial for each in confirmed(search, trials, known)] == [2]
    assert best(search, trials, known).trial == 2
    assert best(search, trials, []).trial == 1, "the control"


def test_points_that_all_diverged_leave_the_searchs_own_order(search: Search, trials: list[TrialOutcome]) -> None:
    known = [*made(1, (2.5, None), search.proxy.seed), *made(2, (None, 2.3), search.proxy.seed)]
    tuned = best(search, trials, known)
    assert tuned.trial == 1
    assert tuned.confirmation is not None
    assert (tuned.confirmation.mean, tuned.confirmation.standard_error) == (None, None)


def test_none_are_trained_again_where_none_is_wanted(search: Search) -> None:
    off = replace(search, settings=replace(search.settings, confirm=0))
    assert list(run_repeats(off, outcomes(off), workers=1)) == []
    tuned = best(off, outcomes(off), repeats(off))
    assert tuned.confirmation is None
    assert tuned.value == min(trial.value or 9.9 for trial in outcomes(off))


def test_a_place_of_its_own_for_every_trial_and_seed(search: Search, trials: list[TrialOutcome]) -> None:
    most = replace(search, settings=replace(search.settings, confirm_seeds=1000))
    places = [module._place(most, trial, seed) for trial in trials for seed in module.seeds(most)]
    assert all(second - first >= 1 for first, second in pairwise(places))
    assert len(set(places)) == 4000


def test_a_study_that_is_closed_is_one_plain_file_and_opens_again(search: Search, proxy: RunSpec) -> None:
    path = Path(search.settings.storage.removeprefix("sqlite:///"))
    assert {file.name for file in path.parent.glob("study.db*")} > {"study.db"}, "the control: it is written ahead"
    before = outcomes(search)
    close_study(search)
    assert [file.name for file in path.parent.glob("study.db*")] == ["study.db"]
    assert path.read_bytes()[18:20] == b"\x01\x01", "SQLite's own mark of a file that is not written ahead"
    assert outcomes(search) == before
