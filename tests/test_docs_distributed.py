"""What docs/distributed.md says is so: its commands compose, and two processes do what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from smupar_transfer.app.main import main
from smupar_transfer.records import RunRecord, RunStore
from smupar_transfer.training import read_checkpoint
from smupar_transfer.training.checkpoint_files import KEEP
from smupar_transfer.training.distributed.ranks import SHARINGS
from smupar_transfer.training.interruption import ENDINGS
from tests.app.conftest import BUDGET, SHAPE, write_corpus

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
COMMANDS = [line for line in LINES if not line.startswith("#")]


def words_of(command: str) -> list[str]:
    """The words behind the program, however it is started."""
    words = shlex.split(command)
    start = words.index("smupar_transfer" if "smupar_transfer" in words else "smupar")
    return words[start + 1 :]


def test_there_are_commands() -> None:
    assert [command.startswith(("torchrun", "exec torchrun")) for command in COMMANDS].count(True) == 5
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words_of(command), "--cfg", "job"]) == 0, capsys.readouterr().err


def test_numbers_and_names_are_those_of_the_code() -> None:
    assert f"says how many\nare kept ({KEEP})" in PAGE
    assert re.findall(r"^\| `distributed=(\w+)`", PAGE, flags=re.MULTILINE) == list(SHARINGS)
    assert "exit code 130, 143, 129 or 138" in PAGE
    assert [128 + number for number in ENDINGS] == [130, 143, 129, 138]


def started(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, or in several."""
    shared = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, env=shared, capture_output=True, text=True, check=False, timeout=200)


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")


def test_two_processes_train_write_and_print_once(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.txt")
    words = ("train", *SHAPE, *BUDGET, "data=text", f"data.path={corpus}", "target.sparsity=0.5")
    done = started(tmp_path, *TORCHRUN, "-m", "smupar_transfer", *words, "distributed=fsdp")
    assert done.returncode == 0, done.stderr
    record = record_in(tmp_path)
    assert done.stdout.count(f"run {record.key}") == done.stdout.count("wrote results/train/report.html") == 1
    assert done.stderr.count("4/4") == done.stderr.count("training") > 0
    assert (record.environment.processes, record.environment.distributed) == (2, "fsdp over gloo")
    checkpoint = tmp_path / "results/train/checkpoints" / f"{record.key}.pt"
    assert checkpoint.is_dir()
    assert read_checkpoint(checkpoint)["progress"]["step"] == 4
    for folder in ("records.jsonl", "record.json"):
        (tmp_path / "results/train" / folder).unlink()
    alone = started(tmp_path, sys.executable, "-m", "smupar_transfer", *words)
    assert alone.returncode == 0, alone.stderr
    assert record_in(tmp_path).history == record.history, "the second command goes on where the first was"


def record_in(folder: Path) -> RunRecord:
    (record,) = RunStore(folder / "results/train")
    assert json.loads((folder / "results/train/record.json").read_text())["key"] == record.key
    return record


def test_what_all_refuse_is_said_once(tmp_path: Path) -> None:
    words = ("train", "data=text", "data.path=absent.txt", "distributed=ddp")
    done = started(tmp_path, *TORCHRUN, "-m", "smupar_transfer", *words)
    assert done.returncode == 1, "that of torchrun"
    lines = [line for line in done.stderr.splitlines() if line.startswith("smupar: ")]
    assert len(lines) == 1
    assert lines[0].startswith("smupar: data.path=absent.txt: ")
    assert done.stderr.count("exitcode  : 2") == 2
