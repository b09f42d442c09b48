"""The console script itself: help, version, misspelt commands, and how soon it answers."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import smupar_transfer
from smupar_transfer.app.catalogue import COMMANDS, TAKES_NAME
from smupar_transfer.app.main import help_text, main

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_every_command(smupar: Run, word: str) -> None:
    result = smupar(word)
    assert (result.returncode, result.stderr) == (0, "")
    for command, summary in COMMANDS.items():
        assert f"  {command} " in result.stdout
        assert summary in result.stdout
    assert smupar_transfer.__version__ in result.stdout


def test_the_examples_of_the_help_are_commands() -> None:
    examples = [line.split() for line in help_text().splitlines() if line.startswith("  smupar ")]
    assert len(examples) >= 5
    assert {words[1] for words in examples} <= set(COMMANDS)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path, words: list[str]) -> None:
    """As of ``smupar --help | head -1``, whose pipe is closed before Python has written it all."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "smupar_transfer", *words]
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_arguments_it_shows_the_help_and_fails(smupar: Run) -> None:
    result = smupar()
    assert result.returncode == 2
    assert result.stdout == smupar("--help").stdout


def test_version(smupar: Run) -> None:
    assert smupar("--version").stdout.strip() == smupar_transfer.__version__


@pytest.mark.parametrize(
    ("word", "hint"),
    [("tarin", "did you mean train?"), ("sweeep", "did you mean sweep?"), ("xyzzy", "choose one of demo, tune,")],
)
def test_a_misspelt_command_gets_a_suggestion(smupar: Run, word: str, hint: str) -> None:
    result = smupar(word, "model.width=16")
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"smupar: no command '{word}': {hint}")


def test_arguments_default_to_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["smupar", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.strip() == smupar_transfer.__version__


def test_every_command_has_a_body_and_a_configuration() -> None:
    bodies = {path.stem for path in (Path(smupar_transfer.__file__).parent / "app" / "commands").glob("[a-z]*.py")}
    assert bodies == set(COMMANDS)
    assert set(TAKES_NAME) <= set(COMMANDS)


@pytest.mark.parametrize("words", [["help", "train"], ["--help", "train"], ["train", "help"], ["train", "-h"]])
def test_help_of_a_command_is_asked_for_in_any_form(smupar: Run, words: list[str]) -> None:
    result = smupar(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == smupar("train", "--help").stdout


def test_help_of_an_unknown_command_is_refused(smupar: Run) -> None:
    assert smupar("help", "tarin").stderr == "smupar: no command 'tarin': did you mean train?\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--multirun", "train", "seed=0,1"], "--multirun: the command comes first; write smupar train --multirun"),
        (["model.width=64"], "model.width=64: the command comes first; write smupar COMMAND model.width=64"),
        (["TRAIN"], "no command 'TRAIN': did you mean train?"),
        (["train.py"], "no command 'train.py': did you mean train?"),
        ([""], "no command '': choose one of demo, tune,"),
    ],
)
def test_a_first_word_that_is_no_command_is_one_line(smupar: Run, words: list[str], says: str) -> None:
    result = smupar(*words)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert result.stderr.startswith(f"smupar: {says}")


def test_the_package_runs_as_the_command_does(python: Run, smupar: Run) -> None:
    result = python("-m", "smupar_transfer", "--help")
    assert (result.returncode, result.stdout) == (0, smupar("--help").stdout)
    assert python("-m", "smupar_transfer", "tarin").returncode == 2


def test_bytes_that_are_no_utf8_are_told_in_one_line(tmp_path: Path) -> None:
    command = [os.fsencode(sys.executable), b"-m", b"smupar_transfer", b"train", b"data=text", b"data.path=\xff.txt"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert b": is not UTF-8" in result.stderr


def test_help_costs_next_to_nothing(python: Run) -> None:
    """Processor time beyond that of Python itself, which is less than a tenth of a second: the best of five calls."""

    def cost(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cost("-c", "pass") for _ in range(5))
    assert min(cost("-m", "smupar_transfer", "--help") for _ in range(5)) - bare < 0.1


@pytest.mark.parametrize(
    ("words", "code", "seconds"), [(["--help"], 0, 1.0), (["tarin"], 2, 1.0), (["tune", "--help"], 0, 3.0)]
)
def test_it_answers_at_once(python: Run, words: list[str], code: int, seconds: float) -> None:
    """Processor time of the best of three calls: on a busy machine the clock says more about its other work."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = python("-m", "smupar_transfer.app.main", *words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert result.returncode == code, result.stderr
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if times[-1] < seconds:
            return
    pytest.fail(f"the fastest of three calls took {min(times):.2f} s")


TARGET = ("target.width=256", "target.sparsity=0.9375")
HEAVY = {"torch._dynamo", "sympy", "optuna", "sqlalchemy", "matplotlib", "pandas", "scipy", "jinja2"}
"""What takes longest to import beside PyTorch itself, and is not needed to tell of a network that nobody trains."""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        # nor the package's own rooms: a Ctrl-C before `main` has begun would be answered with a traceback
        (["--help"], {"torch", "hydra", "omegaconf", "optuna", "numpy", "yaml", "rich", "smupar_transfer.theory"}),
        (["tarin"], {"torch", "hydra", "omegaconf", "optuna", "numpy", "yaml", "rich"}),
        (["tune", "--help"], {"torch", "optuna", "matplotlib", "pandas"}),
        (["explain", *TARGET], HEAVY),
        (["transfer", *TARGET], HEAVY),
        (["export", "--help"], HEAVY),
    ],
)
def test_it_imports_nothing_heavy_to_answer(python: Run, words: list[str], unwanted: set[str]) -> None:
    program = (
        "import sys\n"
        "from smupar_transfer.app.main import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit:\n    pass\n"
        f"print('loaded:', sorted({unwanted!r} & set(sys.modules)))\n"
    )
    result = python("-c", program)
    assert result.stdout.splitlines()[-1] == "loaded: []", result.stderr
