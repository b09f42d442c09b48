"""What cells and families of a sweep say, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from smupar_transfer.records import Design
from smupar_transfer.statistics import (
    Cell,
    CellSummary,
    FamilySummary,
    Regret,
    drift_table,
    summarise,
    summarise_families,
    summary_table,
)
from smupar_transfer.statistics.cell_summary import sensitivity
from smupar_transfer.statistics.optimum import Status

MakeCell = Callable[..., Cell]
GRID = np.arange(-8.0, -1.0)
STEPS = 1e-4 * GRID  # seeds that differ a little in slope, so that there is some noise


def valley(optimum: float, lowest: float = 2.0, curvature: float = 0.2) -> list[list[float]]:
    curve = lowest + curvature / 2 * (GRID - optimum) ** 2
    return [list(curve + STEPS), list(curve + 0.2 - STEPS), list(curve - 0.2)]


@pytest.fixture
def moving(make_cell: MakeCell) -> list[Cell]:
    """SP: its optimum climbs an octave and a half per halving of the density, its loss by a tenth."""
    return [make_cell(valley(-6.0 + 1.5 * n, 2.0 + 0.1 * n), 1 - 0.5**n, "sp") for n in range(3)]


@pytest.fixture
def still(make_cell: MakeCell) -> list[Cell]:
    return [make_cell(valley(-5.0, 1.5), sparsity) for sparsity in (0.0, 0.5, 0.75)]


def family(cells: Sequence[Cell], design: Design | None = None, proxy: float | None = None) -> FamilySummary:
    (family_summary,) = summarise_families(summarise(cells, design, proxy))
    return family_summary


def nats(regret: Regret | None) -> float:
    assert regret is not None
    return regret.nats


def test_what_moves_drifts_and_what_stays_does_not(moving: list[Cell], still: list[Cell]) -> None:
    sp, smupar = summarise_families(summarise([*moving, *still]))
    assert sp.drift.value == pytest.approx(3.0)
    assert sp.slope.value == pytest.approx(-1.5)
    assert sp.parabola_octaves == pytest.approx(3.0)
    assert 2.9 < sp.drift.low < 3.0 < sp.drift.high < 3.1
    assert -1.6 < sp.slope.low < -1.5 < sp.slope.high < -1.4
    assert smupar.drift.value == pytest.approx(0.0, abs=1e-9)
    assert smupar.drift.low == 0.0
    assert smupar.slope.low < 0 < smupar.slope.high
    assert (sp.exact, sp.at_least) == (True, False)
    assert (smupar.exact, smupar.at_least) == (True, False)


def test_one_shifted_cell_shows_as_drift(make_cell: MakeCell, still: list[Cell]) -> None:
    moved = [*still, make_cell(valley(-4.0, 1.5), 0.875)]
    assert family(still).drift.high < 0.1
    assert family(moved).drift.low > 0.9


def test_an_edge_makes_the_drift_a_bound_without_interval(make_cell: MakeCell, moving: list[Cell]) -> None:
    family_summary = family([*moving, make_cell(valley(0.0), 0.875, "sp")])
    assert (family_summary.exact, family_summary.at_least) == (False, True)
    assert family_summary.drift.value == pytest.approx(-2 + 6)
    assert np.isnan(
        [family_summary.drift.low, family_summary.drift.high, family_summary.slope.low, family_summary.kappa.value]
    ).all()


def test_an_optimum_without_an_upper_end_leaves_the_drift_without_one(moving: list[Cell]) -> None:
    *others, last = summarise(moving)
    bounded = summarise_families([*others, last])[0]
    flat = replace(last.optimum, high=math.inf, status=Status.FLAT)
    (open_ended,) = summarise_families([*others, replace(last, optimum=flat)])
    assert (open_ended.exact, open_ended.at_least) == (False, False), "no lower bound: the fit has a minimum"
    assert open_ended.drift.low == pytest.approx(bounded.drift.low, abs=1e-3)
    assert open_ended.drift.high == math.inf


def test_what_did_not_train_is_left_out_and_makes_the_rest_inexact(make_cell: MakeCell, moving: list[Cell]) -> None:
    lost = make_cell([[math.inf] * 7] * 3, 0.875, "sp")
    family_summary = family([*moving, lost])
    assert (family_summary.exact, family_summary.at_least, family_summary.largest_regret) == (False, True, math.inf)
    assert family_summary.drift.value == pytest.approx(3.0)
    assert summarise_families(summarise([lost, moving[0]])) == [], "one cell that trained is no family"
    summary = summarise([lost])[0]
    assert (summary.regret.nats, summary.zero_shot) == (math.inf, None)


def test_kappa_is_the_growth_of_relative_curvature_with_scale(make_cell: MakeCell) -> None:
    """Loss ~ n**-0.5, optimum ~ n**-1, second derivative ~ n**3, where n is the width: 0.5 - 2 + 3."""
    cells = []
    for n in range(4):
        scale, optimum = 2.0**n, -3.0 - n
        second = 0.01 * scale**3  # of the loss with respect to eta, in units of the first optimum
        octaves = second * (2.0 ** (optimum + 3)) ** 2  # per octave squared, up to a constant
        cells.append(make_cell(valley(optimum, 4.0 * scale**-0.5, octaves), width=64 * 2**n))
    kappa = family(cells, Design(axis="width")).kappa
    assert kappa.value == pytest.approx(0.5 - 2 * 1 + 3, abs=1e-6)
    assert kappa.low < kappa.value < kappa.high


def test_scale_grows_away_from_the_proxy_also_for_sparsity(make_cell: MakeCell) -> None:
    sparser_is_sharper = [make_cell(valley(-5.0, curvature=0.1 * 2**n), 1 - 0.5**n) for n in range(3)]
    assert family(sparser_is_sharper).kappa.value == pytest.approx(1.0)


def test_the_first_cells_optimum_is_transferred(moving: list[Cell]) -> None:
    dense, half, quarter = summarise(moving[::-1])
    assert [summary.cell.sparsity for summary in (dense, half, quarter)] == [0.0, 0.5, 0.75]
    assert dense.regret.nats == pytest.approx(0.0, abs=1e-6)
    # Best of the grid: -5 or -4, half an octave from -4.5, and -3. Carried over: -6, 1.5 and 3 octaves away.
    assert half.regret.nats == pytest.approx(0.1 * (1.5**2 - 0.5**2), abs=1e-3)
    assert quarter.regret.nats == pytest.approx(0.1 * 3**2, abs=1e-3)
    assert quarter.regret.percent == pytest.approx(100 * 0.9 / 2.2, abs=0.1)


def test_zero_shot_transfers_the_proxys_value_or_there_is_none(moving: list[Cell]) -> None:
    known, unknown = summarise(moving, proxy_log2_value=-4.25), summarise(moving)
    assert [summary.zero_shot and summary.zero_shot.log2_value for summary in known] == [-4.25] * 3
    # On the chord between -5 (0.1) and -4 (0.4), a quarter from the right
    assert nats(known[0].zero_shot) == pytest.approx(0.25 * 0.1 + 0.75 * 0.4, abs=1e-3)
    assert [summary.zero_shot for summary in unknown] == [None] * 3


def test_the_sweeps_own_proxy_comes_before_what_else_is_known(make_cell: MakeCell) -> None:
    proxies = [make_cell(valley(-4.0), width=32, depth=depth, flops=1e10 * depth) for depth in (4, 2)]
    proxies[0] = make_cell(valley(-6.0), width=32, depth=4, flops=4e10)
    targets = [make_cell(valley(-5.0), sparsity, width=128) for sparsity in (0.0, 0.875)]
    rival = make_cell(valley(-7.0), width=32, parametrization="sp")
    summaries = summarise([*targets, *proxies, rival], Design(axis="width"), -7.5)
    at = {(s.cell.parametrization, s.cell.width): s.zero_shot.log2_value for s in summaries if s.zero_shot is not None}
    assert at[("smupar", 128)] == pytest.approx(-4.0, abs=0.01), "the cheapest dense cell of base width"
    assert at[("sp", 32)] == pytest.approx(-7.0, abs=0.01)
    other = summarise([*targets, make_cell(valley(-4.0), width=32, weight_decay=0.1)], Design(axis="width"), -7.5)
    assert [s.zero_shot.log2_value for s in other if s.zero_shot and s.cell.width == 128] == [-7.5, -7.5]


def to_best(summary: CellSummary) -> float:
    return nats(summary.zero_shot_to_best)


def test_regret_to_best_is_against_the_best_parametrization_at_the_position(
    moving: list[Cell], still: list[Cell]
) -> None:
    summaries = summarise([*moving, *still], proxy_log2_value=-6.0)
    sp, smupar = summaries[:3], summaries[3:]
    assert [to_best(summary) for summary in smupar] == pytest.approx([nats(s.zero_shot) for s in smupar])
    assert to_best(sp[0]) == pytest.approx(2.0 - 1.5, abs=1e-3)
    assert to_best(sp[2]) == pytest.approx(2.2 + 0.9 - 1.5, abs=1e-3)
    assert nats(sp[2].zero_shot) == pytest.approx(0.9, abs=1e-3), "a rival does not change the regret of one's own"


def test_a_rival_of_other_seeds_is_paired_where_both_ran(make_cell: MakeCell) -> None:
    """Seeds set losses apart by 0.5; the rival, better by 1, has a third one that would shift its mean."""
    curve = 2 + 0.1 * (GRID + 5) ** 2
    own = make_cell([list(curve), list(curve + 0.5)], 0.5, "sp", seeds=(0, 1))
    rival = [list(curve - 1), list(curve - 0.5 + STEPS), list(curve - 1.9)]
    sp, _ = summarise([own, make_cell(rival, 0.5, seeds=(0, 1, 2))], proxy_log2_value=-5.0)
    assert sp.zero_shot_to_best is not None
    assert sp.zero_shot_to_best.nats == pytest.approx(1.0, abs=1e-3)
    assert sp.zero_shot_to_best.standard_error < 1e-3
    strangers = summarise([own, make_cell(rival, 0.5, seeds=(3, 4, 5))], proxy_log2_value=-5.0)
    assert nats(strangers[0].zero_shot_to_best) == pytest.approx(2.25 - (1.0 + 1.5 + 0.1) / 3, abs=1e-3)


def test_sensitivity_is_the_mean_above_the_best_up_to_a_guess(make_cell: MakeCell) -> None:
    cell = make_cell([[3.0, 2.0, 3.0, math.inf]])
    assert sensitivity(cell, -8.0, -6.0) == pytest.approx(0.5)
    assert sensitivity(cell, -7.5, -6.5) == pytest.approx(0.25)
    guess = math.log(256)
    assert sensitivity(cell, -7.0, -5.0) == pytest.approx(((2 + 3) / 2 + (3 + guess) / 2) / 2 - 2)
    assert math.isnan(sensitivity(cell, -5.0, -6.0))


def test_sensitivities_are_compared_over_the_range_that_all_cells_share(make_cell: MakeCell) -> None:
    """Guards against a grid that reaches farther making a parametrization look more sensitive."""
    curve = [3.0, 2.2, 2.0, 2.1, 3.5]
    short = make_cell([curve[1:4]], parametrization="sp", rates=[-7.0, -6.0, -5.0])
    wide, narrow = (summary.sensitivity for summary in summarise([make_cell([curve]), short])[::-1])
    assert wide == pytest.approx(narrow)
    alone = summarise([make_cell([curve])])[0].sensitivity
    assert alone > 2 * wide


def test_tables_have_a_row_a_cell_and_a_row_a_family(moving: list[Cell], still: list[Cell]) -> None:
    summaries = summarise([*moving, *still], proxy_log2_value=-6.0)
    cells, families = summary_table(summaries), drift_table(summarise_families(summaries))
    assert cells["family"].tolist() == ["SP"] * 3 + ["SμPar"] * 3
    assert cells["sparsity"].tolist() == [0.0, 0.5, 0.75] * 2
    assert cells["log2_value"].to_numpy() == pytest.approx([-6, -4.5, -3, -5, -5, -5])
    assert set(cells["status"]) == {"fit"}
    assert cells["seeds"].tolist() == [3] * 6
    assert cells["zero_shot_nats"].notna().all()
    assert summary_table(summarise(moving))["zero_shot_nats"].isna().all()
    assert families["octaves"].to_numpy() == pytest.approx([3.0, 0.0], abs=1e-6)
    assert families["slope"].to_numpy() == pytest.approx([-1.5, 0.0], abs=1e-6)
    assert (families["slope_low"] < families["slope_high"]).all()
    assert families["largest_zero_shot_regret"].to_numpy() == pytest.approx([40.9, 6.7], abs=0.1)


def test_the_drift_reaches_as_far_as_an_interval_that_runs_end(make_cell: MakeCell, moving: list[Cell]) -> None:
    """Guards against a first-order error in place of an end that the fit left open."""
    *others, last = summarise(moving)
    plain = summarise_families([*others, last])[0].drift
    wide = replace(last.optimum, high=last.optimum.log2_value + 0.8)
    stretched = summarise_families([*others, replace(last, optimum=wide)])[0].drift
    assert plain.high < 3.1
    assert stretched.high == pytest.approx(3.8, abs=0.1)
    assert stretched.low == pytest.approx(plain.low, abs=0.01)


def test_what_is_sure_of_a_drift_is_what_intervals_leave(make_cell: MakeCell, moving: list[Cell]) -> None:
    family_summary = family([*moving, make_cell(valley(0.0), 0.875, "sp")])
    assert math.isnan(family_summary.drift.low)
    assert family_summary.surely == pytest.approx(3.0, abs=0.1), "the edge is at -2, and -3 is clearly worse"
    assert math.isnan(family([make_cell(valley(-5.0)[:1], s) for s in (0.0, 0.5)]).surely), "one seed"
    overlapping = family([make_cell(valley(-5.0), sparsity) for sparsity in (0.0, 0.5)])
    assert overlapping.surely == 0.0


def test_where_an_optimum_has_no_end_the_slope_has_no_interval(moving: list[Cell]) -> None:
    *others, last = summarise(moving)
    flat = replace(last, optimum=replace(last.optimum, high=math.inf, status=Status.FLAT))
    (family_summary,) = summarise_families([*others, flat])
    assert family_summary.slope.value == pytest.approx(-1.5)
    assert math.isnan(family_summary.slope.low)


def test_one_seed_makes_no_exact_drift(make_cell: MakeCell) -> None:
    assert not family([make_cell(valley(-5.0)[:1], sparsity) for sparsity in (0.0, 0.5)]).exact


def test_regrets_at_an_edge_or_beyond_what_was_run_are_bounds(make_cell: MakeCell, moving: list[Cell]) -> None:
    assert not family(moving, proxy=-5.0).regret_at_least
    at_edge = family([*moving, make_cell(valley(0.0), 0.875, "sp")], proxy=-5.0)
    assert at_edge.regret_at_least
    short = make_cell(np.array(valley(-4.0))[:, 4:], 0.875, "sp", rates=GRID[4:])
    family_summary = family([*moving, short], proxy=-6.5)
    assert math.isfinite(family_summary.largest_zero_shot_regret)
    assert family_summary.regret_at_least


def test_kappas_interval_is_that_of_relative_curvatures(moving: list[Cell]) -> None:
    first, *_, last = summarise(moving)
    errors = [0.1, 0.2]
    pair = [
        replace(
            cell_summary,
            optimum=replace(
                cell_summary.optimum, curvature_error=part * cell_summary.optimum.curvature, degrees_of_freedom=1e6
            ),
        )
        for cell_summary, part in zip((first, last), errors, strict=True)
    ]
    (family_summary,) = summarise_families(pair)
    half_width = 1.96 * math.hypot(*errors) / math.log(2) / 2  # over two octaves of density
    assert (family_summary.kappa.high - family_summary.kappa.low) / 2 == pytest.approx(half_width, rel=0.1)
