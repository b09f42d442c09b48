"""From summaries to plain tuples."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification import Cell, loss_panels, optimum_tracks, summarise
from smupar_transfer.verification.drawn import HEADROOM, families, title_of

MakeCell = Callable[..., Cell]
VALLEY = [2.4, 2.1, 2.0, 2.1, 2.4]
LOST = [[math.inf] * 5]


def test_titles_are_those_of_the_tables() -> None:
    assert [title_of(name) for name in ("sp", "smupar")] == ["SP", "SμPar"]


def test_families_are_in_the_order_of_the_theory_and_from_dense_to_sparse(make_cell: MakeCell) -> None:
    names = list(PARAMETRIZATIONS)
    cells = [make_cell([VALLEY], sparsity, name) for name in reversed(names) for sparsity in (0.75, 0.0, 0.5)]
    found = [
        [(summary.cell.parametrization, summary.cell.sparsity) for summary in family]
        for family in families(summarise(cells))
    ]
    assert found == [[(name, sparsity) for sparsity in (0.0, 0.5, 0.75)] for name in names]


def test_a_panel_a_parametrization_and_a_curve_a_cell(make_cell: MakeCell) -> None:
    cells = [
        make_cell([VALLEY], 0.9375, "sp"),
        make_cell([VALLEY, [loss + 0.2 for loss in VALLEY]], 0.0, "sp"),
        make_cell([[loss - 0.5 for loss in VALLEY]], 0.5, "smupar"),
    ]
    panels, ceiling = loss_panels(summarise(cells))
    assert [panel.title for panel in panels] == ["SP", "SμPar"]
    assert [[curve.label for curve in panel.curves] for panel in panels] == [["0", "0.9375"], ["0.5"]]
    dense, sparse = panels[0].curves
    assert dense.log2_rates == (-8.0, -7.0, -6.0, -5.0, -4.0)
    assert dense.losses == pytest.approx([2.5, 2.2, 2.1, 2.2, 2.5])
    assert dense.errors == pytest.approx([0.1] * 5), "0.2 between two seeds is a standard error of 0.1"
    assert sparse.errors == (0.0,) * 5
    assert dense.optimum is not None
    assert list(dense.optimum) == pytest.approx([-6.0, 2.1])
    assert not dense.at_edge
    assert ceiling == pytest.approx(1.5 + HEADROOM)


def test_points_that_diverged_are_not_drawn(make_cell: MakeCell) -> None:
    panels, _ = loss_panels(summarise([make_cell([[2.1, 2.0, 2.1, math.inf], [2.1, 2.0, math.inf, math.nan]])]))
    (curve,) = panels[0].curves
    assert curve.log2_rates == (-8.0, -7.0)
    assert curve.losses == pytest.approx([2.1, 2.0])
    assert curve.errors == pytest.approx([0.0, 0.0])
    assert curve.optimum == (-7.0, 2.0)
    assert curve.at_edge


def test_a_cell_in_which_nothing_trained_is_an_empty_curve(make_cell: MakeCell) -> None:
    panels, ceiling = loss_panels(summarise([make_cell(LOST)]))
    (curve,) = panels[0].curves
    assert (curve.log2_rates, curve.losses, curve.errors, curve.optimum) == ((), (), (), None)
    assert math.isfinite(ceiling)


def test_a_track_is_the_optimum_over_density(make_cell: MakeCell) -> None:
    cells = [
        make_cell([[2.0, 2.1, 2.4, 2.9, 3.6]], 0.875, "sp"),
        make_cell([VALLEY], 0.0, "sp"),
        make_cell(LOST, 0.9375, "sp"),
        make_cell(LOST, 0.0, "mup"),
        make_cell([VALLEY], 0.5, "smupar"),
    ]
    sp, smupar = optimum_tracks(summarise(cells))
    assert (sp.name, sp.title) == ("sp", "SP")
    assert sp.log2_density == (0.0, -3.0)
    assert sp.optima == pytest.approx([-6.0, -8.0])
    assert sp.exact == (True, False)
    assert all(map(math.isnan, sp.low + sp.high)), "one seed has no interval"
    assert (smupar.name, smupar.log2_density) == ("smupar", (-1.0,))


def test_intervals_enclose_the_optimum(make_cell: MakeCell) -> None:
    losses = [[2.4, 2.1, 2.0, 2.1, 2.4], [2.6, 2.2, 2.0, 2.05, 2.3], [2.3, 2.05, 2.0, 2.2, 2.6]]
    (track,) = optimum_tracks(summarise([make_cell(losses)]))
    assert track.low[0] < track.optima[0] < track.high[0]


def test_nothing_makes_no_pictures() -> None:
    assert families([]) == []
    assert loss_panels([]) == ([], HEADROOM)
    assert optimum_tracks([]) == []
