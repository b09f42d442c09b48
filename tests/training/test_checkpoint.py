"""An interrupted run goes on as if nothing had happened, or not at all."""

from __future__ import annotations

import io
import math
import os
import re
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from smupar_transfer.model import build
from smupar_transfer.records import Evaluation, RunRecord, RunSpec
from smupar_transfer.theory import UPDATE_RULES, BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Execution, Silent, TokenData, loop, make_optimizer, read_checkpoint, run
from smupar_transfer.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from smupar_transfer.training.checkpoint_files import CheckpointFiles
from smupar_transfer.training.loop import Session, update_weights

Timeless = Callable[[RunRecord], RunRecord]


class Interrupter(Silent):
    """Presses Ctrl-C at a step, or at the evaluation after it."""

    def __init__(self, step: int, where: str) -> None:
        self.step, self.where = step, where

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        if self.where == "step" and step == self.step:
            raise KeyboardInterrupt

    def on_evaluation(self, evaluation: Evaluation) -> None:
        if self.where == "evaluation" and evaluation.step == self.step:
            raise KeyboardInterrupt


class Counter(Silent):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.steps.append(step)


def interrupt(spec: RunSpec, corpus: TokenData, path: Path, step: int, where: str = "step") -> None:
    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, observer=Interrupter(step, where), checkpoint=path)


@pytest.fixture
def checkpoint(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> Path:
    """Of a run that was interrupted after 12 of its 20 steps; it was saved after 10."""
    interrupt(spec, corpus, tmp_path / "run.pt", 12)
    return tmp_path / "run.pt"


@pytest.mark.parametrize("seconds", [30.0, -1.0], ids=["after evaluations", "after every step"])
@pytest.mark.parametrize(("step", "where"), [(3, "step"), (7, "step"), (10, "evaluation"), (20, "evaluation")])
@pytest.mark.parametrize("name", UPDATE_RULES)
def test_a_resumed_run_equals_an_uninterrupted_one(
    spec: RunSpec,
    corpus: TokenData,
    tmp_path: Path,
    timeless: Timeless,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    step: int,
    where: str,
    seconds: float,
) -> None:
    monkeypatch.setattr("smupar_transfer.training.loop.CHECKPOINT_SECONDS", seconds)
    chosen = replace(spec, optimizer=OptimizerSettings(name=name))
    interrupt(chosen, corpus, tmp_path / "run.pt", step, where)
    resumed = run(chosen, corpus, checkpoint=tmp_path / "run.pt")
    assert timeless(resumed) == timeless(run(chosen, corpus))


def test_a_run_interrupted_twice_is_still_the_same(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, timeless: Timeless
) -> None:
    for step in (7, 16):
        interrupt(spec, corpus, tmp_path / "run.pt", step)
    resumed = run(spec, corpus, checkpoint=tmp_path / "run.pt")
    assert timeless(resumed) == timeless(run(spec, corpus))


@pytest.fixture
def signal_in_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have Ctrl-C come in the middle of a step, counted from 1 and from now."""

    def arranged(step: int) -> None:
        left = [step]

        def update(session: Session) -> None:
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGINT)
            update_weights(session)

        monkeypatch.setattr("smupar_transfer.training.loop.update_weights", update)

    return arranged


@pytest.mark.parametrize("step", [1, 7, 10, 20])
def test_ctrl_c_loses_no_step(
    spec: RunSpec,
    corpus: TokenData,
    tmp_path: Path,
    timeless: Timeless,
    signal_in_step: Callable[[int], None],
    step: int,
) -> None:
    """It used to lose what had been trained since the last evaluation, or half a minute."""
    longer = replace(spec, budget=replace(spec.budget, evaluations=2))
    signal_in_step(step)
    with pytest.raises(KeyboardInterrupt):
        run(longer, corpus, checkpoint=tmp_path / "run.pt")
    assert read_checkpoint(tmp_path / "run.pt")["progress"]["step"] == step
    counter = Counter()
    resumed = run(longer, corpus, observer=counter, checkpoint=tmp_path / "run.pt")
    assert counter.steps == list(range(step + 1, 21))
    assert timeless(resumed) == timeless(run(longer, corpus))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("batch", [0, 1])
def test_an_evaluation_does_not_keep_an_end_waiting(
    spec: RunSpec,
    corpus: TokenData,
    tmp_path: Path,
    timeless: Timeless,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    batch: int,
) -> None:
    """It may take minutes, and a batch system waits for seconds. Whoever resumes makes it."""
    real, evaluated = loop._logits, []

    def logits(session: Session, inputs: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled() and session.progress.step == 10:
            evaluated.append(session.progress.step)
            if len(evaluated) == batch + 1:
                signal.raise_signal(number)
        return real(session, inputs)

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(number, end)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("smupar_transfer.training.loop._logits", logits)
            with pytest.raises(SystemExit) as caught:
                run(spec, corpus, checkpoint=tmp_path / "run.pt")
    finally:
        signal.signal(number, before)
    assert caught.value.code == 128 + number
    assert len(evaluated) == batch + 1, "of the two batches of the evaluation"
    progress = read_checkpoint(tmp_path / "run.pt")["progress"]
    assert (progress["step"], len(progress["history"])) == (10, 1 + batch)
    counter = Counter()
    assert timeless(run(spec, corpus, observer=counter, checkpoint=tmp_path / "run.pt")) == timeless(run(spec, corpus))
    assert counter.steps == list(range(11, 21))


def test_without_a_checkpoint_ctrl_c_acts_at_once(
    spec: RunSpec, corpus: TokenData, signal_in_step: Callable[[int], None]
) -> None:
    """As in trials and sweeps, whose runs have none."""
    counter = Counter()
    signal_in_step(3)
    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, observer=counter)
    assert counter.steps == [1, 2]


def test_a_second_ctrl_c_while_a_checkpoint_is_written_leaves_the_one_before(
    spec: RunSpec,
    corpus: TokenData,
    tmp_path: Path,
    timeless: Timeless,
    signal_in_step: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, writes = os.fsync, [3]  # the first checkpoint, its folder, the second

    def impatient(file: int) -> None:
        writes[0] -= 1
        if writes[0] == 0:
            signal.raise_signal(signal.SIGINT)
        real(file)

    longer = replace(spec, budget=replace(spec.budget, evaluations=2))
    signal_in_step(12)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", impatient)
        with pytest.raises(KeyboardInterrupt):
            run(longer, corpus, checkpoint=tmp_path / "run.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"], "no half-written file is left"
    assert read_checkpoint(tmp_path / "run.pt")["progress"]["step"] == 10
    assert timeless(run(longer, corpus, checkpoint=tmp_path / "run.pt")) == timeless(run(longer, corpus))


def test_resuming_trains_only_what_is_missing(spec: RunSpec, corpus: TokenData, checkpoint: Path) -> None:
    counter = Counter()
    run(spec, corpus, observer=counter, checkpoint=checkpoint)
    assert counter.steps == list(range(11, 21))


def test_a_finished_run_is_not_trained_again(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless
) -> None:
    first, counter = run(spec, corpus, checkpoint=checkpoint), Counter()
    assert timeless(run(spec, corpus, observer=counter, checkpoint=checkpoint)) == timeless(first)
    assert counter.steps == []


def test_the_place_in_the_stream_of_batches_is_needed(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless
) -> None:
    content = read_checkpoint(checkpoint)
    torch.save({**content, "batches": torch.Generator().get_state()}, checkpoint)
    assert timeless(run(spec, corpus, checkpoint=checkpoint)) != timeless(run(spec, corpus))


Content = dict[str, Any]


def without(content: Content, *names: Any) -> Content:
    """The same without one entry, however deep it lies."""
    first, *rest = names
    if rest:
        return {**content, first: without(content[first], *rest)}
    return {name: value for name, value in content.items() if name != first}


def with_(value: object, content: Content, *names: Any) -> Content:
    """The same with another value of one entry."""
    first, *rest = names
    return {**content, first: with_(value, content[first], *rest) if rest else value}


def other_moments(content: Content) -> Content:
    rows = content["optimizer"]["state"]
    return with_({index: row for index, row in rows.items() if index}, content, "optimizer", "state")


def other_rate(content: Content) -> Content:
    first, *rest = content["optimizer"]["param_groups"]
    return with_([{**first, "peak_learning_rate": 1.0}, *rest], content, "optimizer", "param_groups")


UP = "blocks.0.mlp.up.weight"
FOREIGN: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a missing weight": (lambda content: without(content, "network", UP), "up.weight is missing"),
    "a weight too many": (lambda content: with_(torch.zeros(1), content, "network", "x"), "Unexpected key"),
    "a weight of another shape": (lambda content: with_(torch.zeros(3, 3), content, "network", UP), "size mismatch"),
    "a weight that is text": (lambda content: with_("x", content, "network", UP), "does not fit"),
    "weights of another type": (lambda content: with_(torch.zeros(64, 16).int(), content, "network", UP), "int32"),
    "weights that are no numbers": (
        lambda content: with_(torch.full((64, 16), math.nan), content, "network", UP),
        "is not finite",
    ),
    "an infinite weight": (
        lambda content: with_(torch.full((16,), math.inf), content, "network", "norm.weight"),
        "norm.weight is not finite",
    ),
    "a mask that is text": (lambda content: with_("x", content, "network", UP[:-6] + "mask_bits"), "does not fit"),
    "another field of progress": (lambda content: with_(1, content, "progress", "x"), "x: unknown"),
    "a step that is text": (lambda content: with_("10", content, "progress", "step"), "is not a whole number"),
    "a step beyond the end": (lambda content: with_(99, content, "progress", "step"), "step 99 of a run of 20"),
    "a step that was not taken": (lambda content: with_(20, content, "progress", "step"), "since its last evaluation"),
    "no history": (lambda content: with_([], content, "progress", "history"), "since its last evaluation"),
    "times of fewer steps": (lambda content: with_([0.1], content, "progress", "step_seconds"), "times of 1 steps"),
    "progress that is a list": (lambda content: with_([], content, "progress"), "is not a mapping"),
    "a short random state": (lambda content: with_(content["batches"][:100], content, "batches"), "RNG state"),
    "a random state that is text": (lambda content: with_("x", content, "batches"), "does not fit"),
    "no state of the optimizer": (lambda content: with_({}, content, "optimizer", "state"), "parameter 0 is missing"),
    "state of fewer parameters": (other_moments, "parameter 0 is missing"),
    "no second moment": (
        lambda content: without(content, "optimizer", "state", 0, "exp_avg_sq"),
        "exp_avg_sq is missing",
    ),
    "a moment that is a number": (
        lambda content: with_(1.0, content, "optimizer", "state", 0, "exp_avg"),
        "does not fit",
    ),
    "a moment that is none": (
        lambda content: with_(
            content["optimizer"]["state"][0]["exp_avg"] * math.nan, content, "optimizer", "state", 0, "exp_avg"
        ),
        "exp_avg has entries that are no numbers",
    ),
    "moments of another step": (
        lambda content: with_(torch.tensor(3.0), content, "optimizer", "state", 0, "step"),
        "is of step 3, the run of step 10",
    ),
    "a parameter too many": (
        lambda content: with_(content["optimizer"]["state"][0], content, "optimizer", "state", 99),
        "does not fit",
    ),
    "another learning rate": (other_rate, "has peak_learning_rate 1.0, the run"),
    "fewer groups": (lambda content: with_([], content, "optimizer", "param_groups"), "does not fit"),
}


@pytest.mark.parametrize("fault", FOREIGN)
def test_a_checkpoint_with_the_right_key_and_other_content_is_refused_in_a_line(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, fault: str
) -> None:
    """Most of them used to be tracebacks, or were taken: not-a-number weights, moments that began anew."""
    change, said = FOREIGN[fault]
    torch.save(change(read_checkpoint(checkpoint)), checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        run(spec, corpus, checkpoint=checkpoint)
    line = str(caught.value)
    assert line.startswith(f"checkpoint={checkpoint}: does not fit the network: ")
    assert line.endswith("; delete it to start over")
    assert "\n" not in line
    assert checkpoint.read_bytes() == before


def test_an_unchanged_checkpoint_is_taken(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless
) -> None:
    """The control of the test above."""
    torch.save(read_checkpoint(checkpoint), checkpoint)
    assert timeless(run(spec, corpus, checkpoint=checkpoint)) == timeless(run(spec, corpus))


def test_a_checkpoint_of_another_run_is_refused_and_kept(spec: RunSpec, corpus: TokenData, checkpoint: Path) -> None:
    other, before = replace(spec, seed=spec.seed + 1), checkpoint.read_bytes()
    with pytest.raises(InputError, match=f"belongs to run {spec.key}, not to {other.key}"):
        run(other, corpus, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", b"PK\x03\x04", b"0", b"h\x00.", saved([1]), saved({"key": "0"}), saved({"progress": {}})],
    ids=["empty", "text", "zip magic", "empty pickle stack", "empty memo", "list", "key only", "progress only"],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint=.*run\.pt"):
        run(spec, corpus, checkpoint=tmp_path / "run.pt")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_weights(path: Path) -> None:
    """On the disk, unnoticed by it."""
    content = path.read_bytes()
    weights = read_checkpoint(path)["network"][UP].numpy().tobytes()
    assert content.count(weights) == 1
    path.write_bytes(content.replace(weights, bytes(len(weights))))


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (truncate, lose_weights, become_a_folder)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(spec: RunSpec, corpus: TokenData, checkpoint: Path, kept: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="delete it to start over"):
        run(spec, corpus, Execution(keep=1), checkpoint=only(checkpoint))


def only(checkpoint: Path) -> Path:
    """The newest generation, without those before it."""
    checkpoint.with_suffix(".1.pt").unlink()
    return checkpoint


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_an_older_generation_damage_is_refused(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, damage: Callable[[Path], None]
) -> None:
    damage(checkpoint)
    with pytest.raises(InputError, match=r"run\.pt: cannot be read: .*; delete it to start over$"):
        run(spec, corpus, checkpoint=only(checkpoint))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_goes_on_from_the_generation_before_a_damaged_one(
    spec: RunSpec,
    corpus: TokenData,
    checkpoint: Path,
    timeless: Timeless,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
) -> None:
    damage(checkpoint)
    counter = Counter()
    resumed = run(spec, corpus, observer=counter, checkpoint=checkpoint)
    assert counter.steps == list(range(6, 21)), "the generation before is of step 5"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"smupar: checkpoint={checkpoint}: cannot be read: ")
    assert line.endswith("; going on from run.1.pt")
    assert timeless(resumed) == timeless(run(spec, corpus))


def test_a_damaged_generation_makes_room_and_the_good_one_stays(
    spec: RunSpec, corpus: TokenData, checkpoint: Path
) -> None:
    truncate(checkpoint)
    interrupt(spec, corpus, checkpoint, 11)
    steps = [read_checkpoint(path)["progress"]["step"] for path in CheckpointFiles(checkpoint).existing()]
    assert steps == [10, 5]


def test_a_run_goes_on_where_a_process_died_between_two_renamings(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless
) -> None:
    only(checkpoint).rename(checkpoint.with_suffix(".1.pt"))
    counter = Counter()
    resumed = run(spec, corpus, observer=counter, checkpoint=checkpoint)
    assert counter.steps[0] == 11
    assert timeless(resumed) == timeless(run(spec, corpus))


def test_weights_that_are_not_finite_are_not_kept(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that broke them is taken again by whoever resumes, and comes to the same end."""
    monkeypatch.setattr("smupar_transfer.training.loop.CHECKPOINT_SECONDS", -1.0)

    def broken(session: Session) -> None:
        update_weights(session)
        if session.progress.step == 6:  # the seventh
            with torch.no_grad():
                next(session.network.parameters())[0, 0] = math.nan

    monkeypatch.setattr("smupar_transfer.training.loop.update_weights", broken)
    record = run(spec, corpus, checkpoint=tmp_path / "run.pt")
    assert record.diverged
    assert read_checkpoint(tmp_path / "run.pt")["progress"]["step"] == 6
    assert run(spec, corpus, checkpoint=tmp_path / "run.pt").history[-1] == record.history[-1]


def test_nothing_in_a_checkpoint_is_executed(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"progress": Attack()}, tmp_path / "run.pt")
    with pytest.raises(InputError, match="checkpoint"):
        run(spec, corpus, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_without_its_masks_is_refused(spec: RunSpec, corpus: TokenData, checkpoint: Path) -> None:
    content = read_checkpoint(checkpoint)
    del content["network"]["blocks.0.mlp.up.mask_bits"]
    torch.save(content, checkpoint)
    with pytest.raises(InputError, match=r"blocks\.0\.mlp\.up\.mask_bits is missing: .*; delete it to start over"):
        run(spec, corpus, checkpoint=checkpoint)


@pytest.mark.parametrize("backend", ["masked", "csr"])
def test_moments_of_other_shapes_are_refused(spec: RunSpec, corpus: TokenData, checkpoint: Path, backend: str) -> None:
    """A fused optimizer would write past their end, whether their weights are sparse or not."""
    intact = read_checkpoint(checkpoint)
    for index, state in intact["optimizer"]["state"].items():
        damaged = {**intact["optimizer"]["state"], index: {**state, "exp_avg": torch.zeros(3)}}
        torch.save({**intact, "optimizer": {**intact["optimizer"], "state": damaged}}, checkpoint)
        with pytest.raises(InputError, match=r"run\.pt: does not fit the network: .*; delete it to start over$"):
            run(spec, corpus, Execution(backend=backend), checkpoint=checkpoint)


def test_a_checkpoint_of_an_earlier_version_goes_on(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless
) -> None:
    """It does not tell which masks its moments were made for."""
    content = read_checkpoint(checkpoint)
    noted = [group.pop("mask_layouts", None) for group in content["optimizer"]["param_groups"]]
    assert any(noted)
    del content["progress"]["cpu_seconds"]  # nor how long it had computed, so that the record does not tell either
    torch.save(content, checkpoint)
    resumed = run(spec, corpus, checkpoint=checkpoint)
    assert resumed.cpu_seconds is None
    assert timeless(resumed) == timeless(run(spec, corpus))


def test_a_folder_that_cannot_be_written_is_an_input_error(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        run(spec, corpus, checkpoint=tmp_path / "file" / "run.pt")


def test_progress_survives_the_file(spec: RunSpec, tmp_path: Path) -> None:
    network, plan = build(spec)
    optimizer, batches = make_optimizer(network, plan, spec.optimizer), torch.Generator().manual_seed(7)
    progress = Progress(3, 1.5, 1.25, 2.75, [2.5], [0.5, 0.5, 0.5], [Evaluation(2, None, 2.25, 0.5)])
    files = CheckpointFiles(tmp_path / "run.pt")
    save_checkpoint(files, spec.key, network, optimizer, batches, progress)
    other, read = torch.Generator(), load_checkpoint(files, spec.key)
    read.restore_network(network)
    assert read.content["progress"] == asdict(progress)
    assert torch.equal(other.set_state(read.content["batches"]).get_state(), batches.get_state())
    assert asdict(progress)["history"] == [vars(Evaluation(2, None, 2.25, 0.5))]


def test_a_run_that_diverged_leaves_no_state_to_go_on_from(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    lost = replace(spec, hparams=BaseHyperparameters(1e8, 0.1))
    assert run(lost, corpus, checkpoint=tmp_path / "run.pt").diverged
    assert not (tmp_path / "run.pt").exists()
