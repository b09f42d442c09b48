from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bench.measure
import bench_sparse
from bench.cells import Cell, Measurement, Result, State, folder_of, keep, read
from bench.parts import PARTS
from smupar_transfer.training import machine_name

SCRIPT = Path(bench_sparse.__file__)
TINY = ["--widths", "64", "--tokens", "1x16", "--threads", "1", "--steps", "2", "--warmup", "1"]
PAGE = {"README.md", "cells.csv", "cells.jsonl"}
FIGURES = {f"{kind}_1x16_1.{suffix}" for kind in ("speed_up", "split") for suffix in ("png", "svg")}


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_cell_with_real_processes(tmp_path: Path) -> None:
    assert bench_sparse.main([*TINY, "--sparsities", "0.5", "--variants", "csr", "--output", str(tmp_path)]) == 0
    assert contents(tmp_path) == {"README.md", folder_of(tmp_path, machine_name()).name}
    (result,) = read(folder_of(tmp_path, machine_name()))
    assert result.cell == Cell(64, 0.5, 1, 16, 1)
    assert set(result.variants) == {"textbook", "csr"}
    assert all(len(each.seconds) == 2 for each in result.variants.values())
    assert contents(folder_of(tmp_path, machine_name())) == PAGE | FIGURES


def test_the_page_is_redrawn_from_the_command_line_without_torch(tmp_path: Path) -> None:
    measurement = Measurement((1.0,), 1, State(1, 1, 1, 1), dict.fromkeys(PARTS, 1.0))
    folder = folder_of(tmp_path, "a machine")
    keep(
        folder,
        Result(Cell(64, 0.5, 1, 16, 1), "a machine", {"torch": "2"}, {"textbook": measurement, "csr": measurement}),
    )
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--page-only", "--output", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert "torch" not in imported
    assert contents(folder) == PAGE | FIGURES
    assert "[a machine](a_machine/README.md)" in (tmp_path / "README.md").read_text()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Cells that were measured, by something quicker than training."""
    cells: list[Cell] = []

    def measure(cell: Cell, variants: tuple[str, ...], steps: int, _warmup: int, _seconds: float) -> Result:
        if len(cells) == 2:
            raise KeyboardInterrupt
        cells.append(cell)
        measurement = Measurement((1.0,) * steps, 1, State(1, 1, 1, 1), dict.fromkeys(PARTS, 1.0))
        return Result(cell, machine_name(), {"torch": "2"}, dict.fromkeys(variants, measurement))

    monkeypatch.setattr(bench.measure, "measure", measure)
    return cells


def test_an_interrupted_run_goes_on_where_it_stopped(asked: list[Cell], tmp_path: Path) -> None:
    options = [*TINY, "--sparsities", "0.5", "0.75", "0.875", "--variants", "csr", "--output", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        bench_sparse.main(options)
    assert [cell.sparsity for cell in asked] == [0.5, 0.75]
    asked.clear()
    assert bench_sparse.main(options) == 0
    assert [cell.sparsity for cell in asked] == [0.875]
    asked.clear()
    assert bench_sparse.main(options) == 0
    assert asked == []


def test_page_only_draws_what_is_there_with_what_a_person_wrote(asked: list[Cell], tmp_path: Path) -> None:
    options = [*TINY, "--sparsities", "0.5", "--variants", "csr", "--output", str(tmp_path)]
    bench_sparse.main(options)
    asked.clear()
    folder = folder_of(tmp_path, machine_name())
    (folder / "notes.md").write_text("## What limits it\n\nAttention.\n")
    (folder / "layer.md").write_text("## One layer\n\nFast.\n")
    (tmp_path / "notes.md").write_text("## Other machines\n\nNone.\n")
    assert bench_sparse.main(["--page-only", "--output", str(tmp_path)]) == 0
    assert asked == []
    written = (folder / "README.md").read_text()
    assert "## What limits it\n\nAttention.\n" in written
    assert written.endswith("## One layer\n\nFast.\n")
    assert (tmp_path / "README.md").read_text().endswith("## Other machines\n\nNone.\n")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--page-only"], "--output"),
        (["--variants", "quick"], "--variants"),
        (["--widths", "100"], "width"),
        (["--sparsities", "1.0"], "sparsity"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    options: list[str], named: str, asked: list[Cell], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_sparse.main([*options, "--output", str(tmp_path)]) == 2
    assert asked == []
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line


def test_another_machine_has_another_folder_and_both_are_on_the_page(asked: list[Cell], tmp_path: Path) -> None:
    measurement = Measurement((1.0,), 1, State(1, 1, 1, 1), dict.fromkeys(PARTS, 1.0))
    other = Result(Cell(64, 0.5, 1, 16, 1), "another", {"torch": "2"}, {"textbook": measurement})
    keep(tmp_path / "another", other)
    assert bench_sparse.main([*TINY, "--sparsities", "0.5", "--variants", "csr", "--output", str(tmp_path)]) == 0
    assert len(asked) == 1
    assert read(tmp_path / "another") == [other]
    written = (tmp_path / "README.md").read_text()
    assert "(another/README.md)" in written
    assert f"({folder_of(tmp_path, machine_name()).name}/README.md)" in written


def test_a_folder_of_this_name_with_cells_of_another_machine_is_refused(
    asked: list[Cell], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measurement = Measurement((1.0,), 1, State(1, 1, 1, 1), dict.fromkeys(PARTS, 1.0))
    folder = folder_of(tmp_path, machine_name())
    keep(folder, Result(Cell(64, 0.5, 1, 16, 1), "another", {}, {"textbook": measurement}))
    assert bench_sparse.main([*TINY, "--variants", "csr", "--output", str(tmp_path)]) == 2
    assert "holds cells of another machine (another)" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize("options", [["--tokens", "4"], ["--steps", "0"], ["--threads", "0"]])
def test_malformed_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        bench_sparse.main(options)
    assert exit_.value.code == 2
    assert options[0] in capsys.readouterr().err
