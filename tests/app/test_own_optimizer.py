"""An optimizer in one file of a person's own trains, is explained and is searched, in every process of a command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
PLUGIN = ("--plugin", "my_lion")


@pytest.fixture
def command(python: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in a process of its own, which alone keeps what the documentation's module registers."""
    (module,) = re.findall(r"```python\n(# my_lion\.py\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_lion.py").write_text(module, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> CompletedProcess[str]:
        return python("-W", "error", "-m", "smupar_transfer", *words)

    return run


def test_it_is_explained_and_trained_like_those_of_the_package(
    command: Run, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    explained = command("explain", *tiny, "target.width=64", "optimizer=lion", *PLUGIN)
    assert (explained.returncode, explained.stderr) == (0, "")
    assert explained.stdout.startswith("SμPar with lion")
    trained = command("train", *tiny, "optimizer.name=lion", "optimizer.beta2=0.99", "name=own", *PLUGIN)
    assert trained.returncode == 0, trained.stderr
    record = json.loads((tmp_path / "results" / "own" / "record.json").read_text(encoding="utf-8"))
    assert record["spec"]["optimizer"]["name"] == "lion"
    page = (tmp_path / "results" / "own" / "report.html").read_text(encoding="utf-8")
    assert "lion, beta1 0.9, beta2 0.99, independent weight decay" in page


def test_what_it_does_not_read_and_what_nobody_registered_are_refused(command: Run, tiny: tuple[str, ...]) -> None:
    unread = command("explain", *tiny, "optimizer=lion", "optimizer.epsilon=1e-3", *PLUGIN)
    assert unread.returncode == 2
    assert unread.stderr == "smupar: optimizer.epsilon=0.001: is not read by lion; leave it out\n"
    unknown = command("explain", *tiny, "optimizer.name=lion")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("smupar: optimizer.name=lion: is not one of adamw, sgd")
    assert "one of your own is registered by a module that is named with --plugin" in unknown.stderr


def test_workers_know_it_and_records_are_read_with_it(command: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    """Guards against workers, which are fresh processes, that know the package's optimizers alone."""
    done = command("sweep", str(grid_file), *tiny, "optimizer=lion", "workers=2", *PLUGIN)
    assert done.returncode == 0, done.stderr
    again = command("plot", grid_file.stem)
    assert again.returncode == 2
    assert "registered by a module that is named with --plugin" in again.stderr
