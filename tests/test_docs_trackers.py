"""What docs/trackers.md says is so: names, keys and states are those of the code, and its own tracker works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from smupar_transfer.theory import Role
from smupar_transfer.training import RunState, tracker_names
from smupar_transfer.training.trackers.mlflow import STATUS
from smupar_transfer.training.trackers.wandb import GOOD
from tests.app.conftest import BUDGET, SHAPE, write_corpus

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "trackers.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its header."""
    section = PAGE.partition(f"{heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return cells[2:]


def test_every_tracker_has_a_row() -> None:
    assert [f"`{name}`" for name in tracker_names()[1:]] == [row[0] for row in rows("# Trackers")]


def test_every_state_has_a_row() -> None:
    said = [tuple(cell.strip("`") for cell in (row[0], row[2], row[3])) for row in rows("## How runs end")]
    assert said == [(str(state), "0" if state in GOOD else "1", STATUS[state]) for state in RunState]


def test_the_tracker_of_ones_own_is_told_what_the_page_says(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "my_tracker.py").write_text(block, encoding="utf-8")
    corpus = write_corpus(tmp_path / "corpus.txt")
    words = (*SHAPE, *BUDGET, "model.tied=false", "data=text", f"data.path={corpus}")
    (line,) = re.findall(r"^    smupar (.+)$", PAGE, flags=re.MULTILINE)
    program = [sys.executable, "-W", "error", "-m", "smupar_transfer", *line.split(), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results" / "train" / "trackers").iterdir()
    _, *told = [json.loads(row) for row in file.read_text(encoding="utf-8").splitlines()]
    keys = {key for row in told for key in row} - {"step"}
    named = {name for row in rows("## What is logged") for name in re.findall(r"`(\w+(?:/\w+)?)`", row[0])}
    assert keys == (named - {"update_ratio/ROLE"}) | {f"update_ratio/{role}" for role in Role}
