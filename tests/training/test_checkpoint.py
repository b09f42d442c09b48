"""An interrupted run goes on as if nothing had happened, or not at all."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from smupar_transfer.model import build
from smupar_transfer.records import Evaluation, RunRecord, RunSpec
from smupar_transfer.theory import UPDATE_RULES, BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Execution, Silent, TokenData, make_optimizer, read_checkpoint, run
from smupar_transfer.training.checkpoint import Progress, load_checkpoint, save_checkpoint
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
    real, writes = os.fsync, [2]

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


@pytest.mark.parametrize("forgotten", ["optimizer", "batches", "progress"])
def test_everything_in_a_checkpoint_is_needed(
    spec: RunSpec, corpus: TokenData, checkpoint: Path, timeless: Timeless, forgotten: str
) -> None:
    content = read_checkpoint(checkpoint)
    network, plan = build(spec)
    fresh = {
        "optimizer": make_optimizer(network, plan, spec.optimizer).state_dict(),
        "batches": torch.Generator().get_state(),
        "progress": {**content["progress"], "step": 0},
    }
    torch.save({**content, forgotten: fresh[forgotten]}, checkpoint)
    assert timeless(run(spec, corpus, checkpoint=checkpoint)) != timeless(run(spec, corpus))


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


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(spec: RunSpec, corpus: TokenData, checkpoint: Path, kept: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="delete it to start over"):
        run(spec, corpus, checkpoint=checkpoint)


def test_weights_lost_on_the_disk_are_noticed(spec: RunSpec, corpus: TokenData, checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    weights = read_checkpoint(checkpoint)["network"]["blocks.0.mlp.up.weight"].numpy().tobytes()
    assert content.count(weights) == 1
    checkpoint.write_bytes(content.replace(weights, bytes(len(weights))))
    with pytest.raises(InputError, match="checkpoint"):
        run(spec, corpus, checkpoint=checkpoint)


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
    save_checkpoint(tmp_path / "run.pt", spec.key, network, optimizer, batches, progress)
    other = torch.Generator()
    assert load_checkpoint(tmp_path / "run.pt", spec.key, network, optimizer, other) == progress
    assert torch.equal(other.get_state(), batches.get_state())
    assert asdict(progress)["history"] == [vars(Evaluation(2, None, 2.25, 0.5))]


def test_a_run_that_diverged_leaves_no_state_to_go_on_from(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    lost = replace(spec, hparams=BaseHyperparameters(1e8, 0.1))
    assert run(lost, corpus, checkpoint=tmp_path / "run.pt").diverged
    assert not (tmp_path / "run.pt").exists()
