"""The benchmark of plans, in a short form: it measures what it says, and says on which processor."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest
import torch

from smupar_transfer.training import machine_name
from tests.hugging_face import transformers


@pytest.fixture(scope="module")
def script() -> ModuleType:
    transformers()
    return importlib.import_module("bench_plan")


def test_a_short_run_reports_both_and_the_processor(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["bench_plan.py", "--width", "64", "--steps", "2", "--layers", "2"])
    script.main()
    torch.set_num_threads(threads)
    first, steps, planning = capsys.readouterr().out.splitlines()
    assert first == f"{machine_name('cpu')}, one thread, processor time"
    assert re.fullmatch(r"planned GPT-2 of width 64 .*: \d\.\d+ \[\d\.\d+, \d\.\d+\] .*of 2 steps\)", steps)
    assert re.fullmatch(r"planning 2 blocks, 22 parameters, on meta: \d+\.\d\d s", planning)


def test_both_models_compute_in_every_turn(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of the pairing: with a clock that ticks twice as far for planned steps, all ratios are 2."""
    turns: list[str] = []
    made = iter(["bare", "planned"])

    def stepper(*_: object) -> object:
        name = next(made)
        return lambda: turns.append(name)

    def clock() -> float:
        return sum(2.0 if name == "planned" else 1.0 for name in turns)

    monkeypatch.setattr(script, "stepper", stepper)
    monkeypatch.setattr(script.time, "process_time", clock)
    assert script.ratios(64, 4) == [2.0] * 4
    assert turns[:4] == ["planned", "bare", "bare", "planned"]


@pytest.mark.parametrize("words", [["--width", "40"], ["--steps", "1"], ["--layers", "0"]])
def test_what_cannot_be_measured_is_refused(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench_plan.py", *words])
    with pytest.raises(SystemExit, match="2"):
        script.main()
    assert "--width takes multiples of 16" in capsys.readouterr().err
