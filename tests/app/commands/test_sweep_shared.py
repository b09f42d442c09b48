"""``smupar sweep`` several times at once, killed, and with workers that die: each run once, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from smupar_transfer.records import CoordinateStore, FailureStore, FileClaims, RunStore
from smupar_transfer.sweeps.sharing import CLAIMS_FOLDER

Start = Callable[..., "subprocess.Popen[str]"]
SECONDS = 250
PLUGIN = """
import multiprocessing, os, signal, time
from pathlib import Path
from smupar_transfer.records import CoordinateStore, RunStore
from smupar_transfer.sweeps import run_missing

def counted(train):
    def run(spec, *arguments, **more):
        with open("trained.txt", "a") as file:
            file.write(spec.key + "\\n")
        if os.environ.get("DEADLY") == f"{spec.parametrization} {spec.sparsity.density} {spec.hparams.learning_rate}":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("SLEEP", "0")))
        while "GATE" in os.environ and not Path(os.environ["GATE"]).exists():
            time.sleep(0.02)
        return train(spec, *arguments, **more)
    return run

def publish(folder):
    for store in (RunStore(folder), CoordinateStore(folder)):
        print(sorted((record.key, getattr(record, "validation_loss", 0)) for record in store))

run_missing.run, run_missing.measure = counted(run_missing.run), counted(run_missing.measure)
if multiprocessing.parent_process() is None:
    from smupar_transfer.app.commands import coordinates, plot
    plot.publish = coordinates.publish = publish
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command that notes down what it trains, in a process of its own, which does not outlive the test."""
    (tmp_path / "noting.py").write_text(PLUGIN)
    with ExitStack() as running:

        def started(*words: str, **environment: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "smupar_transfer", words[0], "--plugin", "noting", *words[1:]]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100", **environment},
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield started


@pytest.fixture
def sweep(start: Start, grid_file: Path, tiny: tuple[str, ...]) -> Start:
    return lambda *words, **environment: start("sweep", str(grid_file), *tiny, *words, **environment)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code, err
    return out.splitlines()[-2], err


def trained() -> list[str]:
    return Path("trained.txt").read_text().split() if Path("trained.txt").exists() else []


def wait_for(happened: Callable[[], bool]) -> None:
    given_up = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < given_up
        time.sleep(0.02)


def files_of_work() -> set[str]:
    """What is in the folder of the result beside its records and what they are drawn into."""
    return {path.name for path in Path("results/grid").iterdir()} - {"records.jsonl", "sweep.json"}


def test_two_commands_share_a_sweep(sweep: Start) -> None:
    """Each used to train all of it: 64 trainings for 32 runs."""
    commands = [sweep(SLEEP="0.5"), sweep("workers=2", SLEEP="0.5")]
    printed = [finish(command)[0] for command in commands]
    assert len(trained()) == len(set(trained())) == 12
    assert printed[0] == printed[1]
    assert len(list(RunStore(Path("results/grid")))) == 12
    assert files_of_work() == set()


def test_what_a_killed_command_was_at_is_trained_at_once_by_the_next(sweep: Start) -> None:
    killed = sweep(GATE="never")
    wait_for(lambda: bool(trained()))
    waiting = FileClaims(Path("results/grid") / CLAIMS_FOLDER).all()
    assert [alive for _, alive in waiting] == [True]
    killed.kill()
    killed.wait()
    _, said = finish(sweep())
    assert "waiting" not in said, "it does not wait until the claim expires"
    assert sorted(trained()) == sorted([*RunStore(Path("results/grid")).keys(), waiting[0][0].name])
    assert trained()[-1] == waiting[0][0].name, "it comes last: the one before may have died of it"
    assert files_of_work() == set()


def test_a_command_says_that_it_waits_for_another_and_takes_up_its_records(sweep: Start) -> None:
    words = ("parametrization=sp", "target.sparsity=0.5")
    slow = sweep(*words, GATE="go")
    wait_for(lambda: bool(trained()))
    other = sweep(*words)
    assert other.stderr is not None
    said = ""
    while "waiting for 1 of another command" not in said:
        letter = other.stderr.read(1)
        assert letter, said
        said += letter
    Path("go").touch()
    finish(other)
    finish(slow)
    assert len(trained()) == len(set(trained())) == 3


def test_a_run_that_always_kills_its_worker_is_recorded_and_the_rest_is_done(sweep: Start, start: Start) -> None:
    """One dead worker used to end all, and to throw away what the other was at."""
    words = ("parametrization=sp", "target.sparsity=0.5", "workers=2")
    out, err = finish(sweep(*words, DEADLY="sp 0.5 0.0078125"), code=4)
    (failure,) = FailureStore(Path("results/grid"))
    assert trained().count(failure.key) == 3
    assert len(trained()) == 3 + 2
    assert failure.reason == "its process was killed by SIGKILL, as it is when memory runs out, 3 times"
    told = f"1 of 3 runs failed, and the others are done: {failure.key[:12]}: {failure.reason}"
    assert err.rstrip().endswith(f"smupar: {told}; the same command tries them again")
    assert out.count("(") == 2, "what is done is drawn"
    status = start("status", "grid").communicate(timeout=SECONDS)[0]
    assert "grid: 2 runs done, 0 running, 0 left, 1 failed" in status
    assert "SIGKILL" in status
    finish(sweep(*words))
    assert len(RunStore(Path("results/grid")).keys()) == 3
    assert files_of_work() == set()


def test_two_commands_share_a_coordinate_check(start: Start, tiny: tuple[str, ...]) -> None:
    words = ("coordinates", "coordinates_by_sparsity", *tiny, "parametrization=smupar", "require=[]", "seed=0")
    commands = [start(*words, SLEEP="0.5"), start(*words, SLEEP="0.5")]
    printed = [finish(command)[0] for command in commands]
    assert len(trained()) == len(set(trained())) == len(CoordinateStore(Path("results/coordinates_by_sparsity")).keys())
    assert len(trained()) > 1
    assert printed[0] == printed[1]
