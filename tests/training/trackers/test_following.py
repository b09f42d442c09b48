"""What a tracker is told of a run; that the run is the same with it, without it, and when it fails."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smupar_transfer.records import Evaluation, RunRecord, RunSpec
from smupar_transfer.training import (
    Execution,
    RunState,
    Silent,
    TokenData,
    TrackedRun,
    Tracking,
    measure,
    register_tracker,
    run,
)
from smupar_transfer.training.loop import train_step
from smupar_transfer.training.runs import open_session
from smupar_transfer.training.trackers import follow
from smupar_transfer.training.trackers.following import LOGGED, is_logged
from smupar_transfer.training.trackers.update_ratios import UpdateRatios
from tests.training.trackers.conftest import Recording

ROLES = ("embedding", "hidden", "readout", "vector")
EVALUATION = {"eval/loss", "eval/accuracy", "eval/bits_per_byte"}
STEP = {"train/loss", "train/tokens", "train/epoch", "learning_rate", *(f"update_ratio/{role}" for role in ROLES)}

Timeless = Callable[[RunRecord], RunRecord]


def test_a_run_is_started_logged_and_finished(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    record = run(spec, corpus, tracking=tracking)
    (first, config), *logs, last = recording.calls
    assert first == "start"
    assert last == ("finish", RunState.FINISHED)
    expected = [(set(STEP), step) for step in range(1, 21)]
    for place, step in enumerate((5, 10, 15, 20)):
        expected.insert(step + place, (EVALUATION, step))
    assert [(set(values), step) for _, values, step in logs] == expected
    assert config["hparams"]["learning_rate"] == spec.hparams.learning_rate
    assert config["key"] == spec.key
    assert recording.values("eval/loss") == {item.step: item.validation_loss for item in record.history}
    assert recording.values("train/tokens")[20] == record.tokens
    assert recording.values("train/epoch")[20] == pytest.approx(record.epochs)


def test_a_run_has_its_key_for_a_name(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    run(spec, corpus, tracking=tracking)
    run(spec, corpus, tracking=replace(tracking, run="trial-7"))
    first, second = recording.runs
    assert (first.name, first.group, first.folder, first.step) == (spec.key, "mine", tracking.folder, 0)
    assert second.name == "trial-7"
    assert first.identity != second.identity


def test_where_data_lie_is_nobodys_business(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    """Guards against paths of this machine on somebody's server; data count by their content."""
    located = replace(spec, data=replace(spec.data, path="/home/me/secret.txt"))
    run(located, corpus, tracking=tracking)
    (_, config), *_ = recording.calls
    assert "secret" not in str(config)
    assert config["data"]["sha256"] == spec.data.sha256


def test_a_record_is_the_same_with_a_tracker(
    spec: RunSpec, corpus: TokenData, tracking: Tracking, timeless: Timeless
) -> None:
    assert timeless(run(spec, corpus, tracking=tracking)) == timeless(run(spec, corpus))


@pytest.mark.parametrize("backend", ["masked", "csr"])
def test_ratios_are_those_of_the_weights(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking, backend: str
) -> None:
    """Against weights that are read before and after a step, from the outside."""
    execution = Execution(backend=backend)
    run(spec, corpus, execution, tracking=tracking)
    session, plan = open_session(spec, corpus, execution)
    before = {name: weight.detach().clone() for name, weight in session.network.named_parameters()}
    train_step(session)
    for role in ROLES:
        names = [row.name for row in plan if row.role == role]
        old = torch.cat([before[name].flatten() for name in names])
        change = torch.cat([session.network.get_parameter(name).detach().flatten() for name in names]) - old
        expected = float(change.double().square().mean().sqrt() / old.double().square().mean().sqrt())
        assert recording.values(f"update_ratio/{role}")[1] == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_is_that_of_the_schedule(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    run(spec, corpus, tracking=tracking)
    rates = recording.values("learning_rate")
    assert rates[1] == pytest.approx(spec.hparams.learning_rate / 3)
    assert max(rates.values()) == rates[3] == spec.hparams.learning_rate


@pytest.mark.parametrize("steps", [1, 20, 99, 100, 101, 199, 200, 1_000, 12_345])
def test_a_hundred_steps_are_logged_of_a_long_run(steps: int) -> None:
    logged = [step for step in range(1, steps + 1) if is_logged(step, steps)]
    assert {1, steps} <= set(logged)
    assert min(steps, LOGGED) <= len(logged) <= 2 * LOGGED + 1


def test_the_loss_is_the_mean_since_the_last_one(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    class Noting(Silent):
        losses: list[float]

        def __init__(self) -> None:
            self.losses = []

        def on_step(self, step: int, loss: float, tokens: int) -> None:
            self.losses.append(loss)

    noting = Noting()
    budget = replace(spec.budget, steps=200)
    run(replace(spec, budget=budget), corpus, observer=noting, tracking=tracking)
    logged = recording.values("train/loss")
    assert list(logged)[:3] == [1, 2, 4]
    assert logged[4] == pytest.approx(sum(noting.losses[2:4]) / 2)
    assert len(noting.losses) == 200


def test_a_run_that_diverges_is_finished_as_such(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    wild = replace(spec, hparams=replace(spec.hparams, learning_rate=1e30, init_std=1e10))
    assert run(wild, corpus, tracking=tracking).diverged
    assert recording.calls[-1] == ("finish", RunState.DIVERGED)
    assert all(math.isfinite(value) for call in recording.calls if call[0] == "log" for value in call[1].values())
    assert all(call[1] for call in recording.calls if call[0] == "log")


def test_a_run_goes_on_at_its_step(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking, tmp_path: Path, timeless: Timeless
) -> None:
    class Interrupting(Silent):
        def on_step(self, step: int, loss: float, tokens: int) -> None:
            if step == 7:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, observer=Interrupting(), checkpoint=tmp_path / "run.pt", tracking=tracking)
    assert recording.calls[-1] == ("finish", RunState.INTERRUPTED)
    assert max(recording.values("train/loss")) == 7
    recording.calls.clear()
    record = run(spec, corpus, checkpoint=tmp_path / "run.pt", tracking=tracking)
    assert list(recording.values("train/loss")) == list(range(8, 21))
    assert set(recording.calls[1][1]) == STEP
    first, second = recording.runs
    assert (first.step, second.step) == (0, 7)
    assert first.identity == second.identity
    assert timeless(record) == timeless(run(spec, corpus))


def test_ctrl_c_without_a_checkpoint_finishes_the_tracker(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    tracker = Recording("log", KeyboardInterrupt())
    register_tracker("interrupted", tracker)
    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, tracking=Tracking("interrupted", tmp_path))
    assert tracker.calls[-1] == ("finish", RunState.INTERRUPTED)


class GivingUp(Silent):
    def on_evaluation(self, evaluation: Evaluation) -> None:
        raise LookupError("enough")


class Faulty(TokenData):
    def train_batch(self, *arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        raise LookupError("enough")


def test_a_run_that_its_observer_ends_was_stopped(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    with pytest.raises(LookupError, match="enough"):
        run(spec, corpus, observer=GivingUp(), tracking=tracking)
    assert recording.calls[-1] == ("finish", RunState.STOPPED)
    assert list(recording.values("eval/loss")) == [5]


def test_a_run_that_fails_has_failed(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    faulty = Faulty(**vars(corpus))
    with pytest.raises(LookupError, match="enough"):
        run(spec, faulty, tracking=tracking)
    assert recording.named == ["start", "finish"]
    assert recording.calls[-1] == ("finish", RunState.FAILED)


@pytest.mark.parametrize(
    ("fails_in", "calls"),
    [("start", ["start"]), ("log", ["start", "log", "finish"]), ("finish", None)],
)
def test_a_tracker_that_fails_is_told_of_once_and_training_goes_on(
    spec: RunSpec,
    corpus: TokenData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    timeless: Timeless,
    monkeypatch: pytest.MonkeyPatch,
    fails_in: str,
    calls: list[str] | None,
) -> None:
    tracker = Recording(fails_in)
    register_tracker("failing", tracker)
    tracking = Tracking("failing", tmp_path)
    copies: list[int] = []
    monkeypatch.setattr(UpdateRatios, "keep", lambda self: copies.append(1))
    assert timeless(run(spec, corpus, tracking=tracking)) == timeless(run(spec, corpus))
    assert calls is None or tracker.named == calls
    said = capsys.readouterr().err
    expected = f"smupar: caution: tracker=failing failed in {fails_in}: ConnectionError: the server is gone"
    assert said.startswith(expected)
    assert said.count("\n") == 1
    assert len(copies) == {"start": 0, "log": 1, "finish": spec.budget.steps}[fails_in]  # weights, for ratios
    run(spec, corpus, tracking=tracking)
    assert capsys.readouterr().err == ""


def test_a_factory_that_fails_is_a_tracker_that_fails(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    def broken(run: TrackedRun) -> Recording:
        raise ZeroDivisionError

    register_tracker("broken", broken)
    run(spec, corpus, tracking=Tracking("broken", tmp_path))
    assert "tracker=broken failed in start: ZeroDivisionError" in capsys.readouterr().err


def test_a_password_in_an_address_is_not_shown(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register_tracker("failing", Recording("start", OSError("no answer of https://me:secret@example.org/\nat all")))
    run(spec, corpus, tracking=Tracking("failing", tmp_path))
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "https://***@example.org" in said
    assert said.count("\n") == 1


def test_weights_of_zeros_have_no_ratio() -> None:
    layer = torch.nn.Linear(2, 2)
    torch.nn.init.zeros_(layer.bias)
    ratios = UpdateRatios(layer, {"weight": "hidden", "bias": "vector"})
    ratios.keep()
    with torch.no_grad():
        layer.bias.add_(1.0)
        layer.weight.mul_(1.5)
    assert ratios.since_kept() == {"update_ratio/hidden": pytest.approx(0.5)}


def test_weights_that_changed_their_shape_have_no_ratio() -> None:
    """As after a change of mask, where a backend keeps existing weights alone."""
    layer = torch.nn.Linear(2, 2, bias=False)
    ratios = UpdateRatios(layer, {"weight": "hidden"})
    ratios.keep()
    layer.weight = torch.nn.Parameter(torch.ones(3))
    assert ratios.since_kept() == {}
    assert ratios.since_kept() == {}


def test_a_coordinate_check_is_logged_as_well(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    short = replace(spec, budget=replace(spec.budget, steps=3, evaluations=1))
    measured = measure(short, corpus, tracking=tracking)
    plain = measure(short, corpus)
    assert (measured.losses, measured.layers) == (plain.losses, plain.layers)
    assert list(recording.values("train/loss").values()) == pytest.approx(measured.losses[:3], rel=1e-5)
    assert set(recording.calls[1][1]) == STEP
    assert recording.calls[-1] == ("finish", RunState.FINISHED)


def test_a_coordinate_check_that_diverges_is_finished_as_such(
    spec: RunSpec, corpus: TokenData, recording: Recording, tracking: Tracking
) -> None:
    wild = replace(spec, hparams=replace(spec.hparams, learning_rate=1e30, init_std=1e10))
    measure(wild, corpus, tracking=tracking)
    assert recording.calls[-1] == ("finish", RunState.DIVERGED)


def test_without_a_tracker_the_observer_is_used_as_it_is(spec: RunSpec, corpus: TokenData) -> None:
    """Nothing stands between the loop and who watches it, so that being off costs nothing."""
    session, plan = open_session(spec, corpus, Execution())
    observer = Silent()
    with follow(Tracking(), session, plan, observer) as followed:
        assert followed.observer is observer


PROGRAM = """
import os, signal, sys
from pathlib import Path
from smupar_transfer.training import Silent, Tracking, register_tracker, run
from tests.training.conftest import make_corpus
from tests.training.trackers.test_following import plain_spec

class Telling:
    def __init__(self, run): pass
    def start(self, config): pass
    def log(self, values, step): pass
    def finish(self, state): print(state, flush=True)

class Killing(Silent):
    def on_step(self, step, loss, tokens):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

register_tracker("telling", Telling)
run(plain_spec(), make_corpus(16), observer=Killing(), tracking=Tracking("telling", Path()))
print("not reached")
"""


def plain_spec() -> RunSpec:
    """The specification of the fixture, for a process without fixtures."""
    from smupar_transfer.records import BudgetSpec, GPTSpec, SparsitySpec
    from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
    from tests.training.conftest import make_corpus

    return RunSpec(
        model=GPTSpec(width=16, depth=1, head_dim=8, vocab_size=16, context=16),
        base_width=8,
        sparsity=SparsitySpec(0.5),
        parametrization="smupar",
        hparams=BaseHyperparameters(2**-5, 0.1),
        optimizer=OptimizerSettings(),
        data=make_corpus(16).spec,
        budget=BudgetSpec(20, batch_size=4, sequence_length=8, warmup_steps=2, evaluations=4, evaluation_batches=2),
        seed=1,
    )


def test_a_worker_that_is_told_to_end_finishes_its_tracker_and_ends() -> None:
    """As workers are on Ctrl-C: by SIGTERM, for which they have no answer of their own."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "interrupted\n"), done.stderr
