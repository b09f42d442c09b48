"""What tuning costs: expected losses of searches, what a transfer saves, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.statistics import runs_table
from smupar_transfer.statistics.tuning_cost import TuningCost, saving, tuning_cost
from smupar_transfer.theory import InputError

MakeRecord = Callable[..., RunRecord]
POINTS, SEEDS = 8, (0, 1)
SWEPT = ("learning_rate", "init_std")


def table(
    make_record: MakeRecord, proxy: np.ndarray, target: np.ndarray, seeds: tuple[int, ...] = SEEDS, ratio: float = 100.0
) -> pd.DataFrame:
    """Runs of a proxy and of a target that costs ``ratio`` times as much, from their losses, (points, seeds)."""
    sizes = ((32, 0.0, 1e9, 1.0, proxy), (128, 0.75, 1e9 * ratio, ratio, target))
    return runs_table(
        [
            replace(
                make_record(
                    "smupar", sparsity, -point, losses[point, index], seed, width, flops, init_std=0.01 * (point + 1)
                ),
                cpu_seconds=seconds,
            )
            for width, sparsity, flops, seconds, losses in sizes
            for point in range(len(losses))
            for index, seed in enumerate(seeds)
        ]
    )


@pytest.fixture
def losses() -> np.ndarray:
    """Eight points under two seeds, the second of which is a little worse than the first."""
    return np.asarray(np.linspace(2.0, 2.7, POINTS)[:, None] + np.array([0.0, 0.01]))


@pytest.fixture
def cost(make_record: MakeRecord, losses: np.ndarray) -> TuningCost:
    """Of a proxy that ranks the points as the target does."""
    return tuning_cost(table(make_record, losses, losses), SWEPT)


def test_a_search_reaches_the_mean_of_what_every_choice_of_points_reaches(
    make_record: MakeRecord, losses: np.ndarray
) -> None:
    """Against all subsets, with a proxy that ranks otherwise than the target."""
    source = np.random.default_rng(5)
    proxy, target = source.permutation(losses), source.permutation(losses) + source.normal(0, 0.05, losses.shape)
    cost = tuning_cost(table(make_record, proxy, target), SWEPT)

    def reached(points: tuple[int, ...], seed: int, finalists: int) -> float:
        best = sorted(points, key=lambda point: proxy[point, seed])[:finalists]
        return float(target[min(best, key=lambda point: target[point, seed]), 1 - seed])

    for way in cost.transfers:
        for draws, loss in zip(way.draws, way.loss, strict=True):
            every = [
                reached(points, seed, way.finalists)
                for points in itertools.combinations(range(POINTS), draws)
                for seed in (0, 1)
            ]
            assert loss == pytest.approx(np.mean(every), abs=1e-12)


def test_the_loss_that_won_does_not_count(make_record: MakeRecord) -> None:
    """Losses that are noise: whoever reported the winner's own would be better the longer the search."""
    noise = np.random.default_rng(3).normal(2.5, 0.1, (POINTS, 2))
    cost = tuning_cost(table(make_record, noise, noise), SWEPT)
    assert noise.min() < 2.4
    assert cost.direct.loss[-1] == pytest.approx((noise[noise[:, 0].argmin(), 1] + noise[noise[:, 1].argmin(), 0]) / 2)
    alone = tuning_cost(table(make_record, noise[:, :1], noise[:, :1], (0,)), SWEPT)
    assert alone.direct.loss[-1] == noise[:, 0].min()  # a single seed has no other to report


def test_costs_are_those_of_all_draws_and_of_the_targets_that_are_trained(cost: TuningCost) -> None:
    once, thrice = cost.transfers
    assert (once.proxy_width, once.finalists, thrice.finalists) == (32, 1, 3)
    assert once.seconds == pytest.approx(1 + 0.01 * np.array(once.draws))
    assert thrice.operations == pytest.approx(3 + 0.01 * np.array(thrice.draws))
    assert cost.direct.cost == pytest.approx(np.array(cost.direct.draws))


def test_a_proxy_that_ranks_as_the_target_saves_what_direct_search_pays(cost: TuningCost) -> None:
    transfer = cost.transfers[0]
    longest = saving(transfer, cost.direct, len(transfer.draws) - 1)
    assert longest.factor == pytest.approx(POINTS / 1.08)
    assert longest.low <= longest.factor <= longest.high
    assert longest.difference == pytest.approx(transfer.loss[-1] - cost.direct.loss[0])
    assert longest.difference_high < 0


def test_a_proxy_that_ranks_backwards_saves_nothing(make_record: MakeRecord, losses: np.ndarray) -> None:
    cost = tuning_cost(table(make_record, losses[::-1].copy(), losses), SWEPT)
    transfer = cost.transfers[0]
    longest = saving(transfer, cost.direct, len(transfer.draws) - 1)
    assert longest.factor <= 1
    assert longest.difference > 0
    assert cost.proxies[0].rank_correlation == pytest.approx(-1)


def test_a_loss_that_direct_search_never_reaches_is_known_from_below(make_record: MakeRecord) -> None:
    """Each seed has a point that only it likes; the proxy knows the point that both like."""
    target = np.full((POINTS, 2), 2.9)
    target[:3] = [[2.5, 2.5], [2.0, 3.0], [3.0, 2.0]]
    proxy = np.linspace(2.0, 2.7, POINTS)[:, None] + np.zeros(2)
    cost = tuning_cost(table(make_record, proxy, target), SWEPT)
    longest = saving(cost.transfers[0], cost.direct, len(cost.transfers[0].draws) - 1)
    assert (cost.transfers[0].loss[-1], cost.direct.loss[-1]) == (2.5, 3.0)
    assert np.isinf(longest.factor)
    assert longest.least == pytest.approx(POINTS / 1.08)


def test_a_proxy_knows_how_much_cheaper_it_is_and_how_alike_it_ranks(cost: TuningCost) -> None:
    (proxy,) = cost.proxies
    assert [proxy.seconds_ratio, proxy.operations_ratio] == pytest.approx([100, 100])
    assert proxy.rank_correlation == pytest.approx(1)
    assert proxy.low == pytest.approx(1)


def test_a_seed_that_is_only_begun_waits(make_record: MakeRecord, losses: np.ndarray) -> None:
    runs = table(make_record, losses, losses)
    begun = runs[(runs["seed"] == 0) | (runs["log2_learning_rate"] > -2)]
    cost = tuning_cost(begun, SWEPT)
    assert (cost.seeds, cost.points) == ((0,), POINTS)


def test_without_times_operations_are_the_cost(make_record: MakeRecord, losses: np.ndarray) -> None:
    runs = table(make_record, losses, losses).assign(cpu_seconds=float("nan"))
    way = tuning_cost(runs, SWEPT).transfers[0]
    assert np.isnan(way.seconds).all()
    assert way.cost is way.operations


def test_times_that_one_size_lacks_count_for_none(make_record: MakeRecord, losses: np.ndarray) -> None:
    runs = table(make_record, losses, losses)
    cost = tuning_cost(runs.assign(cpu_seconds=runs["cpu_seconds"].where(runs["width"] == 128)), SWEPT)
    for way in (cost.direct, *cost.transfers):
        assert np.isnan(way.seconds).all()
        assert way.cost is way.operations


def test_a_target_without_proxies_and_too_few_points_are_refused(make_record: MakeRecord, losses: np.ndarray) -> None:
    runs = table(make_record, losses, losses)
    with pytest.raises(InputError, match="not proxies and a target"):
        tuning_cost(runs[runs["width"] == 128], SWEPT)
    with pytest.raises(InputError, match="let more runs finish"):
        tuning_cost(table(make_record, losses[:3], losses[:3]), SWEPT)
