"""Tab completion."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.sweeps.files import shipped_sweeps

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def completions(smupar: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    def query(line: str) -> set[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        result = smupar("-sc", "query=bash")
        assert (result.returncode, result.stderr) == (0, "")
        return set(result.stdout.split())

    return query


def test_commands_come_first(completions: Callable[[str], set[str]]) -> None:
    assert completions("smupar ") == set(COMMANDS)
    assert completions("smupar nosuch ") == set()


@pytest.mark.parametrize("command", ["plot", "status", "plan"])
def test_then_names_of_sweeps(completions: Callable[[str], set[str]], command: str) -> None:
    assert completions(f"smupar {command} ") >= set(shipped_sweeps())


def test_names_of_sweeps_and_of_coordinate_checks_are_told_apart(completions: Callable[[str], set[str]]) -> None:
    trained, checked = completions("smupar sweep "), completions("smupar coordinates ")
    assert checked == {"coordinates_by_sparsity", "coordinates_by_width"}
    assert trained == set(shipped_sweeps()) - checked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("smupar tra", {"transfer", "train"}),
        ("smupar sweep lr_by_w", {"lr_by_width"}),
        ("smupar sweep xyzzy", set()),
    ],
)
def test_what_is_typed_already_narrows_the_choice(
    completions: Callable[[str], set[str]], line: str, expected: set[str]
) -> None:
    assert completions(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("smupar train target.w", "target.width="),
        ("smupar train model=gp", "model=gpt"),
        ("smupar tune tuning=", "tuning=with_weight_decay"),
        ("smupar sweep lr_by_sparsity budget.st", "budget.steps="),
        ("smupar plan target.sp", "target.sparsity="),
        ("smupar coordinates target.wid", "target.width="),
        ("smupar coordinates coordinates_by_width worke", "workers="),
    ],
)
def test_keys_and_options_of_a_command(completions: Callable[[str], set[str]], line: str, expected: str) -> None:
    assert expected in completions(line)


def test_it_can_be_installed(smupar: Run) -> None:
    result = smupar("-sc", "install=bash")
    assert result.returncode == 0
    assert "smupar" in result.stdout
    assert smupar("--shell-completion", "install=bash").stdout == result.stdout


@pytest.mark.parametrize("words", [[], ["nonsense"], ["install=nosuchshell"]])
def test_a_wrong_request_is_refused_without_a_traceback(smupar: Run, words: list[str]) -> None:
    result = smupar("-sc", *words)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
