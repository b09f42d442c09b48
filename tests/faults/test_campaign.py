"""Faults inflicted on running commands: the short form of the campaign, and that it sees what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fault_campaign import SHORT, Chain, page, planned
from faults.commands import FAMILIES
from faults.state import State, faults_of

ROOT = Path(__file__).resolve().parents[2]
RECORD = {"key": "a", "validation_loss": 2.0}
GOOD = State({"a": [RECORD]}, {0: [("COMPLETE", 2.0, {"x": 1.0})]}, 0, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked from one process")
def test_nothing_is_lost_when_something_dies(tmp_path: Path) -> None:
    """In a process of its own: forking one whose library computes with threads would hang."""
    script = ROOT / "scripts" / "fault_campaign.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "--short", "--output", str(tmp_path / "report")]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = (tmp_path / "report" / "chains.jsonl").read_text().splitlines()
    chains = [Chain(**json.loads(line)) for line in lines]
    assert [chain for chain in chains if chain.wrong] == [], ended.stderr
    assert ended.returncode == 0
    assert [(chain.family, chain.fault) for chain in chains] == list(SHORT)
    assert sum(chain.hits for chain in chains) >= len(SHORT) - 3, "a few may come after the end"


def written(folder: Path, records: list[dict[str, object]]) -> Path:
    (folder / "grid").mkdir()
    lines = [json.dumps({"schema": 1, "wall_seconds": 1.0, **record}) for record in records]
    (folder / "grid" / "records.jsonl").write_text("\n".join([*lines, ""]))
    return folder


def test_what_was_lost_changed_or_left_is_seen(tmp_path: Path) -> None:
    """The control: a result in which something is wrong."""
    family, runs = FAMILIES["sweep"], replace(GOOD, trials={})
    results = written(tmp_path, [RECORD])
    assert list(faults_of(results, family, runs, ordered=True)) == []
    path = results / "grid" / "records.jsonl"
    whole = path.read_text()
    for text, said in (
        ("", "1 records lost, 0 too many"),
        (whole * 2, "2 records of one run"),
        (whole.replace("2.0", "2.0000000000000004"), "record a differs"),
    ):
        path.write_text(text)
        assert list(faults_of(results, family, runs, ordered=True)) == [said]
    path.write_text(whole)
    (results / "grid" / ".half").touch()
    assert list(faults_of(results, family, runs, ordered=True)) == ["1 half files, as grid/.half"]
    assert "0 trials in 0 of 1 places" in list(faults_of(results, family, GOOD, ordered=True))


def test_every_fault_hits_every_command_that_it_can(tmp_path: Path) -> None:
    pairs = planned(400, 0)
    assert {name for name, _ in pairs} == set(FAMILIES)
    assert pairs == planned(400, 0)
    assert ("sweep", "database locked for seconds") not in pairs
    text = page([Chain(0, "tune", "SIGKILL to the command", 3, ["something"])], 0, "python it")
    assert "3 faults hit 1 commands" in text
    assert "- tune, SIGKILL to the command (0): something" in text
