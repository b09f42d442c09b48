"""``smupar tune``: end to end, continued, and asked another question."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import NoReturn

import pytest
import yaml
from omegaconf import DictConfig
from optuna import Study
from optuna.trial import FrozenTrial

from smupar_transfer.app.base import Base
from smupar_transfer.app.commands import tune
from smupar_transfer.records import RunStore, SearchedOn, read_tuned
from smupar_transfer.transfer import read_recipe
from smupar_transfer.tuning import StudySettings, TrialOutcome, search
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.study import run_next_trial
from tests.mortal import MortalWorker, mortal

__all__ = ["mortal"]

Run = Callable[..., CompletedProcess[str]]
FEW = ("tuning.n_trials=2", "tuning.startup_trials=1")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the search."""
    monkeypatch.setattr(tune, "publish", lambda *_: None)


def trials(database: Path) -> list[tuple[int, str, str]]:
    """Number, state and time of completion of every trial, past all of the project's own code."""
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT number, state, datetime_complete FROM trials ORDER BY number"
        return [(int(number), str(state), str(time)) for number, state, time in connection.execute(query)]


def test_a_search_leaves_a_study_a_point_and_figures(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("tune", *tiny, *FEW)
    assert result.returncode == 0, result.stderr
    folder = Path("results/proxy")
    figures = {"history.png", "history.svg", "slices.png", "slices.svg"}
    pages = {"report.html", "trials.csv", "confirmation.csv"}
    assert {path.name for path in folder.iterdir()} == {"study.db", "tuned.yaml"} | figures | pages
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "2 of 2 planned: 2 complete, 0 pruned, 0 diverged" in report
    assert "smupar tune model.width=16" in report
    assert "smupar transfer tuned=results/proxy/tuned.yaml" in report
    assert "proxy/report.html" in Path("results/index.html").read_text(encoding="utf-8")
    assert "wrote results/proxy/report.html" in result.stdout
    assert [number for number, *_ in trials(folder / "study.db")] == [0, 1]
    content = yaml.safe_load((folder / "tuned.yaml").read_text())
    assert {"hparams", "value", "study", "trial", "proxy"} <= set(content)
    assert content["study"] == "proxy"
    assert set(content["hparams"]) == {
        "learning_rate",
        "init_std",
        "input_multiplier",
        "output_multiplier",
        "weight_decay",
        "init_scale",
    }
    assert content["proxy"]["model"]["width"] == 16
    assert "best of 2 trials: 2 complete, 0 pruned, 0 diverged" in result.stdout
    again = content["confirmation"]
    assert (again["candidates"], again["seeds"]) == (2, [1, 2, 3])
    told = f"trial {content['trial']}, validation loss {again['mean']:.4f} nats over 3 further seeds (standard error "
    assert told in result.stdout
    assert "mean of 3 more seeds" in result.stdout
    assert "8/8" in result.stderr, "the trainings that confirm count"
    assert "of 6 trainings that confirm the best" in report


@pytest.mark.usefixtures("undrawn")
def test_what_is_suggested_next_works_as_it_is_printed(smupar: Run, tiny: tuple[str, ...]) -> None:
    """The proxy, its data and its budget are not the defaults: each command hands them on to the next."""
    printed = smupar("tune", *tiny, *FEW, "results_dir='my (1), é=~'").stdout
    for command in ("transfer", "train"):
        words = shlex.split(printed.partition("next: smupar ")[2])
        assert words[0] == command
        result = smupar(*words)
        assert result.returncode == 0, result.stderr
        printed = result.stdout
    recipe = read_recipe(Path("my (1), é=~/recipe.yaml"))
    assert (recipe.model.width, recipe.sparsity.density) == (64, 0.25)
    (run,) = RunStore(Path("my (1), é=~/train"))
    tuned = read_tuned(Path("my (1), é=~/proxy/tuned.yaml"))
    assert (run.spec.data, run.spec.budget) == (tuned.proxy.data, tuned.proxy.budget)


@pytest.mark.usefixtures("undrawn")
def test_the_first_trial_is_the_defaults(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("tune", *tiny, "tuning.n_trials=1").returncode == 0
    tuned = read_tuned(Path("results/proxy/tuned.yaml"))
    assert (tuned.trial, tuned.trials) == (0, 1)
    assert tuned.hparams == tuned.proxy.hparams
    assert f"{tuned.value:.4f} nats" in smupar("train", *tiny).stdout


@pytest.mark.usefixtures("undrawn")
def test_the_same_search_again_runs_nothing(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = smupar("tune", *tiny, *FEW)
    database, point = Path("results/proxy/study.db"), Path("results/proxy/tuned.yaml")
    before = trials(database), point.read_bytes()

    def never(*_: object) -> NoReturn:
        raise AssertionError("a trial was run")

    monkeypatch.setattr(search, "run_next_trial", never)
    again = smupar("tune", *tiny, *FEW)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert (trials(database), point.read_bytes()) == before


@pytest.mark.usefixtures("undrawn")
def test_a_larger_search_continues_the_study(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("tune", *tiny, *FEW).returncode == 0
    before = trials(Path("results/proxy/study.db"))
    result = smupar("tune", *tiny, *FEW, "tuning.n_trials=4")
    assert result.returncode == 0
    after = trials(Path("results/proxy/study.db"))
    assert (len(after), after[:2]) == (4, before)
    assert "best of 4 trials" in result.stdout
    assert read_tuned(Path("results/proxy/tuned.yaml")).trials == 4
    assert smupar("tune", *tiny, *FEW).returncode == 0
    assert trials(Path("results/proxy/study.db")) == after


@pytest.mark.usefixtures("undrawn")
def test_a_study_goes_on_when_its_corpus_has_moved(smupar: Run, tiny: tuple[str, ...], corpus: Path) -> None:
    """Data count by their content, in studies as in run keys."""
    assert smupar("tune", *tiny, "tuning.n_trials=1").returncode == 0
    moved = corpus.rename(corpus.with_name("moved.txt"))
    result = smupar("tune", *tiny, "tuning.n_trials=1", f"data.path={moved}")
    assert result.returncode == 0, result.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_study_has_a_name_and_a_place(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    words = ("study.name=mine", f"study.storage=sqlite:///{tmp_path}/deep/other.db")
    assert smupar("tune", *tiny, *FEW, *words).returncode == 0
    assert len(trials(tmp_path / "deep" / "other.db")) == 2
    assert read_tuned(Path("results/mine/tuned.yaml")).study == "mine"
    assert not Path("results/mine/study.db").exists()


def test_a_page_has_the_command_without_the_password_of_its_database(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are there to be shown to others."""
    url = "postgresql://me:hunter2@host/db?application_name=a"
    monkeypatch.setattr(tune, "words_given", lambda: ["seed=0", f"study.storage='{url}'"])
    assert smupar("tune", *tiny, *FEW).returncode == 0
    folder = Path("results/proxy")
    assert "postgresql://me:***@host/db" in (folder / "report.html").read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert b"hunter2" not in path.read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_a_single_training_is_trusted_where_that_is_wanted(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("tune", *tiny, *FEW, "tuning.confirm=0")
    tuned = read_tuned(Path("results/proxy/tuned.yaml"))
    assert tuned.confirmation is None
    assert f"trial {tuned.trial}, validation loss {tuned.value:.4f} nats\n" in result.stdout
    assert "2/2" in result.stderr
    again = smupar("tune", *tiny, *FEW, "tuning.confirm=1", "tuning.confirm_seeds=2")
    confirmed = read_tuned(Path("results/proxy/tuned.yaml")).confirmation
    assert confirmed is not None, "a study of before can be confirmed later"
    assert (confirmed.candidates, confirmed.seeds) == (1, (1, 2))
    assert "4/4" in again.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tuning.confirm=-1", "tuning.confirm=-1: must not be negative; 0 trusts a single training"),
        (
            "tuning.confirm_seeds=0",
            "tuning.confirm_seeds=0: must be from 1 to 1,000; tuning.confirm=0 trains none again",
        ),
        ("tuning.on=target", "tuning.on=target: needs to know the target; give target.width, target.sparsity or both"),
        ("tuning.on=both", "tuning.on=both"),
        ("target.width=32", "target.width=32: has no say in a search, which is for the dense proxy; give it to smupar"),
    ],
)
def test_what_cannot_be_searched_is_refused(smupar: Run, tiny: tuple[str, ...], word: str, said: str) -> None:
    result = smupar("tune", *tiny, *FEW, word)
    assert result.returncode == 2
    assert result.stderr.startswith(f"smupar: {said}")
    assert not Path("results").exists()


def test_a_target_can_be_searched_itself_and_its_point_is_used_as_any_other(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ("target.width=32", "target.sparsity=0.5")
    result = smupar("tune", *tiny, *FEW, "tuning.on=target", *target, "study.name=direct")
    assert result.returncode == 0, result.stderr
    folder = Path("results/direct")
    assert "Which base hyperparameters train the target itself best?" in (folder / "report.html").read_text()
    tuned = read_tuned(folder / "tuned.yaml")
    assert tuned.searched is SearchedOn.TARGET
    assert (tuned.proxy.model.width, tuned.proxy.base_width, tuned.proxy.sparsity.density) == (32, 16, 0.5)
    words = shlex.split(result.stdout.partition("next: smupar ")[2])
    assert {"target.width=32", "target.sparsity=0.5"} <= set(words)
    transferred = smupar(*words)
    assert transferred.returncode == 0, transferred.stderr
    said = str(Base(tuned.hparams, tuned, ()))
    assert said.endswith("of study direct, searched on width 32 at sparsity 0.5 itself")
    recipe = read_recipe(Path("results/recipe.yaml"))
    assert (recipe.base_width, recipe.hparams) == (16, tuned.hparams), "the base is the proxy's width still"
    trained = smupar("train", "recipe=results/recipe.yaml", *tiny[3:])
    assert trained.returncode == 0, trained.stderr
    (run,) = RunStore(Path("results/train"))
    assert run.validation_loss == pytest.approx(tuned.value, rel=1e-6), "it is the training that the search made"


@pytest.mark.usefixtures("undrawn")
def test_a_target_is_another_question_than_its_proxy(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("tune", *tiny, "tuning.n_trials=1", "tuning.confirm=0").returncode == 0
    result = smupar("tune", *tiny, "tuning.n_trials=1", "tuning.on=target", "target.width=32")
    assert result.returncode == 2
    assert "study.name=proxy: exists with another proxy.model.width" in result.stderr


@pytest.mark.usefixtures("undrawn")
def test_the_space_can_be_changed_in_place(smupar: Run, tiny: tuple[str, ...]) -> None:
    words = ("tuning=with_weight_decay", "tuning.n_trials=2", "tuning.space.weight_decay.low=0.5")
    result = smupar("tune", *tiny, *words)
    assert result.returncode == 0, result.stderr
    assert "weight_decay" in result.stdout
    assert 0.5 <= read_tuned(Path("results/proxy/tuned.yaml")).hparams.weight_decay <= 1.0


def test_a_search_in_which_everything_diverges_says_so(smupar: Run, tiny: tuple[str, ...]) -> None:
    words = ("tuning.space.learning_rate.low=1e29", "tuning.space.learning_rate.high=1e30")
    result = smupar("tune", *tiny, *FEW, *words)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("smupar: study.name=proxy: has no completed trial; ")
    assert not Path("results/proxy/tuned.yaml").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_search_keeps_what_it_has(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(
        study: Study, settings: StudySettings, objective: Objective, ordinal: int, is_held: Callable[[], bool]
    ) -> FrozenTrial | None:
        if ordinal == 1:
            raise KeyboardInterrupt
        return run_next_trial(study, settings, objective, ordinal, is_held)

    with monkeypatch.context() as patch:
        patch.setattr(search, "run_next_trial", interrupted)
        assert smupar("tune", *tiny, *FEW).returncode == 130
    assert len(trials(Path("results/proxy/study.db"))) == 1
    assert smupar("tune", *tiny, *FEW).returncode == 0
    assert [number for number, *_ in trials(Path("results/proxy/study.db"))] == [0, 1]


@pytest.mark.parametrize("command", ["tune", "demo"])
@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "", ".", ".."])
def test_a_name_that_leads_out_of_the_results_is_refused(
    smupar: Run, tiny: tuple[str, ...], command: str, name: str, tmp_path: Path
) -> None:
    result = smupar(command, *tiny, f"study.name='{name}'")
    assert result.returncode == 2
    problem = "is no name; use letters" if name else "must not be empty"
    assert result.stderr.startswith(f"smupar: study.name={name}: {problem}")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_a_study_in_memory_is_refused_in_one_line(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    result = smupar("tune", *tiny, "study.storage='sqlite://'")
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: study.storage=sqlite://: keeps the study in memory")
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("folder", ["a?b", "%20", "{x}"])
def test_a_study_lies_in_the_results_whatever_their_folder_is_called(
    smupar: Run, tiny: tuple[str, ...], tmp_path: Path, folder: str
) -> None:
    """Two folders of results could share one study by accident."""
    result = smupar("tune", *tiny, "tuning.n_trials=1", f"results_dir='{tmp_path}/{folder}'")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / folder / "proxy").iterdir()} == {"study.db", "tuned.yaml"}
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.txt", folder}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("seed", [-1, 5000, 20_260_131])
def test_every_seed_searches(smupar: Run, tiny: tuple[str, ...], seed: int) -> None:
    result = smupar("tune", *tiny, *FEW, f"seed={seed}")
    assert result.returncode == 0, result.stderr


def test_trials_that_end_while_the_best_point_is_written_are_seen(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    """Of two commands that end at the same moment, the one that writes last must have seen all trials."""
    search = tune.make_search(composed("tune", *tiny))
    values = (3.0, 2.0, 1.0)
    trials = [TrialOutcome(number, value, "complete", {}) for number, value in enumerate(values)]
    looks = iter([trials[:1], trials[:2], trials[:2], trials, trials, trials])
    monkeypatch.setattr(tune, "outcomes", lambda _: next(looks))
    monkeypatch.setattr(tune, "repeats", lambda _: [])
    monkeypatch.setattr(tune, "others_at_work", lambda _: 0)
    confirmed: list[int] = []
    found = tune.settled(search, tmp_path / "tuned.yaml", lambda trials: confirmed.append(len(trials)))
    assert (found.trials, found.repeats) == (trials, [])
    assert confirmed == [1, 2, 3], "what came meanwhile is confirmed, too"
    assert read_tuned(tmp_path / "tuned.yaml").value == 1.0
    assert next(looks, None) is None, "it looked again after every time it wrote"


@pytest.mark.usefixtures("undrawn")
def test_a_search_without_some_of_its_places_is_finished_told_and_gone_on_with(
    smupar: Run, tiny: tuple[str, ...], mortal: type[MortalWorker]
) -> None:
    words = ("tune", *tiny, "tuning.n_trials=3", "tuning.startup_trials=3", "tuning.confirm=1", "workers=2")
    mortal.deadly[1] = 99
    result = smupar(*words)
    assert result.returncode == 4
    reason = "place 1: its process was killed by SIGSEGV, 3 times"
    assert result.stderr.splitlines()[-1] == (
        f"smupar: 1 of 6 trainings failed, and the others are done: {reason}; the same command tries them again"
    )
    assert "best of 2 trials" in result.stdout
    assert read_tuned(Path("results/proxy/tuned.yaml")).trials == 2
    told = smupar("status", "proxy").stdout
    assert told.startswith("proxy: 2 trials done, 0 running, 0 left, 1 failed; lowest validation loss ")
    assert "its process was killed by SIGSEGV, 3 times" in told
    assert told.endswith("nothing is left but what failed: smupar tune tries it again\n")
    mortal.deadly.clear()
    result = smupar(*words)
    assert result.returncode == 0, result.stderr
    assert read_tuned(Path("results/proxy/tuned.yaml")).trials == 3
    assert "3 trials done, 0 running, 0 left, 0 failed" in smupar("status", "proxy").stdout


@pytest.mark.usefixtures("undrawn")
def test_a_search_all_of_whose_places_fail_says_so(
    smupar: Run, tiny: tuple[str, ...], mortal: type[MortalWorker]
) -> None:
    mortal.deadly |= {0: 99, 1: 99}
    result = smupar("tune", *tiny, *FEW, "workers=2")
    assert result.returncode == 4
    # whichever of the two was given up first
    assert re.search(r"^smupar: all 2 trials failed: place [01]: its process", result.stderr, re.MULTILINE)
    assert not Path("results/proxy/tuned.yaml").exists()
