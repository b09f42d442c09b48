"""Adaptive plans: they find the optimum, they end, and they do not depend on where a sweep was interrupted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from smupar_transfer.sweeps.adaptive import CellSearch, GridPoint, beside, planned, typical

Curve = Callable[[GridPoint], float]

SEARCH = CellSearch(points=17, coarse=4, reach=2, seeds=(0, 1, 2))


def bowl(optimum: float, noise: float = 0.0, seed: int = 0, walls: tuple[float, float] = (-99, 99)) -> Curve:
    """Loss in nats over half-octave steps: curvature 0.1 a square octave, noise in part common to a seed's runs."""

    def loss(grid_point: GridPoint) -> float:
        point, run_seed = grid_point
        if not walls[0] <= point <= walls[1]:
            return math.inf
        common = random.Random(f"{seed} {run_seed}").gauss(0, noise)
        own = random.Random(f"{seed} {grid_point}").gauss(0, noise)
        return 2 + 0.025 * (point - optimum) ** 2 + common + own

    return loss


def window(search: CellSearch, plan: list[GridPoint]) -> set[int]:
    """Points that every seed runs."""
    return {point for point, _ in plan if all((point, seed) in plan for seed in search.seeds)}


def best_of_full_grid(search: CellSearch, curve: Curve) -> int:
    return min(range(search.points), key=lambda point: sum(curve((point, seed)) for seed in search.seeds))


def test_it_begins_with_wide_steps_of_the_first_seed() -> None:
    assert planned(SEARCH, lambda _: None) == [(0, 0), (4, 0), (8, 0), (12, 0), (16, 0)]


def test_around_the_optimum_every_point_has_every_seed() -> None:
    plan = planned(SEARCH, bowl(8))
    assert window(SEARCH, plan) == {6, 7, 8, 9, 10}
    assert sorted(set(plan) - {(point, seed) for point in range(6, 11) for seed in range(3)}) == [
        *((0, 0), (4, 0), (12, 0), (16, 0))
    ]
    assert len(plan) == len(set(plan)) == 19


@pytest.mark.parametrize("optimum", range(17))
def test_the_window_reaches_on_both_sides_of_the_optimum_wherever_it_is(optimum: int) -> None:
    plan = planned(SEARCH, bowl(optimum))
    assert set(range(max(0, optimum - 2), min(17, optimum + 3))) <= window(SEARCH, plan)
    assert len(plan) < 0.6 * 17 * 3


def test_an_optimum_at_the_edge_extends_what_is_run_to_the_end_of_the_grid() -> None:
    search = CellSearch(points=19, coarse=4, reach=2, seeds=(0, 1))
    assert max(point for point, _ in planned(search, lambda _: None)) == 16
    assert {16, 17, 18} <= window(search, planned(search, bowl(25)))
    assert {0, 1, 2} <= window(search, planned(search, bowl(-9)))


@pytest.mark.parametrize("walls", [(-1, 9), (7, 20), (7.5, 9.5)])
def test_diverging_ends_are_no_optimum(walls: tuple[float, float]) -> None:
    plan = planned(SEARCH, bowl(9, walls=walls))
    assert {8, 9} <= window(SEARCH, plan)


def test_where_nothing_trains_nothing_more_is_asked_for() -> None:
    assert len(planned(SEARCH, lambda _: math.inf)) == 5


def test_of_a_plateau_the_middle_is_taken() -> None:
    assert window(SEARCH, planned(SEARCH, lambda _: 2.0)) == {6, 7, 8, 9, 10}


@pytest.mark.parametrize("seed", range(50))
def test_noise_alone_ends_as_well(seed: int) -> None:
    asked: list[int] = []

    def noise(grid_point: GridPoint) -> float:
        asked.append(1)
        return random.Random(f"{seed} {grid_point}").random()

    plan = planned(SEARCH, noise)
    assert len(plan) == len(set(plan)) == len(asked) <= 17 * 3
    assert {point for point, _ in plan} <= set(range(17))


def test_a_lucky_first_seed_does_not_draw_the_optimum_away() -> None:
    """Its coarse points lie lower than any mean over seeds; compared by the same seed they do not."""
    lucky = {0: -1.0, 1: 0.5, 2: 0.5}
    plan = planned(SEARCH, lambda grid_point: bowl(8)(grid_point) + lucky[grid_point[1]])
    assert plan == planned(SEARCH, bowl(8))


@pytest.mark.parametrize("seed", range(10))
def test_an_interrupted_sweep_comes_to_the_same_plan(seed: int) -> None:
    """Losses come one at a time, in any order of what is asked for, and others lie about; every stop is a restart."""
    curve, chance = bowl(11, noise=0.05, seed=seed), random.Random(seed)
    whole = planned(SEARCH, curve)
    known = {(point, 2): curve((point, 2)) for point in (3, 9)}  # from an older sweep
    sizes = []
    while missing := [grid_point for grid_point in planned(SEARCH, known.get) if grid_point not in known]:
        grid_point = chance.choice(missing)
        known[grid_point] = curve(grid_point)
        assert planned(SEARCH, known.get) == whole[: len(planned(SEARCH, known.get))]
        sizes.append(len(known))
    assert planned(SEARCH, known.get) == whole
    assert len(sizes) > 10


def found_as_by_the_full_grid(search: CellSearch, noise: float) -> float:
    """Part of noisy curves, optimum anywhere, whose final window holds the full grid's best point or one as good."""
    hits = 0
    for trial in range(200):
        curve = bowl(random.Random(trial).uniform(0, 16), noise, seed=trial)
        plan = planned(search, curve)
        best = best_of_full_grid(search, curve)
        hits += best in window(search, plan)
    return hits / 200


def test_the_window_holds_what_the_full_grid_would_find_and_without_reach_it_does_not() -> None:
    assert found_as_by_the_full_grid(SEARCH, noise=0.005) >= 0.995
    assert found_as_by_the_full_grid(SEARCH, noise=0.02) >= 0.95
    assert found_as_by_the_full_grid(CellSearch(17, 4, 0, (0, 1, 2)), noise=0.005) < 0.5


def test_a_typical_plan_lies_between_the_smallest_and_the_largest() -> None:
    sizes = [len(planned(SEARCH, bowl(optimum))) for optimum in range(17)]
    assert min(sizes) <= len(typical(SEARCH)) <= max(sizes)
    assert len(typical(SEARCH)) == sorted(sizes)[8]


def test_beside_a_value_lie_two_points_or_the_one_that_it_is() -> None:
    seeds = (4, 2)
    search = CellSearch(17, 4, 2, seeds)
    assert beside(search, 3.4) == [(3, 4), (3, 2), (4, 4), (4, 2)]
    assert beside(search, 3 + 1e-12) == [(3, 4), (3, 2)]
    assert beside(search, 16) == [(16, 4), (16, 2)]
    assert beside(search, -0.2) == beside(search, 16.5) == []
