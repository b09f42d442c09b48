"""Drift, slope and regret, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import pytest

from smupar_transfer.verification import (
    Cell,
    CellSummary,
    Regret,
    carried_over,
    drift_table,
    drifts,
    summarise,
    summary_table,
)

MakeCell = Callable[..., Cell]
RATES = np.arange(-8.0, -1.0)


def valley(optimum: float, lowest: float = 2.0) -> list[float]:
    return [lowest + 0.1 * (rate - optimum) ** 2 for rate in RATES]


def offset(losses: Sequence[float], *offsets: float) -> list[list[float]]:
    return [[loss + by for loss in losses] for by in offsets]


@pytest.fixture
def moving(make_cell: MakeCell) -> list[Cell]:
    """SP: its optimum climbs an octave and a half per halving of the density, its loss by a tenth."""
    return [
        make_cell(offset(valley(-6.0 + 1.5 * level, 2.0 + 0.1 * level), 0.0, 0.2), 1 - 0.5**level, "sp")
        for level in range(3)
    ]


@pytest.fixture
def still(make_cell: MakeCell) -> list[Cell]:
    return [make_cell(offset(valley(-5.0, 1.5), 0.0, 0.2), sparsity) for sparsity in (0.0, 0.5, 0.75)]


def test_regret_is_the_loss_at_the_carried_rate_less_the_best(make_cell: MakeCell) -> None:
    cell = make_cell([[3.0, 2.0, 2.5], [3.4, 2.2, 2.3], [3.2, 2.1, 2.7]])
    regret = carried_over(cell, -6.0, np.array([2.0, 2.2, 2.1]))
    # differences 0.5, 0.1, 0.6: mean 0.4, standard deviation sqrt(0.07), over a best of 2.1
    assert regret.log2_learning_rate == -6.0
    assert regret.nats == pytest.approx(0.4)
    assert regret.percent == pytest.approx(100 * 0.4 / 2.1)
    assert regret.standard_error == pytest.approx(math.sqrt(0.07 / 3))


@pytest.mark.parametrize(("asked", "used"), [(-7.4, -7.0), (-6.6, -7.0), (-20.0, -8.0), (5.0, -6.0)])
def test_regret_is_taken_at_the_nearest_rate_of_the_grid(make_cell: MakeCell, asked: float, used: float) -> None:
    assert carried_over(make_cell([[3.0, 2.0, 2.5]]), asked, np.array([2.0])).log2_learning_rate == used


def test_seeds_are_paired_in_the_standard_error(make_cell: MakeCell) -> None:
    cell = make_cell([[2.5, 2.0], [3.5, 3.0], [9.5, 9.0]])
    assert carried_over(cell, -8.0, cell.losses[:, 1]).standard_error == pytest.approx(0.0)
    shuffled = carried_over(cell, -8.0, cell.losses[[1, 2, 0], 1])
    assert shuffled.nats == pytest.approx(0.5)
    assert shuffled.standard_error > 1


def test_one_seed_has_no_standard_error(make_cell: MakeCell) -> None:
    assert math.isnan(carried_over(make_cell([[3.0, 2.0]]), -8.0, np.array([2.0])).standard_error)


def test_a_rate_that_diverged_costs_infinitely_much(make_cell: MakeCell) -> None:
    cell = make_cell([[2.1, 2.0, 2.2], [2.1, 2.0, math.inf]])
    regret = carried_over(cell, -6.0, cell.losses[:, 1])
    assert (regret.nats, regret.percent) == (math.inf, math.inf)
    assert math.isnan(regret.standard_error)


def test_the_densest_cell_loses_nothing_and_the_others_what_they_moved(moving: list[Cell]) -> None:
    dense, half, quarter = summarise(moving[::-1])[::-1]
    assert (dense.regret.nats, dense.regret.percent, dense.regret.standard_error) == (0.0, 0.0, 0.0)
    assert [summary.regret.log2_learning_rate for summary in (dense, half, quarter)] == [-6.0] * 3
    # Best of the grid: -5 and -4, half an octave from -4.5, and -3. Carried over: -6, 1.5 and 3 octaves away.
    assert half.regret.nats == pytest.approx(0.1 * (1.5**2 - 0.5**2))
    assert quarter.regret.nats == pytest.approx(0.1 * 3**2)
    assert quarter.regret.percent == pytest.approx(100 * 0.9 / (2.2 + 0.1))


def to_best(summary: CellSummary) -> Regret:
    assert summary.zero_shot_to_best is not None
    return summary.zero_shot_to_best


def nats(regret: Regret | None) -> float:
    assert regret is not None
    return regret.nats


def test_zero_shot_carries_the_proxys_rate_over_or_says_nothing(moving: list[Cell]) -> None:
    known, unknown = summarise(moving, -4.1), summarise(moving)
    assert [summary.zero_shot and summary.zero_shot.log2_learning_rate for summary in known] == [-4.0] * 3
    assert nats(known[0].zero_shot) == pytest.approx(0.1 * 2**2)
    assert [summary.zero_shot for summary in unknown] == [None] * 3


def test_regret_to_best_is_against_the_best_parametrization_of_the_place(moving: list[Cell], still: list[Cell]) -> None:
    summaries = summarise([*moving, *still], -6.0)
    sp, smupar = summaries[:3], summaries[3:]
    assert [to_best(summary).nats for summary in smupar] == pytest.approx(
        [nats(summary.zero_shot) for summary in smupar]
    )
    assert to_best(sp[0]).nats == pytest.approx(2.0 - 1.5)
    assert to_best(sp[2]).nats == pytest.approx(2.2 + 0.9 - 1.5)
    assert to_best(sp[2]).standard_error == pytest.approx(0.0)
    assert sp[2].regret.nats == pytest.approx(0.9), "a rival does not change the regret of one's own"


def test_rivals_of_another_width_or_sparsity_do_not_count(make_cell: MakeCell) -> None:
    cells = [
        make_cell([valley(-5.0, 3.0)], 0.5, "sp"),
        make_cell([valley(-5.0, 1.0)], 0.5, "mup", width=128),
        make_cell([valley(-5.0, 1.0)], 0.75, "mup"),
    ]
    assert to_best(summarise(cells, -5.0)[0]).nats == 0.0


def test_a_rival_with_other_seeds_counts_by_its_mean(make_cell: MakeCell) -> None:
    mine = make_cell(offset(valley(-5.0, 2.0), 0.0, 0.2), 0.5, "sp")
    rival = make_cell(offset(valley(-5.0, 1.5), 0.0, 0.2, 0.4), 0.5, "mup")
    assert to_best(summarise([mine, rival], -5.0)[0]).nats == pytest.approx(2.1 - 1.7)


def test_a_cell_in_which_nothing_trained_costs_infinitely_much(make_cell: MakeCell, still: list[Cell]) -> None:
    lost = make_cell(offset([math.inf] * 7, 0.0, 0.0), 0.875)
    summaries = summarise([*still, lost], -5.0)
    assert (summaries[3].regret.nats, to_best(summaries[3]).percent) == (math.inf, math.inf)
    assert [summary.regret.nats for summary in summaries[:3]] == pytest.approx([0.0] * 3)


def test_the_source_is_the_densest_cell_that_trained(make_cell: MakeCell) -> None:
    lost = make_cell([[math.inf] * 7], 0.0)
    summaries = summarise([lost, make_cell([valley(-4.0)], 0.5), make_cell([valley(-5.0)], 0.75)])
    assert [summary.regret.log2_learning_rate for summary in summaries[1:]] == [-4.0, -4.0]
    assert [summary.regret.nats for summary in summaries] == [math.inf, 0.0, pytest.approx(0.1)]


def test_drift_and_slope(moving: list[Cell], still: list[Cell]) -> None:
    sp, smupar = drifts(summarise([*moving, *still]))
    assert (sp.parametrization, sp.width, sp.exact) == ("sp", 64, True)
    assert [sp.octaves, sp.low, sp.high] == pytest.approx([3.0] * 3)
    assert sp.slope == pytest.approx(-1.5)
    assert sp.largest_regret == pytest.approx(100 * 0.9 / 2.3)
    assert [smupar.octaves, smupar.slope, smupar.largest_regret] == pytest.approx([0.0] * 3, abs=1e-9)


def test_one_sparsity_has_no_drift_and_widths_are_kept_apart(make_cell: MakeCell) -> None:
    cells = [
        make_cell([valley(-5.0)], 0.0, width=64),
        make_cell([valley(-4.0)], 0.0, width=128),
        make_cell([valley(-3.0)], 0.5, width=128),
    ]
    (found,) = drifts(summarise(cells))
    assert found.width == 128
    assert found.octaves == pytest.approx(1.0)


def test_a_drift_to_the_edge_of_the_grid_is_a_lower_bound(make_cell: MakeCell) -> None:
    (found,) = drifts(summarise([make_cell([valley(-5.0)], 0.0), make_cell([valley(0.0)], 0.5)]))
    assert found.octaves == pytest.approx(3.0)
    assert not found.exact


def test_seeds_are_paired_over_the_cells_of_a_drift(make_cell: MakeCell) -> None:
    shifts = [-0.6, -0.2, 0.0, 0.3, 0.5]

    def cell(sparsity: float, optimum: float, order: list[int]) -> Cell:
        return make_cell([valley(optimum + shifts[index]) for index in order], sparsity)

    (paired,) = drifts(summarise([cell(0.0, -5.0, [0, 1, 2, 3, 4]), cell(0.5, -4.0, [0, 1, 2, 3, 4])]))
    (shuffled,) = drifts(summarise([cell(0.0, -5.0, [0, 1, 2, 3, 4]), cell(0.5, -4.0, [4, 2, 0, 1, 3])]))
    assert [paired.low, paired.high] == pytest.approx([1.0, 1.0], abs=1e-6)
    assert shuffled.octaves == pytest.approx(1.0)
    assert shuffled.high - shuffled.low > 0.3


def test_without_common_seeds_there_is_no_interval(make_cell: MakeCell) -> None:
    cells = [
        make_cell(offset(valley(optimum), 0.0, 0.1), sparsity, seeds=seeds)
        for optimum, sparsity, seeds in ((-5.0, 0.0, (0, 1)), (-4.0, 0.5, (0, 2)))
    ]
    (found,) = drifts(summarise(cells))
    assert found.octaves == pytest.approx(1.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_drift_of_a_family_with_a_lost_cell_is_that_of_the_others(make_cell: MakeCell) -> None:
    lost = make_cell([[math.inf] * 7], 0.75)
    (found,) = drifts(summarise([make_cell([valley(-5.0)], 0.0), make_cell([valley(-4.0)], 0.5), lost]))
    assert [found.octaves, found.slope] == pytest.approx([1.0, -1.0])
    assert not found.exact
    assert found.largest_regret == math.inf


def test_the_summary_has_a_row_a_cell(moving: list[Cell], make_cell: MakeCell) -> None:
    table = summary_table(summarise([*moving, make_cell([[math.inf, 2.0, 2.5, math.inf]], 0.5)]))
    assert list(table.columns) == [
        "parametrization",
        "width",
        "sparsity",
        "seeds",
        "log2_learning_rate",
        "low",
        "high",
        "loss",
        "grid_log2_learning_rate",
        "status",
        *(
            f"{which}_{what}"
            for which in ("regret", "zero_shot", "zero_shot_to_best")
            for what in ("log2_learning_rate", "nats", "percent", "standard_error")
        ),
        "diverged_runs",
    ]
    assert list(table["parametrization"]) == ["sp", "sp", "sp", "smupar"]
    assert list(table["status"]) == ["fit", "fit", "fit", "edge"]
    assert list(table["seeds"]) == [2, 2, 2, 1]
    assert list(table["diverged_runs"]) == [0, 0, 0, 2]
    assert list(table["log2_learning_rate"]) == pytest.approx([-6.0, -4.5, -3.0, -7.0])
    assert list(table["regret_nats"]) == pytest.approx([0.0, 0.2, 0.9, 0.0])
    assert "fit" in table.to_csv()
    assert "Status" not in table.to_csv()


def test_the_drift_table_has_a_row_a_drift(moving: list[Cell], still: list[Cell]) -> None:
    found = drifts(summarise([*moving, *still], -5.0))
    table = drift_table(found)
    assert table.to_dict("records") == [asdict(drift) for drift in found]
    assert drift_table([]).empty
