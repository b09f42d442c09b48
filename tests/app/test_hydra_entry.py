"""From words to a command's body: repeated calls, several runs at once, and errors of every origin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import NoReturn

import pytest
from hydra.core.global_hydra import GlobalHydra

import smupar_transfer
from smupar_transfer.app import hydra_entry
from smupar_transfer.app.commands import explain
from smupar_transfer.app.endings import CheckFailedError, CheckUndecidedError, ExitCode
from smupar_transfer.records import RunStore

Run = Callable[..., CompletedProcess[str]]


def test_calls_do_not_see_each_other(smupar: Run, tiny: tuple[str, ...]) -> None:
    first = smupar("explain", *tiny, "target.width=32", "format=csv")
    assert smupar("explain", *tiny, "model.widht=8").returncode == 2
    assert smupar("train", *tiny, "target.sparsity=2").returncode == 2
    assert smupar("explain", *tiny, "target.width=64", "format=csv").stdout != first.stdout
    assert smupar("explain", *tiny, "target.width=32", "format=csv").stdout == first.stdout
    assert not GlobalHydra.instance().is_initialized()


def test_a_command_leaves_no_files_of_hydras_own(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    assert smupar("explain", *tiny).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_multirun_trains_every_value(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("train", "--multirun", "seed=0,1", *tiny)
    assert result.returncode == 0, result.stderr
    assert {record.spec.seed for record in RunStore(Path("results/train"))} == {0, 1}


def test_multirun_may_follow_other_keys(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("explain", *tiny, "--multirun", "seed=0,1")
    assert result.returncode == 0, result.stderr


def test_multirun_ends_with_the_message_of_the_run_that_failed(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("train", "--multirun", "target.sparsity=0.5,1.5", *tiny)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("smupar: target.sparsity=1.5: must lie in [0, 1)")
    assert len(list(RunStore(Path("results/train")))) == 1


def test_a_multirun_of_processes(smupar: Run, tiny: tuple[str, ...]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "seed=0,1", *tiny)
    assert smupar("train", "--multirun", *words).returncode == 0
    assert {record.spec.seed for record in RunStore(Path("results/train"))} == {0, 1}


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        (["model.widht=16"], ["model.widht", "did you mean model.width?"]),
        (["tagret=proxy"], ["tagret", "did you mean target?"]),
        (["xyzzy=1"], ["xyzzy", "--help"]),
        (["model=gptt"], ["model=gptt", "gpt, gpt_swiglu, mlp"]),
        (["model=schema"], ["model=schema"]),
        (["budget.steps=many"], ["budget.steps", "many", "Integer"]),
        (["hparams.learning_rate=fast"], ["hparams.learning_rate", "fast", "Float"]),
        (["data.path"], ["data.path"]),
        (["seed=[0"], ["[0"]),
        (["model=mlp", "model.head_dim=8"], ["model.head_dim"]),
    ],
)
def test_errors_of_the_configuration_are_one_line(smupar: Run, words: list[str], needles: list[str]) -> None:
    result = smupar("train", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("smupar: ")
    assert all(needle in result.stderr for needle in needles), result.stderr


def test_a_key_is_not_suggested_for_itself(smupar: Run) -> None:
    assert "did you mean model.head_dim?" not in smupar("train", "model=mlp", "model.head_dim=8").stderr


@pytest.mark.parametrize("command", ["sweep", "plot"])
def test_a_missing_name_is_one_line(smupar: Run, command: str) -> None:
    result = smupar(command)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "sweep" in result.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["--cfg", "nonsense"]])
def test_an_unknown_flag_exits_2(smupar: Run, words: list[str]) -> None:
    result = smupar("train", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"smupar: {words[0]}")


@pytest.mark.parametrize("flag", ["--version", "--vers"])
def test_the_version_is_that_of_the_package_behind_a_command_too(smupar: Run, flag: str) -> None:
    assert smupar("train", flag).stdout.strip() == smupar_transfer.__version__


def test_ctrl_c_is_one_line(smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "run", interrupted)
    result = smupar("explain", *tiny)
    assert result.returncode == 130
    assert result.stderr.split("\n") == ["", "smupar: interrupted; run the same command again to go on", ""]


@pytest.fixture
def signals() -> Iterator[None]:
    """Handlers of this process are its own again afterwards."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)])
def test_a_signal_lets_a_command_clear_up_and_has_its_exit_code(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """SIGHUP and SIGUSR1 used to end Python on the spot, and left workers behind."""
    cleared: list[bool] = []

    def run(config: object) -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleared.append(True)

    monkeypatch.setattr(explain, "run", run)
    assert smupar("explain", *tiny).returncode == code
    assert cleared == [True]


@pytest.mark.usefixtures("signals")
def test_a_command_outlives_its_terminal_under_nohup(smupar: Run, tiny: tuple[str, ...]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert smupar("explain", *tiny).returncode == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_programming_error_shows_where_it_is_and_is_never_taken_for_a_verdict(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 says that a check failed: a traceback with that code once passed for "SuPar drifts"."""

    def broken(config: object) -> NoReturn:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(explain, "run", broken)
    result = smupar("explain", *tiny)
    assert result.returncode == ExitCode.CRASHED
    assert result.returncode not in (ExitCode.CHECK_FAILED, ExitCode.BAD_INPUT, ExitCode.UNDECIDED)
    assert "ZeroDivisionError: a bug" in result.stderr
    assert result.stderr.splitlines()[-1] == "smupar: this is a fault of smupar itself, not of your input"
    assert "Error executing job with overrides" not in result.stderr


@pytest.mark.parametrize(
    ("ending", "code"), [(CheckFailedError("it drifts"), 1), (CheckUndecidedError("it is open"), 3)]
)
def test_a_checks_endings_have_codes_of_their_own(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, ending: Exception, code: int
) -> None:
    def judged(config: object) -> NoReturn:
        raise ending

    monkeypatch.setattr(explain, "run", judged)
    result = smupar("explain", *tiny)
    assert (result.returncode, result.stderr) == (code, f"smupar: {ending}\n")


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_reader_that_goes_away_is_no_error(tiny: tuple[str, ...], form: str) -> None:
    command = [sys.executable, "-m", "smupar_transfer.app.main", "explain", f"format={form}", *tiny]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert (process.wait(), err) == (0, "")


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ([], None),
        (["seed=1"], None),
        (["--config-dir", "own"], "own"),
        (["seed=1", "-cd", "own"], "own"),
        (["--config-dir=own", "seed=1"], "own"),
        (["--config-dir"], None),
    ],
)
def test_the_folder_of_own_configurations_is_found(words: list[str], folder: str | None) -> None:
    assert hydra_entry._config_dir(words) == folder


def test_a_sweeps_settings_come_before_those_of_the_person(grid_file: Path) -> None:
    name = str(grid_file)
    assert hydra_entry._expand_name("plan", [name, "seed=1"]) == ["target.width=32", f"sweep={name}", "seed=1"]
    assert hydra_entry._expand_name("plan", [name, "++target.width=8"]) == [f"sweep={name}", "++target.width=8"]
    assert hydra_entry._expand_name("plot", [name, "results_dir=x"]) == [f"sweep={name}", "results_dir=x"]
    assert hydra_entry._expand_name("plan", ["seed=1", name]) == ["target.width=32", f"sweep={name}", "seed=1"]
    assert hydra_entry._expand_name("plan", ["seed=1", f"sweep={name}"]) == [
        "target.width=32",
        f"sweep={name}",
        "seed=1",
    ]
    assert hydra_entry._expand_name("plan", [f"sweep='{name}'"]) == ["target.width=32", f"sweep={name}"]
    for word in ("sweep=", "sweep=''", "~sweep"):
        assert hydra_entry._expand_name("plan", [word]) == [word]
    assert hydra_entry._expand_name("coordinates", [f"sweep={name}"]) == ["target.width=32", f"sweep={name}"]
    assert hydra_entry._expand_name("plot", ["-cd", "own", name]) == [f"sweep={name}", "-cd", "own"]
    for words in (["seed=1"], ["--help"], ["-cd", "own"], ["--info", "defaults"], []):
        assert hydra_entry._expand_name("plan", words) == words
    assert hydra_entry._expand_name("train", ["grid"]) == ["grid"]


def test_the_folder_of_sweeps_is_told_to_hydra(smupar: Run) -> None:
    assert smupar("train", "--cfg", "job").returncode == 0
    assert Path(os.environ["SMUPAR_SWEEPS"], "tuning").is_dir()
