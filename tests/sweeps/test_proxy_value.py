"""What the proxy says, from records: the same value as zero-shot regret carries over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.records import Design, RunRecord
from smupar_transfer.statistics import cells, runs_table, summarise
from smupar_transfer.sweeps.proxy_value import transferred_values

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def cell(make_record: MakeRecord) -> Callable[..., list[RunRecord]]:
    """Runs of a cell, a parabola with its optimum where it is said."""

    def made(optimum: float, **settings: object) -> list[RunRecord]:
        rates = [float(rate) for rate in range(-9, -2)]
        return [make_record(log2_rate=rate, loss=2 + 0.01 * (rate - optimum) ** 2, **settings) for rate in rates]

    return made


def test_each_cell_is_told_the_optimum_of_its_own_proxy(cell: Callable[..., list[RunRecord]]) -> None:
    proxies = [cell(-6.25, parametrization="sp", width=32), cell(-5.5, parametrization="smupar", width=32)]
    targets = [
        cell(-4.0, parametrization="smupar", width=256, sparsity=0.75),
        cell(-7.0, parametrization="sp", width=256, sparsity=0.75),
    ]
    predictions = transferred_values([*targets, *proxies], Design(), otherwise=-1.0)
    assert predictions == pytest.approx([-5.5, -6.25, -6.25, -5.5])
    every = [run for runs in (*targets, *proxies) for run in runs]
    regrets = {s.cell.parametrization: s.zero_shot for s in summarise(cells(runs_table(every))) if s.cell.width == 256}
    assert regrets["sp"] is not None
    assert regrets["sp"].log2_value == pytest.approx(predictions[1])


def test_without_a_proxy_it_is_what_was_tuned_before(cell: Callable[..., list[RunRecord]]) -> None:
    target = cell(-4.0, parametrization="mup", width=256, sparsity=0.5)
    other = cell(-4.0, width=32)
    assert transferred_values([target], Design(), otherwise=-6.5) == [-6.5]
    assert transferred_values([target, other], Design()) == [None, pytest.approx(-4.0)]


def test_where_nothing_trained_nothing_is_transferred(
    cell: Callable[..., list[RunRecord]], make_record: MakeRecord
) -> None:
    lost = [make_record(log2_rate=rate, loss=None, parametrization="sp", width=256) for rate in (-6.0, -4.0)]
    proxy = cell(-5.5, parametrization="sp", width=32)
    assert transferred_values([lost, proxy], Design(), otherwise=-1.0) == [None, pytest.approx(-5.5)]
    lost_proxy = [make_record(log2_rate=rate, loss=None, parametrization="sp", width=32) for rate in (-6.0, -4.0)]
    target = cell(-5.0, parametrization="sp", width=256)
    assert transferred_values([target, lost_proxy], Design(), otherwise=-1.0) == [-1.0, None]
