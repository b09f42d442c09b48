"""``smupar train``: end to end, again, after an interruption, and when the loss explodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from smupar_transfer.app import console
from smupar_transfer.app.commands import train
from smupar_transfer.records import RunRecord, RunStore, from_plain
from smupar_transfer.training import read_checkpoint
from smupar_transfer.transfer import read_recipe

Run = Callable[..., CompletedProcess[str]]


def record_in(folder: str = "results/train") -> RunRecord:
    (record,) = RunStore(Path(folder))
    return record


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The optimizer steps that are taken."""
    seen: list[int] = []
    real = console.TrainingBar.on_step

    def on_step(self: console.TrainingBar, step: int, loss: float, tokens: int) -> None:
        seen.append(step)
        real(self, step, loss, tokens)

    monkeypatch.setattr(console.TrainingBar, "on_step", on_step)
    return seen


@pytest.mark.parametrize(
    "words",
    [
        ("train", "name=grid"),
        ("train", "name=proxy"),
        ("tune", "study.name=grid"),
        ("tune", "study.name=train"),
        ("demo", "study.name=proxy", "target.width=32"),
        ("demo", "study.name=grid", "target.width=32"),
    ],
)
def test_a_name_that_another_command_has_is_refused(
    smupar: Run,
    tiny: tuple[str, ...],
    results: Path,
    snapshot: Callable[[Path], dict[str, bytes]],
    words: tuple[str, ...],
) -> None:
    before = snapshot(results)
    result = smupar(*words, *tiny)
    assert result.returncode == 2
    name = words[1].partition("=")[2]
    assert result.stderr.startswith(f"smupar: {words[1]}: results/{name} holds a result of smupar ")
    assert len(result.stderr.splitlines()) == 1
    assert snapshot(results) == before


def test_a_run_leaves_record_checkpoint_and_curves(smupar: Run, tiny: tuple[str, ...], steps: list[int]) -> None:
    result = smupar("train", *tiny)
    assert result.returncode == 0
    record = record_in()
    assert steps == [1, 2, 3, 4]
    assert (record.tokens, record.diverged, record.spec.budget.steps) == (4 * 2 * 16, False, 4)
    assert record.validation_loss is not None
    assert f"{record.validation_loss:.4f} nats" in result.stdout
    assert record.key in result.stdout
    names = {path.name for path in Path("results/train").iterdir() if not path.name.startswith(".")}
    pages = {"report.html", f"report_{record.key}.html", "evaluations.csv", "layers.csv"}
    assert names == {"records.jsonl", "record.json", "checkpoints", "curves.png", "curves.svg"} | pages
    assert "smupar train model.width=16" in Path("results/train/report.html").read_text(encoding="utf-8")
    assert "train/report.html" in Path("results/index.html").read_text(encoding="utf-8")
    checkpoints = {path.name for path in Path("results/train/checkpoints").iterdir()}
    assert checkpoints == {f"{record.key}.pt", f"{record.key}.1.pt"}
    plain = json.loads(Path("results/train/record.json").read_text())
    assert from_plain(plain, RunRecord, "key", "record.json") == record


def test_a_second_run_in_the_same_folder_keeps_the_page_of_the_first(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("train", *tiny).returncode == 0
    first = record_in()
    assert smupar("train", *tiny, "seed=1").returncode == 0
    report = Path("results/train/report.html").read_text(encoding="utf-8")
    assert f'<a href="report_{first.key}.html">' in report
    assert "seed=1" in report
    assert first.key in Path(f"results/train/report_{first.key}.html").read_text(encoding="utf-8")


def test_a_second_call_trains_nothing(smupar: Run, tiny: tuple[str, ...], steps: list[int]) -> None:
    first = smupar("train", *tiny)
    stored, checkpoint = Path("results/train/records.jsonl"), next(Path("results/train/checkpoints").iterdir())
    before = stored.read_bytes(), checkpoint.stat().st_mtime_ns
    steps.clear()
    again = smupar("train", *tiny)
    assert (again.returncode, steps) == (0, [])
    assert again.stdout == first.stdout  # the wall time is in it
    assert (stored.read_bytes(), checkpoint.stat().st_mtime_ns) == before


def test_a_recipe_is_trained_from_end_to_end(
    smupar: Run, tiny: tuple[str, ...], results: Path, steps: list[int]
) -> None:
    recipe = read_recipe(results / "recipe.yaml")
    words = ("train", "recipe=results/recipe.yaml", "name=target", *tiny)
    assert smupar(*words).returncode == 0
    record = record_in("results/target")
    assert (record.spec.model, record.spec.hparams) == (recipe.model, recipe.hparams)
    assert record.nonzero_parameters < record.parameters
    assert record.weights_per_neuron == 64 * 0.25
    assert len(steps) == 4
    assert smupar(*words).returncode == 0
    assert len(steps) == 4
    assert record_in("results/target") == record


def test_a_recipe_trains_like_the_target_it_was_made_from(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    smupar("train", "recipe=results/recipe.yaml", "name=recipe", *tiny)
    smupar("train", "target.width=64", "target.sparsity=0.75", "name=target", *tiny)
    assert record_in("results/recipe").key == record_in("results/target").key
    assert record_in("results/recipe").validation_loss == record_in("results/target").validation_loss


def test_an_interrupted_run_goes_on_where_it_was(
    smupar: Run, tiny: tuple[str, ...], steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = (*tiny, "budget.evaluations=2")
    assert smupar("train", *tiny, "name=whole").returncode == 0
    steps.clear()
    counted = console.TrainingBar.on_step

    def interrupted(self: console.TrainingBar, step: int, loss: float, tokens: int) -> None:
        if step == 4:
            raise KeyboardInterrupt
        counted(self, step, loss, tokens)

    with monkeypatch.context() as patch:
        patch.setattr(console.TrainingBar, "on_step", interrupted)
        result = smupar("train", *tiny)
    assert result.returncode == 130
    assert result.stderr.splitlines()[-1] == "smupar: interrupted; run the same command again to go on"
    assert steps == [1, 2, 3]
    assert not list(RunStore(Path("results/train")))
    assert smupar("train", *tiny).returncode == 0
    assert steps == [1, 2, 3, 3, 4]  # the checkpoint is of the evaluation after step 2
    resumed, whole = record_in(), record_in("results/whole")
    assert (resumed.validation_loss, resumed.history) == (whole.validation_loss, whole.history)


def test_a_run_that_was_killed_before_its_record_was_gathered_is_gathered(
    smupar: Run, tiny: tuple[str, ...], steps: list[int]
) -> None:
    assert smupar("train", *tiny).returncode == 0
    store, gathered = RunStore(Path("results/train")), Path("results/train/records.jsonl")
    before, record = gathered.read_bytes(), record_in()
    gathered.unlink()
    store.put(record)
    steps.clear()
    assert smupar("train", *tiny).returncode == 0
    assert steps == []
    assert gathered.read_bytes() == before


def test_as_many_checkpoints_are_kept_as_a_person_says(smupar: Run, tiny: tuple[str, ...]) -> None:
    for keep in (1, 3):
        words = (*tiny, "budget.evaluations=4", f"checkpoint.keep={keep}", f"name=keep{keep}")
        assert smupar("train", *words).returncode == 0
        assert len(list(Path(f"results/keep{keep}/checkpoints").iterdir())) == keep
    result = smupar("train", *tiny, "checkpoint.keep=0")
    assert (result.returncode, result.stderr) == (2, "smupar: checkpoint.keep=0: must be at least 1\n")


def test_a_damaged_checkpoint_is_named(smupar: Run, tiny: tuple[str, ...]) -> None:
    tiny = (*tiny, "checkpoint.keep=1")
    smupar("train", *tiny)
    key = record_in().key
    Path("results/train/records.jsonl").unlink()
    checkpoint = Path("results/train/checkpoints", f"{key}.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    result = smupar("train", *tiny)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()  # and no bar before it
    assert f"smupar: checkpoint={checkpoint}: cannot be read" in line
    assert "delete it to start over" in result.stderr


def test_it_writes_text_on_request(smupar: Run, tiny: tuple[str, ...]) -> None:
    out = smupar("train", *tiny, "sample=20", "prompt=abc").stdout
    text = out.partition("wrote results/train/report.html\n\n")[2]
    assert text.startswith("abc")
    assert len(text) > len("abc") + 5
    assert smupar("train", *tiny, "sample=20", "prompt=abc").stdout == out


def test_a_sample_of_a_classifier_is_refused_before_training(smupar: Run, steps: list[int]) -> None:
    pytest.importorskip("sklearn")
    small = ("budget.steps=2", "budget.warmup_steps=1", "budget.evaluations=1")
    result = smupar("train", "model=mlp", "data=digits", "budget=digits", *small, "sample=5")
    assert result.returncode == 2
    assert "smupar: sample=5: needs a byte-level language model" in result.stderr
    assert steps == []


def test_a_classifier_learns_digits(smupar: Run) -> None:
    pytest.importorskip("sklearn")
    result = smupar("train", "model=mlp", "data=digits", "budget=digits", "budget.steps=35", "model.width=32")
    assert result.returncode == 0, result.stderr
    record = record_in()
    assert record.accuracy is not None
    assert record.accuracy > 0.5
    assert record.bits_per_byte is None


def test_a_diverging_run_is_an_outcome(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("train", *tiny, "hparams.learning_rate=1e30")
    assert result.returncode == 0
    record = record_in()
    assert record.diverged
    assert (record.validation_loss, record.train_loss, record.bits_per_byte) == (None, None, None)
    assert "diverged" in result.stdout
    assert "Warning" not in result.stderr


def test_ctrl_c_leaves_no_half_file_and_a_run_that_goes_on(
    smupar: Run, tiny: tuple[str, ...], steps: list[int], tmp_path: Path
) -> None:
    words = ("train", *tiny, "threads=1", "budget.steps=600", "budget.evaluations=60")
    command = [sys.executable, "-m", "smupar_transfer.app.main", *words]
    checkpoints = Path("results/train/checkpoints")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(checkpoints.glob("*.pt")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    lines = [line for line in err.splitlines() if line and "/600" not in line]
    assert lines == ["smupar: interrupted; run the same command again to go on"]
    files = [path for path in Path("results").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".pt"}
    content: dict[str, Any] = read_checkpoint(min(files, key=lambda path: len(path.name)))
    reached = content["progress"]["step"]
    assert 10 <= reached < 600
    assert smupar(*words).returncode == 0
    assert steps == list(range(reached + 1, 601))
    assert [evaluation.step for evaluation in record_in().history] == list(range(10, 601, 10))


UNHURRIED = """
import sys, time
from pathlib import Path
from smupar_transfer.app import console
from smupar_transfer.app.main import main

real = console.TrainingBar.on_step

def on_step(bar, step, loss, tokens):
    Path("step").write_text(str(step))
    time.sleep(0.005)
    real(bar, step, loss, tokens)

console.TrainingBar.on_step = on_step
sys.exit(main(["train", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_run_that_is_asked_to_end_loses_nothing(
    smupar: Run, tiny: tuple[str, ...], steps: list[int], number: signal.Signals, code: int
) -> None:
    """By Ctrl-C, or by a batch system; up to half a minute of training used to be lost."""
    words = (*tiny, "threads=1", "budget.steps=400", "budget.evaluations=1")
    assert smupar("train", *words, "name=whole").returncode == 0
    steps.clear()
    with subprocess.Popen([sys.executable, "-c", UNHURRIED, *words], stderr=subprocess.PIPE, text=True) as process:
        deadline, reached = time.monotonic() + 60, Path("step")
        while not (reached.exists() and int(reached.read_text() or 0) >= 20) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    (checkpoint,) = Path("results/train/checkpoints").iterdir()
    saved = read_checkpoint(checkpoint)["progress"]["step"]
    assert saved == int(reached.read_text())
    assert 20 <= saved < 400
    result = smupar("train", *words)
    assert result.returncode == 0
    assert "400/400" in result.stderr
    assert steps == list(range(saved + 1, 401))
    assert record_in().history == record_in("results/whole").history


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "", ".", ".."])
def test_a_name_that_leads_out_of_the_results_is_refused(smupar: Run, tiny: tuple[str, ...], name: str) -> None:
    result = smupar("train", *tiny, f"name='{name}'")
    assert result.returncode == 2
    problem = "is no name; use letters" if name else "must not be empty"
    assert result.stderr.startswith(f"smupar: name={name}: {problem}")
    assert not list(Path().glob("**/*.pt"))


def test_the_report_needs_no_training(smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    smupar("train", *tiny)
    Path("results/train/curves.png").unlink()
    monkeypatch.setattr(train, "run_spec", None)
    assert smupar("train", *tiny).returncode == 0
    assert Path("results/train/curves.png").exists()
