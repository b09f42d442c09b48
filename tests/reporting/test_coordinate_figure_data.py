"""Numbers that figures of a coordinate check draw."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.reporting.coordinate_figure_data import (
    chosen_steps,
    log2_means,
    scale_rows,
    shown,
    slope_note,
    step_rows,
)
from smupar_transfer.statistics.coordinate_slopes import sizes_table, slopes
from smupar_transfer.theory import Coordinate

MakeCheck = Callable[..., CoordinateRecord]


@pytest.fixture
def records(make_check: MakeCheck) -> list[CoordinateRecord]:
    return [
        make_check(name, sparsity, seed=seed, powers=powers, noise=noise)
        for name, powers in (("smupar", (0.0, 0.0, 0.0)), ("sp", (0.5, 0.5, 1.0)))
        for sparsity in (0.0, 0.75)
        for seed, noise in ((0, -0.25), (1, 0.25))
    ]


def test_a_row_a_coordinate_a_panel_a_parametrization_a_line_a_step(records: list[CoordinateRecord]) -> None:
    sizes = sizes_table(records, "sparsity")
    rows = scale_rows(sizes, slopes(sizes, "sparsity", 2))
    assert [row.label.splitlines()[0] for row in rows] == list(Coordinate)
    assert [[panel.title for panel in row.panels] for row in rows] == [["SP", "SμPar"]] * 3
    sp, smupar = rows[0].panels
    assert [line.label for line in sp.lines] == ["0", "1", "2"]
    assert [line.label for line in rows[2].panels[0].lines] == ["0", "1"], "there is no update after the last step"
    # Geometric means over the two seeds and both layers: noise of +- 0.25 in the exponent cancels.
    assert sp.lines[0].positions == (-2.0, 0.0)
    assert sp.lines[0].heights == pytest.approx((-1.0, 0.0))
    assert sp.lines[1].heights == pytest.approx((0.0, 1.0))
    assert smupar.lines[0].heights == pytest.approx((0.0, 0.0), abs=1e-12)
    assert rows[2].panels[0].lines[0].heights == pytest.approx((-2.0, 0.0))


def test_outputs_over_steps_from_dense_to_sparse(records: list[CoordinateRecord]) -> None:
    (row,) = step_rows(sizes_table(records, "sparsity"), "sparsity")
    sp, _ = row.panels
    assert [line.label for line in sp.lines] == ["1", "0.25"]
    assert sp.lines[0].positions == (0.0, 1.0, 2.0)
    assert sp.lines[0].heights == pytest.approx((1.0, 2.0, 2.585), abs=1e-3)
    assert sp.lines[1].heights[0] == pytest.approx(0.0)
    (row,) = step_rows(sizes_table(records, "sparsity"), "width")
    assert [line.label for line in row.panels[0].lines] == ["0.25", "1"], "from narrow to wide"


def test_sizes_of_zero_are_left_out(records: list[CoordinateRecord]) -> None:
    sizes = sizes_table(records, "sparsity")
    sizes.loc[sizes["layer"] == "mlp.down", "size"] = 0.0
    means = log2_means(sizes)
    chosen = means[(means["parametrization"] == "sp") & (means["coordinate"] == "gradient") & (means["step"] == 0)]
    assert list(chosen["height"]) == pytest.approx([-1.0, 0.0])


@pytest.mark.parametrize(
    ("last", "steps"), [(10, [0, 1, 2, 6, 10]), (1, [0, 1]), (2, [0, 1, 2]), (100, [0, 6, 25, 56, 100])]
)
def test_steps_are_few_and_denser_at_the_beginning(last: int, steps: list[int]) -> None:
    assert chosen_steps(last) == steps


def test_slopes_stand_in_the_panel(records: list[CoordinateRecord]) -> None:
    fitted = slopes(sizes_table(records, "sparsity"), "sparsity", 2)
    assert slope_note(fitted, "sp", Coordinate.ACTIVATION) == "slope +0.50 (start), +0.50 (end)"
    assert slope_note(fitted, "sp", Coordinate.UPDATE) == "slope +1.00 (start)"
    assert slope_note(fitted, "mup", Coordinate.UPDATE) == ""


@pytest.mark.parametrize(("value", "text"), [(0.001, "+0.00"), (-0.001, "+0.00"), (-0.5, "-0.50"), (1.234, "+1.23")])
def test_no_negative_zero(value: float, text: str) -> None:
    assert shown(value) == text
