"""``smupar tune`` in two terminals at once, and killed in every way: each place once, and no trial left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import sqlalchemy as sa

from smupar_transfer.records import read_tuned

Run = Callable[..., CompletedProcess[str]]
Start = Callable[..., "subprocess.Popen[str]"]
SECONDS = 120
LONG = ("budget.steps=200", "budget.evaluations=2", "tuning.n_trials=6", "tuning.startup_trials=2")
"""Six trials of about a third of a second each."""
ENDLESS = "tuning.n_trials=5000"
"""More trials than there is time for: however busy the machine, the search is at work when something is done to it."""
UNDRAWN = """
import sys
from smupar_transfer.app.commands import tune
from smupar_transfer.app.main import main

tune.draw = lambda *_: None
sys.exit(main(["tune", *sys.argv[1:]]))
"""


@pytest.fixture
def start(tiny: tuple[str, ...]) -> Iterator[Start]:
    """Start a command in a process of its own, which does not outlive the test."""
    with ExitStack() as running:

        def started(*words: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", UNDRAWN, *tiny, *LONG, *words]
            environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"}  # progress as in a terminal
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield started


class Study:
    """A study as its database has it, past all of the project's own code."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)

    def count(self, *states: str) -> int:
        """Trials in one of some states; none as long as there is no study."""
        try:
            with self.engine.connect() as connection:
                trial_states = list(connection.scalars(sa.text("select state from trials")))
        except sa.exc.DBAPIError:
            return 0
        return sum(state in states for state in trial_states)

    def wait_for(self, finished: int, running: int) -> None:
        deadline = time.monotonic() + SECONDS
        while self.count("COMPLETE", "PRUNED") < finished or self.count("RUNNING") != running:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def begun(self) -> int:
        """How many trials there are, whatever became of them."""
        return self.count("COMPLETE", "PRUNED", "FAIL", "RUNNING")

    def places(self) -> list[int]:
        """Places of the plan whose trials have an outcome, sorted; one that was trained twice is there twice."""
        query = """
            select value_json from trial_user_attributes join trials using (trial_id)
            where key = 'ordinal' and state in ('COMPLETE', 'PRUNED')
        """
        with self.engine.connect() as connection:
            return sorted(map(int, connection.scalars(sa.text(query))))

    def points(self) -> list[tuple[float, ...]]:
        """Hyperparameters of the finished trials, in order."""
        query = """
            select number, param_value from trial_params join trials using (trial_id)
            where state in ('COMPLETE', 'PRUNED') order by number, param_name
        """
        points: dict[int, list[float]] = {}
        with self.engine.connect() as connection:
            for number, value in connection.execute(sa.text(query)):
                points.setdefault(number, []).append(value)
        return [tuple(point) for point in points.values()]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(f"sqlite:///{tmp_path}/results/proxy/study.db")


def freeze(study: Study, *processes: subprocess.Popen[str]) -> None:
    """Stop searches that have a worker each, all of them in the middle of a trial."""
    while True:
        study.wait_for(finished=1, running=len(processes))
        for process in processes:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        if study.count("RUNNING") == len(processes):
            return
        for process in processes:
            process.send_signal(signal.SIGCONT)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return out


def test_two_commands_share_a_study(start: Start, database: str) -> None:
    """Each used to run the whole plan: 24 trials for 12."""
    words = (f"study.storage='{database}'",)
    commands = [start(*words), start(*words)]
    printed = [finish(command) for command in commands]
    study = Study(database)
    assert study.places() == list(range(6))
    assert study.count("RUNNING", "FAIL") == 0
    assert printed[0] == printed[1]
    assert "best of 6 trials" in printed[0]
    assert read_tuned(Path("results/proxy/tuned.yaml")).trials == 6


def test_what_a_killed_command_was_at_is_done_by_the_other(start: Start, study: Study) -> None:
    doomed, other = start(ENDLESS), start(ENDLESS)
    freeze(study, doomed, other)
    doomed.kill()
    doomed.wait()
    places = study.count("COMPLETE", "PRUNED") + 2
    other.send_signal(signal.SIGCONT)
    study.wait_for(finished=places, running=1)
    other.send_signal(signal.SIGINT)
    other.communicate(timeout=SECONDS)
    assert study.places() == list(range(len(study.places()))), "that of the killed one is among them"
    assert study.count("RUNNING") == 0


def test_a_killed_search_goes_on_at_once_as_if_it_had_not_been(start: Start, study: Study, tmp_path: Path) -> None:
    killed = start(ENDLESS)
    study.wait_for(finished=3, running=1)
    freeze(study, killed)
    killed.kill()
    killed.wait()
    assert study.count("RUNNING") == 1, "it was killed in a trial"
    count = len(study.places()) + 3
    whole = start(f"tuning.n_trials={count}", "study.name=whole")
    finish(start(f"tuning.n_trials={count}"))
    finish(whole)
    assert study.points() == Study(f"sqlite:///{tmp_path}/results/whole/study.db").points()
    assert study.places() == list(range(count))
    assert study.count("RUNNING") == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_that_is_asked_to_end_leaves_no_trial_running(
    start: Start, study: Study, number: signal.Signals, code: int, workers: int
) -> None:
    command = start(ENDLESS, f"workers={workers}")
    study.wait_for(finished=1, running=workers)
    for _ in range(2):  # Python drops what a signal raises within a finalizer, once in a while: one asks again
        command.send_signal(number)
        begun = study.begun()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.communicate(timeout=SECONDS / 2)
            break
    assert command.returncode == code
    assert study.count("RUNNING") == 0
    assert len(study.places()) >= 1
    assert study.begun() <= begun + workers, "it ends at once"


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_workers_end_with_the_command_that_is_killed(start: Start, study: Study) -> None:
    """They used to go on with what was queued, beside the next command, and then to stay for ever."""
    command = start(ENDLESS, "workers=2")
    study.wait_for(finished=1, running=2)
    workers = children(command.pid)
    assert len(workers) >= 2
    command.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    count = len(study.places()) + 3
    finish(start(f"tuning.n_trials={count}"))
    assert study.places() == list(range(count))
    assert study.count("RUNNING") == 0


def test_a_command_says_that_it_waits_for_another(start: Start, study: Study) -> None:
    sleeping = start(ENDLESS)
    freeze(study, sleeping)
    waiting = start(f"tuning.n_trials={len(study.places()) + 1}")  # all that it lacks is what the other is at
    assert waiting.stderr is not None
    said = ""
    while "waiting for 1 of another command" not in said:
        letter = waiting.stderr.read(1)
        assert letter, said
        said += letter
    sleeping.send_signal(signal.SIGCONT)
    assert "best of " in finish(waiting)
    sleeping.send_signal(signal.SIGINT)
    sleeping.communicate(timeout=SECONDS)
    assert sleeping.returncode == 130
    assert study.places() == list(range(len(study.places())))
