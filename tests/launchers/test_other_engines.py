"""Workers of joblib and Ray, and submission by submitit: each where its package is installed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from smupar_transfer.launchers import other_engines, run_jobs
from smupar_transfer.launchers.other_engines import submit_with_submitit
from smupar_transfer.theory import InputError


def kill_or_name(number: int) -> str:
    if number:
        os.kill(os.getpid(), number)
    return Path.cwd().name


@pytest.mark.parametrize("name", ["joblib", pytest.param("ray", marks=pytest.mark.timeout(250))])
def test_a_dead_worker_is_replaced_and_the_rest_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    jobs = [0, int(signal.SIGKILL), 0]
    outcomes = list(run_jobs(kill_or_name, jobs, 2, name, failed=lambda job, reason: f"{job}: {reason}"))
    assert outcomes.count(tmp_path.name) == 2
    (failed,) = (outcome for outcome in outcomes if outcome != tmp_path.name)
    assert failed.startswith("9: its ")
    assert failed.endswith(", 3 times")


@pytest.mark.parametrize("name", ["joblib", "ray", "submitit"])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)

    def start() -> None:
        if name == "submitit":
            submit_with_submitit(lambda: 0, 1, Path("submitted"))
        else:
            list(run_jobs(kill_or_name, [0], 1, name))

    with pytest.raises(InputError, match=rf"^launcher={name}: .*pip install 'smupar-transfer\[{name}\]'"):
        start()


@pytest.mark.parametrize("text", ["{", "[1]", "4", "[" * 100_000])
def test_options_that_are_no_json_object_are_told(text: str) -> None:
    with pytest.raises(InputError, match=r"^SMUPAR_RAY_OPTIONS=.*JSON"):
        other_engines._options(other_engines.RAY_OPTIONS, text)
    assert other_engines._options(other_engines.RAY_OPTIONS, '{"num_cpus": 4}') == {"num_cpus": 4}
    assert other_engines._options(other_engines.RAY_OPTIONS, None) == {}


class Note:
    """A command that leaves a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> int:
        (self.folder / f"ran{os.getpid()}").touch()
        return 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody waits for what it starts
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_submitit_runs_a_command_so_many_times_and_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    said = submit_with_submitit(Note(tmp_path), 2, tmp_path / "submitted")
    assert said.startswith("submitted 2 workers to local: ")
    given_up = time.monotonic() + 120
    while len(list(tmp_path.glob("ran*"))) < 2:
        assert time.monotonic() < given_up
        time.sleep(0.05)
