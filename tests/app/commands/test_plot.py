"""``smupar plot``: everything drawn again from records, without torch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from smupar_transfer.records import RunStore

Run = Callable[..., CompletedProcess[str]]
Snapshot = Callable[[Path], dict[str, bytes]]

COMMITTED = Path(__file__).parents[3] / "results"
FIGURES = ("grid", "optimum", "regret", "learning")
DRAWN = (
    *(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")),
    *("summary.csv", "drift.csv", "README.md", "report.html"),
)


def test_it_redraws_the_same_files(smupar: Run, results: Path, snapshot: Snapshot) -> None:
    before = snapshot(results)
    for name in DRAWN:
        (results / "grid" / name).unlink()
    result = smupar("plot", "grid")
    assert (result.returncode, result.stderr) == (0, "")
    after = snapshot(results)
    assert [name for name in before if before[name] != after.get(name)] == []
    assert "optimal learning rate" in result.stdout
    assert "wrote results/grid/report.html" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_it_does_without_torch(python: Run, results: Path) -> None:
    for name in ("grid.png", "report.html"):
        (results / "grid" / name).unlink()
    program = (
        "import sys\n"
        "from smupar_transfer.app.main import main\n"
        "assert main(['plot', 'grid']) == 0\n"
        "print('loaded:', sorted({'torch', 'optuna', 'sympy'} & set(sys.modules)))\n"
    )
    result = python("-c", program)
    assert result.stdout.splitlines()[-1] == "loaded: []", result.stderr
    assert (results / "grid" / "grid.png").exists()
    assert (results / "grid" / "report.html").exists()


def test_the_largest_committed_result_is_drawn_in_seconds(smupar: Run, tmp_path: Path) -> None:
    committed = max(COMMITTED.glob("*/records.jsonl"), key=lambda path: path.stat().st_size).parent
    shutil.copytree(committed, tmp_path / "results" / committed.name)
    start = time.process_time()  # whatever else the machine does
    assert smupar("plot", committed.name).returncode == 0
    assert time.process_time() - start < 10


def test_a_sweep_that_was_run_by_its_path_is_found_by_it(smupar: Run, results: Path) -> None:
    assert smupar("plot", "elsewhere/grid.yaml").returncode == 0


def test_a_dot_in_a_name_is_part_of_it(smupar: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    grid_file.rename(tmp_path / "own" / "beta0.95.yaml")
    assert smupar("sweep", "beta0.95", *tiny, "--config-dir", "own").returncode == 0
    assert smupar("plot", "beta0.95").returncode == 0


def test_half_a_sweep_is_drawn_too(smupar: Run, results: Path) -> None:
    stored = results / "grid" / "records.jsonl"
    stored.write_text("".join(stored.read_text().splitlines(keepends=True)[:8]))
    result = smupar("plot", "grid")
    assert result.returncode == 0, result.stderr
    assert "8" in (results / "grid" / "README.md").read_text()


def test_records_of_other_settings_stay_out(smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path) -> None:
    summary = (results / "grid" / "summary.csv").read_text()
    assert smupar("sweep", "grid.yaml", *tiny, "budget.steps=5", "results_dir=other").returncode == 0
    assert Path("other/grid/summary.csv").read_text() != summary
    for record in RunStore(Path("other/grid")):
        RunStore(results / "grid").put(record)
    for command in (["plot", "grid"], ["sweep", "grid.yaml", *tiny]):
        assert smupar(*command).returncode == 0
        assert (results / "grid" / "summary.csv").read_text() == summary
    assert len(RunStore(results / "grid").keys()) == 24


def test_a_sweep_without_a_finished_run_is_refused(smupar: Run, results: Path) -> None:
    (results / "grid" / "records.jsonl").unlink()
    result = smupar("plot", "grid")
    assert result.returncode == 2
    assert result.stderr == "smupar: sweep=grid: has no finished run; run: smupar sweep grid\n"


def test_a_damaged_manifest_is_refused(smupar: Run, results: Path) -> None:
    (results / "grid" / "sweep.json").write_text('{"name": ')
    result = smupar("plot", "grid")
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: sweep=results/grid/sweep.json: is damaged")


def test_it_knows_no_keys_that_it_would_ignore(smupar: Run, results: Path) -> None:
    result = smupar("plot", "grid", "model.width=64")
    assert result.returncode == 2
    assert "model.width" in result.stderr
