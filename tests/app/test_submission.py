"""Commands that a batch system runs: what it is given, and that nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.app import main as entry
from smupar_transfer.app.submission import SubmittedCommand
from smupar_transfer.launchers import Launcher, registry

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def submissions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SubmittedCommand, int, Path]]:
    """What a launcher named ``batch`` was asked to run."""
    asked: list[tuple[SubmittedCommand, int, Path]] = []

    def submit(command: Callable[[], int], workers: int, folder: Path) -> str:
        assert isinstance(command, SubmittedCommand)
        asked.append((command, workers, folder))
        return "submitted"

    monkeypatch.setitem(registry._LAUNCHERS, "batch", Launcher(submit=submit))
    return asked


@pytest.mark.parametrize("command", ["sweep", "tune", "coordinates"])
def test_the_command_is_handed_on_and_nothing_is_trained(
    smupar: Run,
    grid_file: Path,
    tiny: tuple[str, ...],
    submissions: list[tuple[SubmittedCommand, int, Path]],
    command: str,
    tmp_path: Path,
) -> None:
    name = [str(grid_file)] if command == "sweep" else []
    result = smupar(command, *name, *tiny, "seed=0", "launcher=batch", "workers=3", "results_dir=out")
    assert result.returncode == 0, result.stderr
    ((made, workers, folder),) = submissions
    assert (workers, folder, made.folder) == (3, Path("out/submitted"), str(tmp_path))
    assert made.words[0] == command
    assert made.words[-2:] == ("workers=1", "launcher=processes")
    assert {"seed=0", "results_dir=out", *tiny} <= set(made.words)
    assert "launcher=batch" not in made.words
    title = {"sweep": "grid", "tune": "proxy", "coordinates": "coordinates_by_sparsity"}[command]
    assert f"smupar status {title} results_dir=out" in result.stdout
    assert list(tmp_path.glob("out/*/*.json*")) == []


def test_the_submitted_command_does_the_work(
    smupar: Run, grid_file: Path, tiny: tuple[str, ...], submissions: list[tuple[SubmittedCommand, int, Path]]
) -> None:
    words = ("sweep", str(grid_file), *tiny, "parametrization=sp", "launcher=batch")
    assert smupar(*words).returncode == 0
    assert submissions[0][0]() == 0
    assert Path("results/grid/records.jsonl").read_text().count("\n") == 6
    assert "nothing is trained" in smupar(*words).stdout, "what is done is drawn here"
    assert len(submissions) == 1


def test_a_submitted_command_that_fails_says_so_to_the_batch_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "main", lambda words: 2)
    with pytest.raises(RuntimeError, match="smupar sweep nothing: exit code 2"):
        SubmittedCommand(("sweep", "nothing"), ".")()


@pytest.mark.parametrize("command", ["sweep", "tune", "coordinates", "demo"])
def test_a_launcher_that_is_none_is_refused_before_anything_is_done(
    smupar: Run, grid_file: Path, tiny: tuple[str, ...], command: str, tmp_path: Path
) -> None:
    result = smupar(command, *([str(grid_file)] if command == "sweep" else []), *tiny, "launcher=slrum")
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: launcher=slrum: is no launcher")
    assert not (tmp_path / "results").exists()
