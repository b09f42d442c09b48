from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cells import FILE, Cell, Result, folder_of, is_measured, keep, read, read_machines, require_machine
from smupar_transfer.theory import InputError


def test_what_was_kept_is_read(results: list[Result], tmp_path: Path) -> None:
    assert read(tmp_path) == []
    for result in results:
        keep(tmp_path, result)
    assert read(tmp_path) == results


def test_a_line_of_an_earlier_version_is_read(results: list[Result], tmp_path: Path) -> None:
    """It does not say what its peaks include: everything."""
    keep(tmp_path, results[0])
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(', "peak_of_training": false', ""))
    assert "peak_of_training" not in path.read_text()
    assert read(tmp_path) == results[:1]
    assert not results[0].variants["auto"].peak_of_training


def test_a_cell_measured_again_takes_the_place_of_the_first(results: list[Result], tmp_path: Path) -> None:
    for result in results:
        keep(tmp_path, result)
    again = replace(results[0], versions={"torch": "3"})
    keep(tmp_path, again)
    assert read(tmp_path) == [*results[1:], again]


def test_only_a_cell_with_all_variants_counts_as_measured(results: list[Result]) -> None:
    cell = results[0].cell
    assert is_measured(cell, ("textbook", "auto"), results)
    assert not is_measured(cell, ("textbook", "native"), results)
    assert not is_measured(replace(cell, threads=2), ("textbook", "auto"), results)


def test_machines_do_not_mix(results: list[Result], tmp_path: Path) -> None:
    keep(tmp_path, results[0])
    require_machine(results, "a machine", tmp_path)
    with pytest.raises(InputError, match="holds cells of another machine"):
        keep(tmp_path, replace(results[1], machine="another"))
    assert read(tmp_path) == results[:1]


def test_a_damaged_line_is_named(results: list[Result], tmp_path: Path) -> None:
    keep(tmp_path, results[0])
    path = tmp_path / FILE
    path.write_text(path.read_text() + '{"cell": {}}\n')
    with pytest.raises(InputError, match="line 2"):
        read(tmp_path)


def test_a_cell_and_a_state_know_their_sums(results: list[Result]) -> None:
    assert Cell(64, 0.5, 2, 32, 1).tokens == "2x32"
    assert results[0].variants["textbook"].state.total == 20 * 10_000_000


def test_a_folder_is_named_by_its_machine(tmp_path: Path) -> None:
    name = "AMD EPYC (family 25, model 17), 2 cores"
    assert folder_of(tmp_path, name) == tmp_path / "amd_epyc_family_25_model_17_2_cores"


def test_machines_are_those_that_have_measurements(results: list[Result], tmp_path: Path) -> None:
    keep(tmp_path / "b", results[0])
    keep(tmp_path / "a", replace(results[1], machine="another"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "README.md").write_text("a page and no measurement")
    assert [folder.name for folder in read_machines(tmp_path)] == ["a", "b"]
