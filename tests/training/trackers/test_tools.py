"""Each tool is spoken to as its public functions have it: against thin stands-ins, and against the tool where it is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.training import RunState, TokenData, TrackedRun, Tracker, Tracking, run
from smupar_transfer.training.trackers.mlflow import MLflowTracker
from smupar_transfer.training.trackers.registry import tracker_factory
from smupar_transfer.training.trackers.tensorboard import TensorBoardTracker
from smupar_transfer.training.trackers.trackio import TrackioTracker
from smupar_transfer.training.trackers.wandb import WandbTracker

Put = Callable[..., ModuleType]
CONFIG = {"seed": 1, "model": {"width": 16}}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has set for its own work counts for nothing."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_")):
            monkeypatch.delenv(name)


@pytest.fixture
def begun(tmp_path: Path) -> TrackedRun:
    return TrackedRun("abc", "0123456789abcdef", tmp_path / "mine")


@pytest.fixture
def resumed(begun: TrackedRun) -> TrackedRun:
    return replace(begun, step=7)


class Calls(list[tuple[Any, ...]]):
    """A function that notes down how it is called."""

    def of(self, name: str, result: Any = None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.append((name, *arguments, named))
            return result

        return call


def track(tracker: Tracker, state: RunState = RunState.DIVERGED) -> None:
    tracker.start(CONFIG)
    tracker.log({"train/loss": 2.0}, 8)
    tracker.finish(state)


# --- Weights & Biases


@pytest.fixture
def wandb(module: Put) -> Calls:
    calls = Calls()
    remote = SimpleNamespace(log=calls.of("log"), finish=calls.of("finish"), summary={})
    module("wandb", init=calls.of("init", remote), remote=remote)
    return calls


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RunState.FINISHED, 0),
        (RunState.STOPPED, 0),
        (RunState.DIVERGED, 1),
        (RunState.INTERRUPTED, 1),
        (RunState.FAILED, 1),
    ],
)
def test_wandb_gets_a_run_with_its_state(wandb: Calls, begun: TrackedRun, state: RunState, code: int) -> None:
    track(WandbTracker(begun), state)
    (_, options), *rest = wandb
    assert options["project"] == "smupar_transfer"
    assert (options["name"], options["id"], options["group"]) == ("abc", begun.identity, "mine")
    assert options["config"] == CONFIG
    assert (options["dir"], options["resume"]) == (str(begun.files), None)
    assert begun.files.is_dir()
    assert rest == [("log", {"train/loss": 2.0}, {"step": 8}), ("finish", {"exit_code": code})]
    assert sys.modules["wandb"].remote.summary == {"state": str(state)}


def test_wandb_goes_on_with_a_run_that_goes_on(
    wandb: Calls, resumed: TrackedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "ours")
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    WandbTracker(resumed).start(CONFIG)
    ((_, options),) = wandb
    assert (options["resume"], options["project"], options["dir"]) == ("allow", "ours", "/elsewhere")


# --- Trackio


def test_trackio_gets_a_run_and_prints_nothing_among_results(
    module: Put, begun: TrackedRun, resumed: TrackedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = Calls()

    def finish() -> None:
        calls.append(("finish",))
        print("* Run finished")

    module("trackio", init=calls.of("init", SimpleNamespace(log=calls.of("log"))), finish=finish)
    track(TrackioTracker(begun))
    (_, options), *rest = calls
    assert options["project"] == "smupar_transfer"
    assert (options["name"], options["group"], options["resume"]) == ("abc-012345", "mine", "never")
    assert options["config"] == {"seed": 1, "model.width": 16}
    logged = [("log", {"train/loss": 2.0}, {"step": 8}), ("log", {"state": "diverged"}, {"step": 8})]
    assert rest == [*logged, ("finish",)]
    assert capsys.readouterr().out == ""
    calls.clear()
    TrackioTracker(resumed).start(CONFIG)
    assert calls[0][1]["resume"] == "allow"


# --- MLflow


class MlflowError(Exception):
    pass


@pytest.fixture
def mlflow(module: Put) -> Calls:
    """MLflow with an experiment that another process makes at the same time, and with one run."""
    calls, experiments = Calls(), [None, SimpleNamespace(experiment_id="4")]
    known = SimpleNamespace(info=SimpleNamespace(run_id="77"))

    def create_experiment(name: str) -> str:
        raise MlflowError(f"{name} exists")

    client = SimpleNamespace(
        get_experiment_by_name=lambda name: experiments.pop(0),
        create_experiment=create_experiment,
        search_runs=calls.of("search_runs", [known]),
        update_run=calls.of("update_run"),
        create_run=calls.of("create_run", known),
        log_batch=calls.of("log_batch"),
        set_tag=calls.of("set_tag"),
        set_terminated=calls.of("set_terminated"),
    )
    module(
        "mlflow",
        MlflowClient=calls.of("client", client),
        MlflowException=MlflowError,
        is_tracking_uri_set=lambda: "MLFLOW_TRACKING_URI" in os.environ,
        get_tracking_uri=lambda: os.environ["MLFLOW_TRACKING_URI"],
    )
    module("mlflow.entities", Param=lambda *row: row, Metric=lambda *row: row)
    return calls


def test_mlflow_gets_a_run_in_a_database_of_the_result(mlflow: Calls, begun: TrackedRun) -> None:
    track(MLflowTracker(begun))
    client, create, params, metrics, *rest = mlflow
    assert client == ("client", {"tracking_uri": f"sqlite:///{begun.files / 'mlflow.db'}"})
    assert create[:2] == ("create_run", "4")
    assert create[2]["run_name"] == "abc"
    assert params == ("log_batch", "77", {"params": [("seed", "1"), ("model.width", "16")]})
    ((key, value, _, step),) = metrics[2]["metrics"]
    assert (key, value, step) == ("train/loss", 2.0, 8)
    assert rest == [("set_tag", "77", "state", "diverged", {}), ("set_terminated", "77", {"status": "FAILED"})]


def test_mlflow_goes_on_with_a_run_that_goes_on(
    mlflow: Calls, resumed: TrackedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    MLflowTracker(resumed).start(CONFIG)
    client, search, update = mlflow
    assert client[1] == {"tracking_uri": "http://there"}
    assert resumed.identity in search[2]
    assert update == ("update_run", "77", {"status": "RUNNING"})


# --- the tools themselves


def test_tensorboard_reads_what_it_was_told(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, timeless: Callable[[RunRecord], RunRecord]
) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = run(spec, corpus, tracking=Tracking("tensorboard", tmp_path))
    assert timeless(record) == timeless(run(spec, corpus))
    events = EventAccumulator(str(tmp_path / "trackers" / "tensorboard" / spec.key)).Reload()
    assert {"train/loss", "eval/loss", "update_ratio/hidden"} <= set(events.Tags()["scalars"])
    losses = {event.step: event.value for event in events.Scalars("eval/loss")}
    assert losses == {item.step: pytest.approx(item.validation_loss) for item in record.history}
    assert set(events.Tags()["tensors"]) == {"config/text_summary", "state/text_summary"}


def test_tensorboard_forgets_what_lay_beyond_the_checkpoint(resumed: TrackedRun) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first, second = TensorBoardTracker(replace(resumed, step=0)), TensorBoardTracker
    first.start(CONFIG)
    for step in range(1, 10):
        first.log({"train/loss": 0.0}, step)
    first.finish(RunState.INTERRUPTED)
    again = second(resumed)
    again.start(CONFIG)
    again.log({"train/loss": 1.0}, 8)
    again.finish(RunState.FINISHED)
    events = EventAccumulator(str(resumed.files / "tensorboard" / "abc")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        *((step, 0.0) for step in range(1, 8)),
        (8, 1.0),
    ]


PROGRAM = """
import sys
from pathlib import Path
from smupar_transfer.training import RunState, TrackedRun, Tracking
from smupar_transfer.training.trackers.registry import tracker_factory
name, folder = sys.argv[1], Path(sys.argv[2])
Tracking(name, folder)
for step, state in ((0, RunState.INTERRUPTED), (3, RunState.DIVERGED)):
    tracker = tracker_factory(name)(TrackedRun.of("abc", "key", folder, step))
    tracker.start({"seed": 1, "model": {"width": 16}, "none": None})
    for later in (1, 2, 3):
        tracker.log({"train/loss": 1.0 / (step + later), "update_ratio/hidden": 0.1}, step + later)
        tracker.log({"eval/loss": 1.0}, step + later)
    tracker.finish(state)
"""


@pytest.fixture
def told(tmp_path: Path) -> Callable[[str], Path]:
    """Tell a tool itself of a run that is interrupted and goes on, without the network."""

    def tell(name: str) -> Path:
        pytest.importorskip(name, reason=f"the extra '{name}' is not installed")
        nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
        offline = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "kept"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        root = str(Path(__file__).parents[3])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, name, str(tmp_path / "mine")],
            env={**os.environ, **nowhere, **offline, "HOME": str(tmp_path), "PYTHONPATH": root},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return tmp_path

    return tell


def test_wandb_itself_takes_what_it_is_told(told: Callable[[str], Path]) -> None:
    folder = told("wandb") / "mine" / "trackers" / "wandb"
    assert len(list(folder.glob("offline-run-*"))) == 2


def test_trackio_itself_keeps_one_run(told: Callable[[str], Path]) -> None:
    (database,) = (told("trackio") / "kept").glob("smupar_transfer*.db")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("select run_name, step from metrics order by step").fetchall()
    assert len({name for name, _ in rows}) == 1
    assert {step for _, step in rows} == set(range(1, 7))


def test_mlflow_itself_keeps_one_run(told: Callable[[str], Path]) -> None:
    database = told("mlflow") / "mine" / "trackers" / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select name, status from runs").fetchall() == [("abc", "FAILED")]
        steps = connection.execute("select step from metrics where key = 'train/loss' order by step").fetchall()
        assert steps == [(step,) for step in range(1, 7)]
        state = connection.execute("select value from tags where key = 'state'").fetchall()
        assert state == [("diverged",)]


def test_factories_of_the_package_are_the_classes_that_are_tested_here() -> None:
    found = [tracker_factory(name) for name in ("tensorboard", "wandb", "trackio", "mlflow")]
    assert found == [TensorBoardTracker, WandbTracker, TrackioTracker, MLflowTracker]
