"""``tracker=`` in every command that trains: a run of the tracker for every run, in every process, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from smupar_transfer.records import CoordinateStore, RunStore

Run = Callable[..., CompletedProcess[str]]
MODULE = """
import json
from pathlib import Path
from smupar_transfer import register_tracker


class Lines:
    def __init__(self, run):
        self.file = Path("told") / f"{run.group}-{run.name}.jsonl"
        self.file.parent.mkdir(exist_ok=True)

    def write(self, *row):
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\\n")

    def start(self, config):
        self.write("start", config["seed"])

    def log(self, values, step):
        self.write("log", dict(values), step)

    def finish(self, state):
        self.write("finish", state)


register_tracker("lines", Lines)
"""
OWN = ("--plugin", "own_tracker", "tracker=lines")
CHECK = """\
question: Do sizes stay put?
expected: They do.
cost: a second
kind: coordinates
overrides: [budget.steps=3, hparams.learning_rate=0.01]
grids:
  - parametrization.name: [smupar]
    target.sparsity: [0.0, 0.5]
    seed: [0, 1]
runs: 4
"""


@pytest.fixture
def command(python: Run, tmp_path: Path) -> Run:
    """A command in a process of its own, in the test's folder, where a module registers a tracker."""
    (tmp_path / "own_tracker.py").write_text(MODULE, encoding="utf-8")

    def run(*words: str) -> CompletedProcess[str]:
        return python("-W", "error", "-m", "smupar_transfer", *words)

    return run


def told() -> dict[str, list[Any]]:
    """What trackers were told, by group and name of the run."""
    return {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(Path("told").glob("*.jsonl"))
    }


def whole(rows: list[Any]) -> Iterator[bool]:
    yield rows[0][0] == "start"
    yield rows[-1][0] == "finish"
    yield [row[0] for row in rows[1:-1]] == ["log"] * (len(rows) - 2)


def test_train_tells_of_its_run(command: Run, tiny: tuple[str, ...]) -> None:
    done = command("train", *tiny, *OWN)
    assert done.returncode == 0, done.stderr
    ((name, rows),) = told().items()
    (record,) = RunStore(Path("results/train"))
    assert name == f"train-{record.key}"
    assert all(whole(rows))
    assert rows[-1] == ["finish", "finished"]
    assert command("train", *tiny, "results_dir=plain").returncode == 0
    (plain,) = RunStore(Path("plain/train"))
    assert (record.key, record.history, record.spec) == (plain.key, plain.history, plain.spec)
    assert command("train", *tiny, *OWN).returncode == 0  # its record exists: nothing is trained
    assert told() == {name: rows}


def test_tune_tells_of_trials_by_their_numbers(command: Run, tiny: tuple[str, ...]) -> None:
    words = ("tuning.n_trials=3", "tuning.startup_trials=1", "tuning.confirm=1", "tuning.confirm_seeds=1", "workers=2")
    done = command("tune", *tiny, *words, *OWN)
    assert done.returncode == 0, done.stderr
    runs = told()
    (again,) = (name for name in runs if name.endswith("-seed-1"))
    assert sorted({*runs} - {again}) == ["proxy-trial-0", "proxy-trial-1", "proxy-trial-2"]
    assert again.removesuffix("-seed-1") in runs
    assert all(all(whole(rows)) for rows in runs.values())
    assert "tracker=" not in done.stdout.partition("next: ")[2]


def test_a_sweep_tells_of_every_run_that_is_trained(command: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    done = command("sweep", str(grid_file), *tiny, "workers=2", *OWN)
    assert done.returncode == 0, done.stderr
    runs = told()
    trained = [record for record in RunStore(Path("results/grid")) if record.same_as is None]
    assert sorted(runs) == sorted(f"grid-{record.key}" for record in trained)
    assert all(all(whole(rows)) for rows in runs.values())
    assert "tracker=" not in (Path("results") / "grid" / "README.md").read_text(encoding="utf-8")


def test_coordinates_tell_of_every_run(command: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "check.yaml").write_text(CHECK, encoding="utf-8")
    done = command("coordinates", "check.yaml", *tiny, "require=[]", *OWN)
    assert done.returncode == 0, done.stderr
    assert sorted(told()) == sorted(f"check-{record.key}" for record in CoordinateStore(Path("results/check")))


@pytest.mark.parametrize("name", ["explain", "transfer", "plan"])
def test_a_command_that_trains_nothing_has_no_such_key(smupar: Run, name: str) -> None:
    done = smupar(name, "tracker=wandb")
    assert done.returncode == 2
    assert f"tracker: smupar {name} has no such key" in done.stderr


@pytest.mark.parametrize("name", ["train", "tune", "demo", "sweep", "coordinates"])
def test_a_tracker_that_is_not_there_is_refused_before_anything_is_written(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "check.yaml").write_text(CHECK, encoding="utf-8")
    named = {"sweep": [str(grid_file)], "coordinates": ["check.yaml"]}.get(name, [])
    unknown = smupar(name, *named, *tiny, "tracker=wandv")
    assert unknown.returncode == 2
    assert unknown.stderr.splitlines()[-1] == "smupar: tracker=wandv: is no tracker; did you mean wandb?"
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    missing = smupar(name, *named, *tiny, "tracker=wandb")
    assert missing.returncode == 2
    assert "run: pip install 'smupar-transfer[wandb]'" in missing.stderr.splitlines()[-1]
    assert not Path("results").exists()


def test_ctrl_c_finishes_the_trackers_of_all_workers(
    command: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path
) -> None:
    words = ["sweep", str(grid_file), *tiny, "budget.steps=100000", "budget.evaluations=1", "workers=2", *OWN]
    program = [sys.executable, "-m", "smupar_transfer", *words]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while sum(len(rows) > 2 for rows in told().values()) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert [rows[-1] for rows in told().values()] == [["finish", "interrupted"]] * 2
