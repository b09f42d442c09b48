"""Mutants of every kind of file are refused in one line, or read as what they say: the short form of the fuzzing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz_files import fuzz, main
from hostile.subjects import SUBJECTS
from hostile.trial import Guard, judge
from smupar_transfer.theory import InputError

GUARD = Guard()
OTHERS = tuple(subject.name for subject in SUBJECTS if subject.name != "checkpoint")


def test_no_mutant_does_harm(tmp_path: Path) -> None:
    outcomes = fuzz(260, 7, tmp_path, GUARD, OTHERS)
    assert [outcome for outcome in outcomes if outcome.fault] == []
    assert {outcome.kind for outcome in outcomes} == set(OTHERS)
    refused = sum(outcome.refused for outcome in outcomes)
    assert len(outcomes) / 2 < refused < len(outcomes), "most are refused, and some still say something"


def complaint(_: Path) -> None:
    raise InputError("key", "value", "is wrong")


def crash(_: Path) -> None:
    raise KeyError("x")


def outside(path: Path) -> None:
    (path.parents[2] / "outside").write_text("x")


def running(_: Path) -> None:
    os.system("true")


def long_message(_: Path) -> None:
    error = InputError("key", "value", "is wrong")
    error.args = ("x" * 301,)
    raise error


READERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "refusal": (complaint, ""),
    "crash": (crash, "KeyError"),
    "file outside": (outside, "outside"),
    "program": (running, "os.system"),
    "long message": (long_message, "a message of 301 characters"),
}


@pytest.mark.parametrize("name", READERS)
def test_what_a_reader_does_wrong_is_seen(tmp_path: Path, name: str) -> None:
    """The control: readers that misbehave."""
    reader, fault = READERS[name]
    (tmp_path / "good" / "tuned").mkdir(parents=True)
    (tmp_path / "good" / "tuned" / "tuned.yaml").write_text("value: 1\n")
    subject = replace(next(subject for subject in SUBJECTS if subject.name == "tuned"), read=reader)
    outcome = judge(subject, 0, 0, tmp_path / "good", tmp_path / "scratch" / "mutant", GUARD)
    assert fault in outcome.fault
    assert bool(outcome.fault) == bool(fault)


def test_a_report_is_written(tmp_path: Path) -> None:
    assert main(["--mutants", "12", "--kinds", "tuned", "sweep", "--output", str(tmp_path)]) == 0
    counts = json.loads((tmp_path / "fuzz.json").read_text())["kinds"]
    text = (tmp_path / "README.md").read_text()
    assert set(counts) <= {"tuned", "sweep"}
    assert f"Of {sum(row['mutants'] for row in counts.values())} mutants" in text
