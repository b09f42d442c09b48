"""What docs/cluster.md shows, and the Slurm script that it is about."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from smupar_transfer.app.main import main
from smupar_transfer.launchers import launcher_names
from smupar_transfer.records.claims import EXPIRY_SECONDS, HEARTBEAT_SECONDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
SCRIPT = ROOT / "scripts" / "slurm" / "workers.sh"
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]
SMUPAR = """#!/bin/sh
trap 'echo told; exit 143' TERM
echo "$PWD: $*"
while [ -e wait ]; do sleep 0.05; done
"""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_composes(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--cfg", "job"]) == 0, capsys.readouterr().err


def test_every_launcher_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Launchers")[2].partition("\n## ")[0], flags=re.MULTILINE)
    assert rows == launcher_names()


def test_the_times_of_a_claim_are_those_of_the_code() -> None:
    assert f"renews every {HEARTBEAT_SECONDS:.0f} seconds" in PAGE
    assert f"after {EXPIRY_SECONDS:.0f} seconds" in PAGE


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Run the script as a task of an array does, with a program in the place of smupar that says what it got."""
    (folder / "bin").mkdir()
    (folder / "bin" / "smupar").write_text(SMUPAR)
    (folder / "bin" / "smupar").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_CPUS_PER_TASK": "4",
    }
    return subprocess.Popen(["bash", str(SCRIPT), *words], stdout=subprocess.PIPE, text=True, env=environment, cwd="/")


def test_a_task_of_the_array_gives_the_command_with_its_cores(tmp_path: Path) -> None:
    with start(tmp_path, "sweep", "lr_by_sparsity", "data.path=my text") as task:
        assert task.communicate()[0] == f"{tmp_path}: sweep workers=1 threads=4 lr_by_sparsity data.path=my text\n"
    assert task.returncode == 0


def test_a_task_without_a_command_says_how_it_is_used(tmp_path: Path) -> None:
    with start(tmp_path) as task:
        task.communicate()
    assert task.returncode == 2


def test_the_signal_of_a_time_limit_reaches_the_command(tmp_path: Path) -> None:
    """Slurm sends it to the shell of the task alone (``--signal=B:``), in whose place the command runs."""
    (tmp_path / "wait").touch()
    with start(tmp_path, "sweep", "grid") as task:
        assert task.stdout is not None
        assert "grid" in task.stdout.readline()
        task.terminate()
        assert task.stdout.read() == "told\n"
    assert task.returncode == 143


def test_the_script_is_an_array_that_is_told_before_its_end() -> None:
    options = re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {"array", "time", "cpus-per-task", "mem"} <= {name for name, _ in options}
    assert ("signal", "B:TERM@120") in options
    assert not any("/" in value for _, value in options), "it names no folder and no cluster"


def test_words_of_the_script_compose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "workers=1", "threads=4", "lr_by_sparsity", "threads=8", "--cfg", "job"]
    assert main(words) == 0, capsys.readouterr().err
    assert "threads: 8" in capsys.readouterr().out
