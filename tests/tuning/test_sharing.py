"""Places at which workers die: given up after some tries, told, tried again by the next command; the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from smupar_transfer.launchers import RETRIES
from smupar_transfer.records import RunRecord, RunsFailedError
from smupar_transfer.records.liveness import this_process
from smupar_transfer.tuning import Repeat, Search, TrialOutcome, outcomes, run_repeats, run_search
from smupar_transfer.tuning.confirmation import _place
from smupar_transfer.tuning.progress import study_progress
from smupar_transfer.tuning.search import shared_study
from smupar_transfer.tuning.sharing import place_name, stored_failures
from tests.mortal import MortalWorker, mortal

__all__ = ["mortal"]

MakeSearch = Callable[..., Search]


@contextmanager
def failing() -> Iterator[list[str]]:
    """What a search says that gave places up."""
    said: list[str] = []
    with pytest.raises(RunsFailedError) as caught:
        yield said
    said.append(str(caught.value))


def failed_names(search: Search) -> list[str]:
    return sorted(stored_failures(shared_study(search).study))


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_place_that_always_kills_its_worker_is_given_up_and_the_others_are_done(
    make_search: MakeSearch, mortal: type[MortalWorker], place: int
) -> None:
    """The whole search used to end at it, and so did the next command, and the next."""
    search = make_search(6)
    mortal.deadly[place] = 99
    with failing() as said:
        list(run_search(search, workers=2))
    assert mortal.deaths == {place: RETRIES + 1}
    assert said == [
        f"1 of 6 trials failed, and the others are done: place {place}: its process was killed by SIGSEGV, 3 times; "
        "the same command tries them again"
    ]
    assert len(outcomes(search)) == 5
    assert failed_names(search) == [f"place {place}"]
    progress = study_progress(search.settings.storage, search.settings.name)
    assert (len(progress.seconds), len(progress.running), progress.left) == (5, 0, 0)
    assert [failure.key for failure in progress.failures] == [f"place {place}"]


def test_deaths_count_by_place_however_many_places_kill(make_search: MakeSearch, mortal: type[MortalWorker]) -> None:
    mortal.deadly |= {1: 99, 2: 99, 4: 1}
    with failing() as said:
        list(run_search(make_search(6), workers=3))
    assert mortal.deaths == {1: 3, 2: 3, 4: 1}
    assert said[0].startswith("2 of 6 trials failed")
    assert len(outcomes(make_search(6))) == 4, "a place at which one worker died is done by the next"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_command_tries_again_what_was_given_up(
    make_search: MakeSearch, mortal: type[MortalWorker], workers: int
) -> None:
    search = make_search(4)
    mortal.deadly[1] = 3
    with failing():
        list(run_search(search, workers=2))
    mortal.did.clear()
    (again,) = run_search(search, workers)
    assert again.outcome == "complete"
    assert mortal.did == [1], "on a worker, even where all else is done in the command's own process"
    assert failed_names(search) == []
    assert len(outcomes(search)) == 4
    assert list(run_search(search, workers)) == []


def test_a_place_that_killed_a_command_kills_no_other(
    make_search: MakeSearch, mortal: type[MortalWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one worker the command itself died there, each time that it was given."""
    search = make_search(4)
    claim = shared_study(search).claims.take([1], "killed")
    assert claim is not None
    dead = replace(claim, process="killed/1/1")
    monkeypatch.setattr("smupar_transfer.tuning.claims.this_process", lambda: dead.process)
    shared_study(search).claims.release(claim)
    assert shared_study(search).claims.take([1], "killed") == dead
    monkeypatch.setattr("smupar_transfer.tuning.claims.this_process", this_process)
    monkeypatch.setattr("smupar_transfer.tuning.claims.has_died", lambda process: process == dead.process)
    mortal.deadly[1] = 99
    with failing() as said:
        list(run_search(search, workers=1))
    assert mortal.did == [1, 1, 1], "all others are done in the command's own process"
    assert said[0].startswith("1 of 4 trials failed, and the others are done: place 1: ")
    assert [trial.number for trial in outcomes(search)] == [0, 1, 2]


def test_what_another_command_gave_up_meanwhile_is_not_tried_here(
    make_search: MakeSearch, mortal: type[MortalWorker]
) -> None:
    search = make_search(4)
    mortal.deadly[2] = 99
    first = run_search(search, workers=1)
    next(first)
    with failing():
        list(run_search(search, workers=2))
    assert mortal.deaths == {2: 3}
    with failing() as said:
        list(first)
    assert said[0].startswith("1 of 4 trials failed, and the others are done: place 2: ")
    assert mortal.deaths == {2: 3}


def test_a_place_is_free_for_others_once_it_is_given_up_or_done(
    make_search: MakeSearch, mortal: type[MortalWorker]
) -> None:
    search = make_search(3)
    mortal.deadly[1] = 99
    with failing():
        list(run_search(search, workers=2))
    claims = shared_study(search).claims
    assert 1 not in {claim.ordinal for claim in claims.alive()}
    assert claims.take([1], "another") is not None
    progress = study_progress(search.settings.storage, search.settings.name)
    assert [failure.key for failure in progress.failures] == [place_name(1)], "nobody has begun a trial there yet"


@pytest.mark.parametrize("error", [MemoryError("3 GiB"), RuntimeError("CUDA out of memory: 3 GiB")], ids=["CPU", "GPU"])
def test_memory_that_runs_out_once_costs_one_place(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from smupar_transfer.training import run

    calls = 0

    def greedy(*arguments: Any, **options: Any) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error
        return run(*arguments, **options)

    monkeypatch.setattr("smupar_transfer.tuning.objective.run", greedy)
    with failing() as said:
        list(run_search(make_search(3), workers=1))
    assert "place 1: memory ran out: " in said[0]
    assert "3 GiB" in said[0]
    assert len(outcomes(make_search(3))) == 2


def test_memory_that_is_too_little_for_any_trial_ends_the_search(
    make_search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> RunRecord:
        raise MemoryError

    monkeypatch.setattr("smupar_transfer.tuning.objective.run", greedy)
    with pytest.raises(MemoryError):
        list(run_search(make_search(3), workers=1))


def trainings(search: Search, trials: list[TrialOutcome], workers: int) -> list[Repeat]:
    return list(run_repeats(search, trials, workers))


def test_a_training_that_confirms_and_kills_its_worker_is_given_up(
    make_search: MakeSearch, mortal: type[MortalWorker]
) -> None:
    search = make_search(3)
    search = replace(search, settings=replace(search.settings, confirm=2, confirm_seeds=2))
    list(run_search(search, workers=1))
    trials = outcomes(search)
    place = _place(search, min(trials, key=lambda trial: trial.value or 0.0), search.proxy.seed + 2)
    mortal.deadly[place] = 3
    with failing() as said:
        trainings(search, trials, workers=2)
    best = min(trials, key=lambda trial: trial.value or 0.0).number
    assert said[0].startswith(f"1 of 4 trainings failed, and the others are done: trial {best} with seed 2: ")
    assert list(run_search(search, workers=1)) == [], "it is no place of the search"
    assert len(trainings(search, trials, workers=1)) == 4, "those of before are told as well"
    assert failed_names(search) == []
