"""From summaries to plain tuples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from smupar_transfer.records import Design, Evaluation, RunRecord
from smupar_transfer.reporting.figure_data import (
    HEADROOM,
    MARGIN_BELOW,
    learning_curves,
    long_families,
    loss_panels,
    loss_range,
    optimum_tracks,
    regret_tracks,
    ticks_of,
)
from smupar_transfer.statistics import Cell, CellSummary, cells, runs_table, summarise

MakeCell = Callable[..., Cell]
MakeRecord = Callable[..., RunRecord]
DESIGN = Design()
VALLEY = [2.4, 2.1, 2.0, 2.1, 2.4]
FALLING = [2.8, 2.4, 2.2, 2.1, 2.05]
LOST = [math.inf] * 5


def summarised(cells: Sequence[Cell], design: Design = DESIGN, proxy: float | None = None) -> list[CellSummary]:
    return summarise(cells, design, proxy)


def test_a_proxy_alone_is_no_family_to_draw(make_cell: MakeCell) -> None:
    summaries = summarised([make_cell([VALLEY], width=width) for width in (64, 128)])  # over sparsity, families of one
    assert [len(members) for members in long_families(summaries)] == [1, 1]
    along = Design(axis="width")
    summaries = summarised(
        [make_cell([VALLEY], sparsity, width=width) for sparsity, width in ((0.0, 32), (0.5, 32), (0.5, 64))], along
    )
    assert [[summary.cell.sparsity for summary in members] for members in long_families(summaries)] == [[0.5, 0.5]]


def test_a_panel_a_family_and_a_curve_a_cell(make_cell: MakeCell) -> None:
    summaries = summarised(
        [
            make_cell([VALLEY], 0.9375, "sp"),
            make_cell([VALLEY, [loss + 0.2 for loss in VALLEY]], 0.0, "sp"),
            make_cell([[loss - 0.5 for loss in VALLEY]], 0.0, "smupar"),
            make_cell([[loss - 0.5 for loss in VALLEY]], 0.5, "smupar"),
        ],
        proxy=-6.5,
    )
    panels = loss_panels(summaries, DESIGN)
    assert [panel.title for panel in panels] == ["SP", "SμPar"]
    assert [[curve.label for curve in panel.curves] for panel in panels] == [["0", "0.9375"], ["0", "0.5"]]
    assert [panel.proxy for panel in panels] == [-6.5, -6.5]
    dense, sparse = panels[0].curves
    assert dense.log2_values == (-8.0, -7.0, -6.0, -5.0, -4.0)
    assert dense.losses == pytest.approx([2.5, 2.2, 2.1, 2.2, 2.5])
    assert dense.errors == pytest.approx([0.1] * 5), "0.2 between two seeds is a standard error of 0.1"
    assert sparse.errors == (0.0,) * 5
    assert dense.optimum is not None
    assert dense.optimum[0] == pytest.approx(-6.0)
    assert dense.optimum[1] == pytest.approx(2.1, abs=0.02), "on the fitted curve"
    assert not dense.at_edge
    assert loss_range(panels) == pytest.approx((1.5 - MARGIN_BELOW, 1.5 + HEADROOM))


def test_without_a_proxy_no_value_is_transferred(make_cell: MakeCell) -> None:
    summaries = summarised([make_cell([VALLEY]), make_cell([VALLEY], 0.5)])
    assert [panel.proxy for panel in loss_panels(summaries, DESIGN)] == [None]
    assert regret_tracks(summaries) == []


def test_points_that_diverged_are_not_drawn(make_cell: MakeCell) -> None:
    summaries = summarised([make_cell([[2.1, 2.0, 2.1, math.inf], [2.1, 2.0, math.inf, math.inf]])])
    (curve,) = loss_panels(summaries, DESIGN)[0].curves
    assert curve.log2_values == (-8.0, -7.0)
    assert curve.losses == pytest.approx([2.1, 2.0])
    assert curve.optimum == pytest.approx((-7.0, 2.0))
    assert curve.at_edge


def test_points_that_lack_a_seed_are_told(make_cell: MakeCell) -> None:
    (curve,) = loss_panels(summarised([make_cell([VALLEY, [2.5, math.nan, 2.1, 2.2, math.nan]])]), DESIGN)[0].curves
    assert curve.partial == (False, True, False, False, True)


def test_the_loss_axis_is_no_taller_than_the_curves(make_cell: MakeCell) -> None:
    panels = loss_panels(summarised([make_cell([[2.1, 2.0, 2.1]])]), DESIGN)
    assert loss_range(panels) == pytest.approx((2.0 - MARGIN_BELOW, 2.1 + MARGIN_BELOW))


def test_a_cell_in_which_nothing_trained_is_an_empty_curve(make_cell: MakeCell) -> None:
    panels = loss_panels(summarised([make_cell([LOST])]), DESIGN)
    (curve,) = panels[0].curves
    assert (curve.log2_values, curve.losses, curve.errors, curve.optimum) == ((), (), (), None)
    assert all(map(math.isfinite, loss_range(panels)))


def test_ticks_go_from_dense_to_sparse(make_cell: MakeCell) -> None:
    ticks = ticks_of(summarised([make_cell([VALLEY], sparsity) for sparsity in (0.75, 0.0, 0.5)]), DESIGN)
    assert (ticks.positions, ticks.words) == ((-2.0, -1.0, 0.0), ("0.75", "0.5", "0"))
    assert (ticks.label, ticks.reverse) == ("sparsity of hidden weights", True)


def test_ticks_along_width_say_what_is_tied_to_it(make_cell: MakeCell) -> None:
    design = Design(axis="width", tied=("sparsity",))
    ticks = ticks_of(summarised([make_cell([VALLEY], 0.0), make_cell([VALLEY], 0.5, width=128)], design), design)
    assert (ticks.positions, ticks.words) == ((6.0, 7.0), ("64, s = 0", "128, s = 0.5"))
    assert (ticks.label, ticks.reverse) == ("width, sparsity of hidden weights", False)


def test_a_track_is_the_optimum_along_the_axis(make_cell: MakeCell) -> None:
    summaries = summarised(
        [
            make_cell([FALLING[::-1]], 0.875, "sp"),
            make_cell([VALLEY], 0.0, "sp"),
            make_cell([LOST], 0.9375, "sp"),
            *(make_cell([LOST], sparsity, "mup") for sparsity in (0.0, 0.5)),
        ]
    )
    (sp,) = optimum_tracks(summaries)
    assert (sp.name, sp.title, sp.variant) == ("sp", "SP", "")
    assert sp.positions == (0.0, -3.0)
    assert sp.values == pytest.approx([-6.0, -8.0])
    assert sp.exact == (True, False)
    assert all(map(math.isnan, sp.low + sp.high)), "one seed has no interval"


def test_families_of_one_parametrization_say_what_sets_them_apart(make_cell: MakeCell) -> None:
    positions = [(sparsity, width) for sparsity in (0.5, 0.75) for width in (32, 64)]
    summaries = summarised(
        [make_cell([VALLEY], sparsity, width=width) for sparsity, width in positions], Design(axis="width")
    )
    tracks = optimum_tracks(summaries)
    assert [(track.title, track.variant) for track in tracks] == [("SμPar", "s = 0.5"), ("SμPar", "s = 0.75")]
    assert [track.label for track in tracks] == ["SμPar, s = 0.5", "SμPar, s = 0.75"]


def test_intervals_enclose_the_optimum_and_end_where_the_grid_does(make_cell: MakeCell) -> None:
    losses = [[2.4, 2.1, 2.0, 2.1, 2.4], [2.6, 2.2, 2.0, 2.05, 2.3], [2.3, 2.05, 2.0, 2.2, 2.6]]
    flat = [[2.001, 2.0, 2.001], [2.0, 2.002, 2.001], [2.003, 1.999, 2.001]]
    (first, second) = [optimum_tracks(summarised([make_cell(rows)]))[0] for rows in (losses, flat)]
    assert first.low[0] < first.values[0] < first.high[0]
    assert -8.0 <= second.low[0] <= second.high[0] <= -6.0
    assert second.endless == ((True, True),)
    alike = [[2.4, 2.101, 2.0, 2.1, 2.4], [2.5, 2.2, 2.1, 2.201, 2.5], [2.3, 2.0, 1.901, 2.0, 2.3]]
    assert optimum_tracks(summarised([make_cell(alike)]))[0].endless == ((False, False),)


def test_regret_is_in_percent_with_a_standard_error_each_way(make_cell: MakeCell) -> None:
    seeds = [VALLEY, [2.4, 2.1, 2.0, 2.15, 2.4]]
    summaries = summarised([make_cell(seeds), make_cell([LOST, LOST], 0.5)], proxy=-5.0)
    (track,) = regret_tracks(summaries)
    assert track.values == pytest.approx([100 * 0.125 / 2])  # 0.1 and 0.15 nats
    assert (track.high[0] - track.values[0]) == pytest.approx(100 * 0.025 / 2)
    assert (track.values[0] - track.low[0]) == pytest.approx(100 * 0.025 / 2)
    assert track.lost == (-1.0,), "where every run diverged"
    assert track.exact == (True,)
    (bound,) = regret_tracks(summarised([make_cell([FALLING, FALLING])], proxy=-5.0))
    assert bound.exact == (False,), "the best may lie beyond the grid"


def test_learning_curves_are_of_the_best_points(make_record: MakeRecord) -> None:
    def run(sparsity: float, rate: float, seed: int) -> RunRecord:
        loss = 2.0 + 0.1 * (rate + 5) ** 2 + 0.01 * seed
        record = make_record("smupar", sparsity, rate, loss, seed)
        before = tuple(Evaluation(step, 3.0, loss + 0.5, 0.1) for step in (50, 100))
        return replace(record, history=(*before, Evaluation(200, 2.0, loss, 0.2)))

    records = [run(sparsity, rate, seed) for sparsity in (0.0, 0.5) for rate in (-6, -5, -4) for seed in (0, 1)]
    records.append(run(0.0, -5, 2))  # a seed that one value alone has does not enter the estimate
    runs = runs_table(records)
    (panel,) = learning_curves(summarised(cells(runs)), records, runs, DESIGN)
    assert (panel.title, [curve.label for curve in panel.curves]) == ("SμPar", ["0", "0.5"])
    assert panel.curves[0].steps == (50, 100, 200)
    assert panel.curves[0].losses == pytest.approx((2.505, 2.505, 2.005))


def test_one_validation_is_no_learning_curve(make_record: MakeRecord) -> None:
    records = [make_record("smupar", 0.0, rate, 2.0 + 0.1 * (rate + 5) ** 2) for rate in (-6, -5, -4)]
    runs = runs_table(records)
    assert learning_curves(summarised(cells(runs)), records, runs, DESIGN) == []


def test_nothing_makes_no_pictures() -> None:
    assert loss_panels([], DESIGN) == []
    assert loss_range([]) == (-MARGIN_BELOW, HEADROOM)
    assert optimum_tracks([]) == regret_tracks([]) == []
    assert ticks_of([], DESIGN).positions == ()
