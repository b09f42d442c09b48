"""Loss over two hyperparameters, and its joint minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.records import Design, RunRecord
from smupar_transfer.statistics import Status, runs_table
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.joint_optimum import (
    JointOptimum,
    Surface,
    joint_optima,
    joint_table,
    surface_table,
    surfaces,
)

MakeRecord = Callable[..., RunRecord]
DESIGN = Design("contours", ("learning_rate", "init_std"))
X, Y = np.arange(-8.0, -2.0), np.arange(-6.0, 0.0)
SETTINGS = {"width": 64, "sparsity": 0.0}


def bowl(x: float, y: float, tilt: float = 0.02) -> Floats:
    dx, dy = np.meshgrid(X - x, Y - y, indexing="ij")
    return np.asarray(2 + 0.05 * dx**2 + 0.03 * dy**2 + tilt * dx * dy)


def surface(losses: Floats, along: float = 0.0) -> Surface:
    every = {**SETTINGS, "base_width": 64, "depth": 2, "tokens": 1000, "epsilon": 1e-8, "warmup": 0.1}
    every |= {"input_multiplier": 1.0, "output_multiplier": 1.0, "weight_decay": 0.0}
    text = {"weight_decay_form": "independent", "optimizer": "adamw", "mask": "random"}
    return Surface(
        "smupar", {**every, **text}, ("learning_rate", "init_std"), (X + along, Y), tuple(range(len(losses))), losses
    )


def noisy(x: float, y: float, noise: float, seed: int, seeds: int = 3) -> Surface:
    random = np.random.default_rng(seed)
    levels = 0.05 * random.normal(size=(seeds, 1, 1))
    return surface(bowl(x, y) + levels + noise * random.normal(size=(seeds, len(X), len(Y))))


def optimum_of(losses: Floats) -> JointOptimum:
    (bottom,) = joint_optima([surface(losses)])
    return bottom


@settings(deadline=None, max_examples=30)
@given(st.floats(-6.9, -4.1), st.floats(-4.9, -1.6), st.floats(-0.03, 0.03))
def test_the_bottom_of_a_quadratic_is_found(x: float, y: float, tilt: float) -> None:
    bottom = optimum_of(bowl(x, y, tilt)[None])
    if bottom.status is Status.FIT:
        assert bottom.log2_values == pytest.approx((x, y), abs=1e-6)
    else:
        assert bottom.status is Status.EDGE
    assert math.isnan(bottom.radius), "one seed tells no spread"


def test_a_minimum_at_any_side_is_at_the_edge() -> None:
    for x, y in ((-9.0, -3.0), (-1.0, -3.0), (-5.0, -7.0), (-5.0, 1.0)):
        assert optimum_of(bowl(x, y, 0.0)[None]).status is Status.EDGE
    assert optimum_of(bowl(-5.0, -3.0)[None]).status is Status.FIT


def test_where_there_is_no_bowl_the_grid_speaks() -> None:
    """Pure noise: no minimum may be read from it; over a bowl the same noise does no harm."""
    shapes = [np.random.default_rng(seed).uniform(0, 0.02, (len(X), len(Y))) for seed in range(20)]
    optima = joint_optima([surface(2 + noise[None]) for noise in shapes])
    lost = [optimum for optimum in optima if optimum.status is Status.NOT_CONVEX]
    assert len(lost) >= 3
    assert all(optimum.log2_values[0] in X and optimum.log2_values[1] in Y for optimum in lost)
    assert {optimum.status for optimum in joint_optima([surface(bowl(-5, -3) + n[None]) for n in shapes])} == {
        Status.FIT
    }


def test_diverged_and_missing_points_are_left_out() -> None:
    losses = np.stack([bowl(-5.2, -3.3)] * 2)
    losses[0, -1] = math.inf
    losses[1, :, 0] = math.nan
    bottom = optimum_of(losses)
    assert bottom.status is Status.FIT
    assert bottom.log2_values == pytest.approx((-5.2, -3.3), abs=1e-6)
    assert optimum_of(np.full((2, len(X), len(Y)), math.inf)).status is Status.NOTHING


def test_the_intervals_and_the_ellipse_hold_the_truth() -> None:
    inside, half, joint = [], [], []
    for sweep in range(25):
        truths = np.random.default_rng(sweep).uniform([-6.0, -4.0], [-5.0, -2.5], (4, 2))
        optima = joint_optima([noisy(truth[0], truth[1], 0.01, 10 * sweep + n) for n, truth in enumerate(truths)])
        for truth, optimum in zip(truths, optima, strict=True):
            assert optimum.status is Status.FIT
            off = truth - optimum.log2_values
            widths = (np.array(optimum.high) - optimum.low) / 2
            inside += list(np.abs(off) <= widths)
            half += list(np.abs(off) <= widths / 2)
            joint.append(off @ np.linalg.solve(optimum.covariance, off) <= optimum.radius**2)
    assert np.mean(inside) >= 0.92
    assert np.mean(joint) >= 0.92
    assert np.mean(half) < 0.9, "half the width must not do"


def test_the_ellipse_is_the_outline_of_the_joint_region() -> None:
    (bottom,) = joint_optima([noisy(-5.2, -3.3, 0.01, 0)])
    outline = bottom.ellipse() - bottom.log2_values
    distance = np.einsum("pi,ij,pj->p", outline, np.linalg.inv(bottom.covariance), outline)
    assert distance == pytest.approx(np.full(73, bottom.radius**2))
    assert np.isnan(optimum_of(bowl(-5.0, -3.0)[None]).ellipse()).all()


def test_levels_of_seeds_and_the_place_of_the_grid_do_not_matter() -> None:
    plain = noisy(-5.2, -3.3, 0.01, 0)
    losses = plain.losses + np.array([0.1, -0.1, 0.0])[:, None, None]
    first, second = joint_optima([plain])[0], joint_optima([surface(losses[::-1], along=2.0)])[0]
    assert second.log2_values == pytest.approx((first.log2_values[0] + 2.0, first.log2_values[1]))
    assert second.covariance == pytest.approx(first.covariance)


def test_surfaces_come_from_runs(make_record: MakeRecord) -> None:
    rates, stds = (-6.0, -5.0), (-3.0, -2.0, -1.0)
    records = [
        make_record(
            sparsity=s, seed=seed, log2_rate=rate, init_std=2.0**std, loss=None if std == -1 else 2 + rate / 10 - std
        )
        for s, seed, rate, std in product((0.0, 0.875), (0, 1), rates, stds)
    ]
    dense, sparse = surfaces(runs_table(records[:-1]), DESIGN)
    assert (dense.sparsity, sparse.sparsity) == (0.0, 0.875)
    assert [axis.tolist() for axis in dense.log2_values] == [list(rates), list(stds)]
    assert dense.mean_losses.tolist() == [
        [pytest.approx(2 + r / 10 - s) if s < -1 else math.inf for s in stds] for r in rates
    ]
    assert math.isnan(sparse.losses[1, 1, 2])
    assert "init_std" not in dense.settings


def test_tables_have_a_row_a_point_and_a_row_a_surface() -> None:
    surfaces = [noisy(-5.2, -3.3, 0.01, 0)]
    points, joint = surface_table(surfaces, DESIGN), joint_table(surfaces, joint_optima(surfaces), DESIGN)
    assert len(points) == len(X) * len(Y)
    assert points["log2_learning_rate"].to_numpy()[points["loss"].argmin()] == -5.0
    assert points["seeds"].unique().tolist() == [3]
    (row,) = joint.to_dict("records")
    assert row["family"] == "SμPar"
    assert row["low_init_std"] < row["log2_init_std"] < row["high_init_std"]


def test_points_beyond_the_window_and_dips_beyond_them_do_not_count() -> None:
    losses = np.stack([bowl(-5.2, -3.3)] * 2)
    plain = optimum_of(losses)
    far = losses[0] > 1.16 * losses[0].min()
    assert far.sum() > 4
    assert optimum_of(losses + 3 * far).log2_values == pytest.approx(plain.log2_values)
    walled = losses + 3 * far
    walled[:, 0, :2], walled[:, 1, :2] = 5.0, 5.0
    walled[:, 0, 0] = losses.min() + 0.01  # as good as the best, in a corner behind the wall
    assert optimum_of(walled).log2_values == pytest.approx(plain.log2_values)


def test_a_bowl_that_no_quadratic_fits_has_a_wider_region() -> None:
    dx, dy = np.meshgrid(X + 5.2, Y + 3.3, indexing="ij")
    steps = 1e-6 * np.array([1.0, -1.0])[:, None, None] * X[:, None]
    smooth, kinked = optimum_of(bowl(-5.2, -3.3) + steps), optimum_of(2 + 0.1 * np.abs(dx) + 0.1 * np.abs(dy) + steps)
    assert kinked.high[0] - kinked.low[0] > 50 * (smooth.high[0] - smooth.low[0])


def test_next_to_runs_that_diverged_the_optimum_is_at_the_edge() -> None:
    """Guards against a minimum placed where every run diverged."""
    losses = np.stack([bowl(-4.4, -2.4)] * 2)
    losses[:, 4:, 4:] = math.inf
    assert optimum_of(losses).status is Status.EDGE
    bottom = optimum_of(np.stack([bowl(-6.6, -4.5)] * 2) + np.where(np.isinf(losses), math.inf, 0.0))
    assert bottom.status is Status.FIT
    assert bottom.log2_values == pytest.approx((-6.6, -4.5), abs=1e-6)
