"""Bad input: one line that names key and value, exit code 2, and not a byte of earlier results changed."""

from __future__ import annotations

import errno
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
import yaml

from smupar_transfer.records import SCHEMA_VERSION

Run = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]
BAR = re.compile(r" \d+/\d+ ")


@pytest.fixture
def refused(smupar: Run, results: Path, snapshot: Callable[[Path], dict[str, bytes]]) -> Refused:
    """Run a command that must be refused; return its message."""

    def run(*words: str, after_a_bar: bool = False) -> str:
        before = snapshot(results)
        result = smupar(*words)
        assert result.returncode == 2
        lines = [line for line in result.stderr.splitlines() if not (after_a_bar and BAR.search(line))]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("smupar: ")
        after = snapshot(results)
        assert sorted(after) == sorted(before)
        assert [name for name in before if before[name] != after[name]] == []
        return lines[0]

    return run


def check(message: str, *needles: str) -> None:
    for needle in needles:
        assert needle in message


CASES = [
    pytest.param(["xyzzy=1"], ["xyzzy"], id="unknown key"),
    pytest.param(["model.widht=32"], ["model.widht", "model.width"], id="misspelt key"),
    pytest.param(["++model.colour=red"], ["model.colour"], id="unknown key, forced"),
    pytest.param(["budget.steps=many"], ["budget.steps", "many"], id="wrong type"),
    pytest.param(["model.width=16.5"], ["model.width", "16.5"], id="fraction for a whole number"),
    pytest.param(["target.sparsity=1.2"], ["target.sparsity=1.2", "[0, 1)"], id="sparsity above one"),
    pytest.param(["target.sparsity=1.0"], ["target.sparsity=1.0", "[0, 1)"], id="sparsity of one"),
    pytest.param(["target.sparsity=-0.1"], ["target.sparsity=-0.1", "[0, 1)"], id="negative sparsity"),
    pytest.param(["model.head_dim=7"], ["model.head_dim=7", "16", "try"], id="head_dim does not divide width"),
    pytest.param(["target.width=20"], ["target.width=20", "model.head_dim", "try"], id="target width"),
    pytest.param(["data.path=nowhere.txt"], ["data.path=nowhere.txt", "does not exist"], id="missing data file"),
    pytest.param(["parametrization=spumar"], ["parametrization=spumar", "smupar"], id="unknown parametrization"),
    pytest.param(
        ["parametrization.name=spumar"], ["parametrization=spumar", "smupar"], id="unknown parametrization.name"
    ),
    pytest.param(["data=pyhton"], ["data=pyhton", "python"], id="unknown data set"),
    pytest.param(["data.name=pyhton"], ["data=pyhton", "python"], id="unknown data.name"),
    pytest.param(["device=tpu"], ["device=tpu", "cpu"], id="unknown device"),
    pytest.param(["sparsity.backend=nonsense"], ["sparsity.backend=nonsense", "masked"], id="unknown backend"),
    pytest.param(["threads=0"], ["threads=0", "at least 1"], id="no thread"),
    pytest.param(["tuned=nowhere.yaml"], ["tuned=nowhere.yaml", "No such file"], id="missing tuned file"),
    pytest.param(["recipe=nowhere.yaml"], ["recipe=nowhere.yaml", "No such file"], id="missing recipe"),
    pytest.param(["hparams.learning_rate=-0.1"], ["hparams.learning_rate=-0.1", "not negative"], id="negative rate"),
    pytest.param(["hparams.learning_rate=0"], ["hparams.learning_rate=0", "positive"], id="rate of zero"),
    pytest.param(["hparams.init_std=nan"], ["hparams.init_std=nan", "finite"], id="deviation that is no number"),
    pytest.param(["budget.steps=0"], ["budget.steps=0", "at least 1"], id="no step"),
    pytest.param(["budget.warmup_steps=5"], ["budget.warmup_steps=5", "4"], id="warm-up longer than the run"),
    pytest.param(["budget.tokens_per_parameter=0"], ["budget.tokens_per_parameter=0"], id="no tokens"),
    pytest.param(["data.validation_fraction=1"], ["data.validation_fraction=1", "(0, 1)"], id="nothing to train on"),
    pytest.param(["sample=-1"], ["sample=-1", "negative"], id="negative sample"),
    pytest.param(["model.depth=1000000"], ["model.depth=1000000", "at most 10,000"], id="a million layers"),
    pytest.param(["target.width=1000000000000000000"], ["target.width=1000000000000000000", "at most"], id="width"),
    pytest.param([f"model.context=1{'0' * 15}"], ["model.context=1", "at most"], id="a context of a petabyte"),
    pytest.param(["recipe=/dev/zero"], ["recipe=/dev/zero", "a device"], id="a recipe without end"),
    pytest.param(["tuned=/dev/urandom"], ["tuned=/dev/urandom", "a device"], id="a tuned point without end"),
    pytest.param(["data.path=/dev/zero"], ["data.path=/dev/zero", "is neither a file"], id="a corpus without end"),
]


@pytest.mark.parametrize(("words", "needles"), CASES)
def test_a_value_that_cannot_be(refused: Refused, tiny: tuple[str, ...], words: list[str], needles: list[str]) -> None:
    check(refused("train", "seed=7", *tiny, *words), *needles)


@pytest.mark.parametrize("word", ["device=tpu", "sparsity.backend=nonsense", "threads=0", "device=cuda"])
def test_a_run_that_exists_is_no_excuse(
    refused: Refused, tiny: tuple[str, ...], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check(refused("train", *tiny, word), word)


@pytest.mark.parametrize("command", ["train", "tune", "demo", "plan"])
def test_cuda_that_is_not_there(
    refused: Refused, tiny: tuple[str, ...], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check(refused(command, "seed=7", *tiny, "device=cuda"), "device=cuda", "use device=cpu")


@pytest.mark.parametrize("word", ["device=cuda", "threads=0", "workers=0", "budget.sequence_length=500"])
def test_a_sweep_that_cannot_run_leaves_the_one_that_ran(
    refused: Refused, tiny: tuple[str, ...], grid_file: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check(refused("sweep", str(grid_file), "seed=7", *tiny, word, after_a_bar=True), word)


@pytest.mark.parametrize("command", ["tune", "demo", "plan"])
def test_there_must_be_a_worker(refused: Refused, tiny: tuple[str, ...], command: str) -> None:
    study = [] if command == "plan" else ["study.name=new"]
    check(refused(command, *study, *tiny, "workers=0", after_a_bar=True), "workers=0", "at least 1")


def test_an_empty_corpus(refused: Refused, tiny: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    check(refused("train", *tiny, f"data.path={tmp_path / 'empty.txt'}"), "data.path=", "empty.txt", "is empty")


def test_a_corpus_too_short_is_refused_before_a_network_is_built(
    refused: Refused, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network for a million positions would not fit into memory, and that is not what the person has to hear."""

    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(importlib.import_module("smupar_transfer.training.runs"), "build", no_memory)
    message = refused("train", *tiny, "budget.sequence_length=500", after_a_bar=True)
    check(message, "budget.sequence_length=500", "use a shorter sequence or a larger corpus")


def test_a_token_out_of_the_vocabulary(refused: Refused, tiny: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "tokens.bin").write_bytes(bytes([5, 0, 200, 0]) * 100)
    words = ["data=bin", f"data.path={tmp_path / 'tokens.bin'}", "data.vocab_size=100"]
    check(refused("train", *tiny, *words), "data.vocab_size=100", "token id 200", "use 201 or more")


def test_text_for_a_classifier(refused: Refused, data: tuple[str, ...]) -> None:
    check(refused("train", "model=mlp", *data), "model=mlp", "data=text", "use model=gpt")


def test_digits_for_a_language_model(refused: Refused) -> None:
    pytest.importorskip("sklearn")
    check(refused("train", "data=digits"), "model=gpt", "data=digits", "use model=mlp")


def test_a_recipe_of_another_schema(refused: Refused, tiny: tuple[str, ...], results: Path) -> None:
    recipe = results / "recipe.yaml"
    content = recipe.read_text()
    assert f"schema: {SCHEMA_VERSION}\n" in content
    recipe.write_text(content.replace(f"schema: {SCHEMA_VERSION}\n", "schema: 99\n"))
    check(refused("train", *tiny, f"recipe={recipe}"), f"recipe={recipe}", "schema 99", f"schema {SCHEMA_VERSION}")


@pytest.mark.parametrize("role", ["embedding", "hidden", "readout", "vector"])
def test_a_recipe_with_an_edited_number(refused: Refused, tiny: tuple[str, ...], results: Path, role: str) -> None:
    recipe = results / "recipe.yaml"
    content = yaml.safe_load(recipe.read_text())
    content["roles"][role]["learning_rate"] *= 1.01
    recipe.write_text(yaml.safe_dump(content))
    check(refused("train", *tiny, f"recipe={recipe}"), f"recipe={recipe}", f"{role}.learning_rate", "transfer again")


def test_a_recipe_for_another_vocabulary(
    refused: Refused, tiny: tuple[str, ...], tmp_path: Path, results: Path
) -> None:
    (tmp_path / "tokens.bin").write_bytes(bytes([5, 0, 200, 0]) * 100)
    words = ["data=bin", f"data.path={tmp_path / 'tokens.bin'}", f"recipe={results / 'recipe.yaml'}"]
    check(refused("train", *tiny, *words), "data=bin", "201", "256")


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param("sqlite:///{folder}/corpus.txt/study.db", id="folder is a file"),
        pytest.param("sqlite:///{folder}", id="database is a folder"),
        pytest.param("sqlite:///{folder}/corpus.txt", id="database is a text"),
        pytest.param("nonsense", id="no URL"),
        pytest.param("nonsense://host/name", id="unknown database"),
        pytest.param("postgresql://host:port/name", id="port is a word"),
    ],
)
def test_a_database_that_cannot_be_opened(
    refused: Refused, tiny: tuple[str, ...], tmp_path: Path, storage: str
) -> None:
    url = storage.format(folder=tmp_path)
    check(refused("tune", *tiny, f"study.storage={url}"), f"study.storage={url}", "cannot be opened")


def test_a_study_of_another_question(refused: Refused, tiny: tuple[str, ...], results: Path) -> None:
    message = refused("tune", *tiny, "model.depth=2", "tuning.n_trials=3")
    check(message, "study.name=proxy", "proxy.model.depth", "another study.name")


@pytest.mark.parametrize("word", ["tuning.n_trials=0", "tuning.startup_trials=0", "tuning.space.init_std.low=9"])
def test_a_search_that_cannot_be(refused: Refused, tiny: tuple[str, ...], word: str) -> None:
    check(refused("tune", *tiny, "study.name=new", word), word.partition("=")[0].removesuffix(".low"), word[-1])


@pytest.mark.parametrize("command", ["sweep", "plan"])
def test_an_unknown_sweep(refused: Refused, command: str) -> None:
    check(refused(command, "lr_by_sparsit"), "sweep=lr_by_sparsit:", "did you mean lr_by_sparsity?")


def test_no_sweep_at_all(refused: Refused) -> None:
    line = refused("sweep")
    check(line, "sweep: has no value; name one: ablations, ")
    assert "coordinates_by_width" not in line, "which sweep would refuse"


@pytest.mark.parametrize("command", ["plot", "status"])
def test_no_result_at_all_names_those_that_there_are(refused: Refused, command: str) -> None:
    line = refused(command)
    check(line, "sweep=: names n", "name one: ", "grid")
    assert "ablations" not in line, "which nobody has run here"
    check(refused(command, "results_dir=nowhere"), "sweep=: names n", "there are none yet in nowhere")


def test_a_second_sweep(refused: Refused) -> None:
    check(refused("plan", "quick", "lr_by_width"), "lr_by_width: is a second sweep; smupar plan takes one at a time")


def test_a_path_in_the_place_of_a_result(refused: Refused) -> None:
    check(refused("plot", "elsewhere/quick"), "sweep=elsewhere/quick: is a path", "smupar plot quick results_dir=DIR")


def test_a_path_in_the_place_of_a_database(refused: Refused, tiny: tuple[str, ...]) -> None:
    line = refused("tune", *tiny, "study.storage=my/study.db")
    check(line, "study.storage=my/study.db: cannot be opened", "a file is sqlite:///my/study.db")


def test_a_word_that_is_no_setting(refused: Refused) -> None:
    check(refused("tune", "workers", "2"), "workers: is no setting; write KEY=VALUE")


def test_results_that_are_not_there(refused: Refused) -> None:
    check(
        refused("plot", "lr_by_sparsit"),
        "sweep=lr_by_sparsit:",
        "has no results in results/lr_by_sparsit",
        "did you mean lr_by_sparsity?",
    )
    check(refused("plot", "gird"), "sweep=gird:", "did you mean grid?")
    check(refused("plot", "xyzzy"), "sweep=xyzzy:", "there are grid")
    check(refused("plot", "xyzzy", "results_dir=nowhere"), "sweep=xyzzy:", "there are none yet")
    message = refused("plot", "lr_by_sparsity", "results_dir=nowhere")
    check(message, "sweep=lr_by_sparsity", "nowhere", "run: smupar sweep lr_by_sparsity")


def test_an_unknown_format(refused: Refused, tiny: tuple[str, ...]) -> None:
    check(refused("explain", *tiny, "format=xml"), "format=xml", "table, json, csv")


def test_a_results_folder_that_is_a_file(refused: Refused, tiny: tuple[str, ...], corpus: Path) -> None:
    check(refused("transfer", *tiny, f"results_dir={corpus}"), str(corpus), "cannot be written")


def test_a_results_folder_that_is_a_file_is_refused_before_training(
    refused: Refused, tiny: tuple[str, ...], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smupar_transfer.training.runs.train", lambda *_: pytest.fail("it trains"))
    check(refused("train", *tiny, f"results_dir={corpus}"), str(corpus), "cannot be written")


def test_what_a_sweep_searches_over_is_not_fixed(refused: Refused, tiny: tuple[str, ...], grid_file: Path) -> None:
    message = refused("sweep", str(grid_file), *tiny, "hparams.learning_rate=0.01", "results_dir=elsewhere")
    check(message, "hparams.learning_rate=0.01: is what grid searches over; leave it out")


@pytest.mark.parametrize("value", ["0.5", "0.0005"])
def test_a_first_trial_outside_of_the_search_space(refused: Refused, tiny: tuple[str, ...], value: str) -> None:
    message = refused("tune", *tiny, "study.name=new", f"hparams.learning_rate={value}")
    check(message, f"hparams.learning_rate={value}", "tuning.space.learning_rate (0.001 to 0.125)", "widen the range")


@pytest.mark.parametrize("damage", ['{"schema": ', '{"schema": 0, "key": "1"}', "[]"])
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_damaged_record(
    refused: Refused, tiny: tuple[str, ...], results: Path, grid_file: Path, command: str, damage: str
) -> None:
    folder, words = ("train", ["train"]) if command == "train" else ("grid", ["sweep", str(grid_file)])
    records = results / folder / "records.jsonl"
    records.write_text(records.read_text() + damage + "\n")
    check(refused(*words, *tiny, "seed=9"), "records.jsonl", "damaged" if damage.endswith(" ") else "schema")


@pytest.mark.parametrize("words", [["train"], ["transfer"], ["sweep", "grid.yaml"], ["plot", "grid.yaml"]])
def test_a_full_disk(
    refused: Refused, tiny: tuple[str, ...], grid_file: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    target = ["target.width=64", "target.sparsity=0.75"]  # of the recipe that is there
    given = {"plot": [], "sweep": [*tiny], "transfer": [*tiny, *target]}.get(words[0], [*tiny, "seed=9"])
    message = refused(*words, *given, after_a_bar=True)
    check(message, "results", "No space left on device", "nothing was changed")
