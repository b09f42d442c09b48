"""Useful transfer: tuning a proxy against tuning the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of
from smupar_transfer.reporting.questions.search_cost import equal_loss, verdict
from smupar_transfer.statistics.search_cost import SearchCurve, at_cost, interval

MakeRecord = Callable[..., RunRecord]
SWEPT = ("learning_rate", "init_std")
LOSSES = (2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7)


@pytest.fixture
def outcome(make_record: MakeRecord, make_manifest: Callable[..., Manifest]) -> Callable[..., Outcome]:
    """Of eight points on a proxy and on a target of a hundred times its cost."""

    def of(judged: tuple[float, ...]) -> Outcome:
        records = [
            make_record("smupar", sparsity, -point, losses[point], 0, width, flops, init_std=0.01 * (point + 1))
            for width, sparsity, flops, losses in ((32, 0.0, 1e9, judged), (128, 0.75, 1e11, LOSSES))
            for point in range(8)
        ]
        return outcome_of(make_manifest(records, kind="search", swept=SWEPT), records)

    return of


def test_a_proxy_that_ranks_as_the_target_is_useful(outcome: Callable[..., Outcome]) -> None:
    made = outcome(LOSSES)
    assert made.verdict == "holds"
    assert made.sentence.startswith(
        "For the same compute, tuning the proxy reaches a lower loss under SμPar than tuning the target itself: its"
    )
    # the better of the eight draws either way, so direct search needs eight trainings; one reaches the mean, 2.35
    ((name, compute, transferred, directly, difference, needed, better),) = made.summary.rows
    assert (name, compute, directly, needed, better) == ("SμPar", "1.1", "2.350", "8", "proxy")
    assert transferred.startswith("2.0")
    assert difference.startswith("-0.")
    assert made.summary.best == {(0, 2)}


def test_a_proxy_that_ranks_backwards_is_not(outcome: Callable[..., Outcome]) -> None:
    made = outcome(LOSSES[::-1])
    assert made.verdict != "holds"
    assert made.summary.rows[0][5] == "1"
    assert made.summary.best == {(0, 3)}


@pytest.mark.parametrize(
    ("shifts", "verdict_"),
    [
        ((-0.1, -0.05, -0.2), "holds"),
        ((-0.3, -0.1, 0.02), "holds by its estimate, not by its interval"),
        ((0.3, 0.1, -0.02), "open"),
        ((0.1, 0.05, 0.2), "does not hold"),
    ],
)
def test_the_verdict_is_about_paired_resamples(shifts: tuple[float, ...], verdict_: str) -> None:
    """The levels of resamples scatter far more than what sets the two ways apart."""
    levels = np.array([[0.0], [1.0], [2.0]])
    direct = curve([3.0, 3.0])
    transfer = replace(direct, way="transfer", loss=np.array([3.0, 3.0 + np.median(shifts)]))
    direct = replace(direct, resampled=2 + levels + np.zeros((3, 2)))
    transfer = replace(transfer, resampled=2 + levels + np.array(shifts)[:, None] + np.zeros((3, 2)))
    assert verdict([transfer, direct]) == verdict_


def test_intervals_leave_a_fortieth_on_either_side() -> None:
    assert interval(np.linspace(0, 1, 1001)[:, None])[:, 0] == pytest.approx([0.025, 0.975])


def test_the_table_has_lengths_that_double(outcome: Callable[..., Outcome]) -> None:
    (table,) = outcome(LOSSES).tables
    assert [row[1] for row in table.rows] == ["1", "2", "4", "8"] * 2
    assert table.rows[0][0] == "SμPar, tuned on the proxy"
    assert [row[2] for row in table.rows[:4]] == ["1.01", "1.02", "1.04", "1.08"]
    assert table.rows[0][3] == "2.3500"
    assert len(table.frame) == 16


def test_the_picture_has_both_ways(outcome: Callable[..., Outcome]) -> None:
    (axes,) = outcome(LOSSES).pictures[0].figure.axes
    assert [line.get_label() for line in axes.get_lines()] == ["SμPar, tuned on the proxy", "SμPar, tuned directly"]
    assert axes.get_xscale() == "log"


def curve(losses: list[float]) -> SearchCurve:
    numbers = np.array(losses)
    steps = tuple(range(1, len(losses) + 1))
    return SearchCurve("smupar", "direct", steps, np.array(steps, dtype=np.float64), numbers, numbers[None])


@pytest.mark.parametrize(("reached", "needed"), [(2.5, 1.0), (2.2, 3.0), (1.9, None)])
def test_what_direct_search_needs_for_the_same_loss(reached: float, needed: float | None) -> None:
    assert equal_loss(curve([reached]), curve([2.4, 2.3, 2.2])) == needed


@pytest.mark.parametrize(("cost", "index"), [(0.5, 0), (1.0, 0), (2.9, 1), (3.0, 2), (99.0, 2)])
def test_the_longest_search_that_can_be_afforded(cost: float, index: int) -> None:
    assert at_cost(curve([2.4, 2.3, 2.2]), cost) == index
