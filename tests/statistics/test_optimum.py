"""How sure the place of an optimum is, and what does not enter it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.statistics import Cell, Optimum, Status, estimate
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.curve_fit import local_fit
from smupar_transfer.statistics.optimum import _errors, _variances

MakeCell = Callable[..., Cell]
GRID = np.arange(-8.0, -1.75, 0.5)
quick = settings(deadline=None, max_examples=40)


def valley(optimum: float, curvature: float = 0.06, lowest: float = 2.0) -> Floats:
    return lowest + curvature / 2 * (GRID - optimum) ** 2


def noisy(make_cell: MakeCell, optimum: float, noise: float, seed: int, seeds: int = 3) -> Cell:
    random = np.random.default_rng(seed)
    levels = 0.05 * random.normal(size=(seeds, 1))
    return make_cell(valley(optimum) + levels + noise * random.normal(size=(seeds, len(GRID))), rates=GRID)


def optimum_of(cell: Cell) -> Optimum:
    (estimated,) = estimate([cell])
    return estimated


def test_an_estimate_says_where_the_grid_was_best(make_cell: MakeCell) -> None:
    estimated = optimum_of(make_cell([valley(-4.8) - 0.5, valley(-4.8) + 0.5], rates=GRID))
    assert estimated.status is Status.FIT
    assert estimated.log2_value == pytest.approx(-4.8)
    assert estimated.parabola == pytest.approx(-4.8)
    assert estimated.curvature == pytest.approx(0.06)
    assert estimated.fitted_loss == pytest.approx(2.0)
    assert estimated.grid_log2_value == -5.0
    assert estimated.loss == pytest.approx(2.0 + 0.03 * 0.2**2)


def test_where_nothing_trained_there_is_no_optimum(make_cell: MakeCell) -> None:
    estimated = optimum_of(make_cell([[math.inf] * 3, [math.inf] * 3]))
    assert estimated.status is Status.NOTHING
    assert estimated.loss == math.inf
    assert np.isnan(
        [estimated.log2_value, estimated.low, estimated.high, estimated.grid_log2_value, estimated.curvature]
    ).all()
    assert estimate([]) == []


def test_an_edge_is_reported_and_not_fitted(make_cell: MakeCell) -> None:
    estimated = optimum_of(make_cell([valley(-9.0), valley(-9.5)], rates=GRID))
    assert (estimated.status, estimated.log2_value, estimated.curve) == (Status.EDGE, -8.0, None)
    assert np.isnan([estimated.standard_error, estimated.curvature]).all()
    assert estimated.low == -math.inf, "it may lie beyond"
    assert -8.0 < estimated.high < -5.0, "but not on the far side of what is clearly worse"
    alone = optimum_of(make_cell([valley(-9.0)], rates=GRID))
    assert (alone.status, math.isnan(alone.low), math.isnan(alone.high)) == (Status.EDGE, True, True)


def test_an_optimum_next_to_a_run_that_diverged_ends_there(make_cell: MakeCell) -> None:
    losses = np.stack([valley(-4.0), valley(-4.2)])
    losses[:, GRID > -4.5] = math.inf
    estimated = optimum_of(make_cell(losses, rates=GRID))
    assert (estimated.status, estimated.log2_value, estimated.high) == (Status.EDGE, -4.5, -4.0)
    assert math.isfinite(estimated.low)


@pytest.mark.parametrize(("factor", "high"), [(0.98, -6.0), (1.02, -7.0)])
def test_what_is_clearly_worse_than_the_best_is_told_by_bonferroni(
    make_cell: MakeCell, factor: float, high: float
) -> None:
    """Two seeds at four values: residuals e, -e, e, -e and their opposites, with three degrees of freedom."""
    e = 0.003
    residuals = e * np.array([[1, -1, 1, -1], [-1, 1, -1, 1]])
    # Student's t for three comparisons, three degrees of freedom: 4.8567; the mean of two differences has variance s**2
    barely = 4.8567 * math.sqrt(8 * e**2 / 3)
    estimated = optimum_of(make_cell(np.array([2.0, 2.0 + factor * barely, 2.5, 3.0]) + residuals))
    assert (estimated.status, estimated.low, estimated.high) == (Status.EDGE, -math.inf, high)


def test_the_interval_of_three_points_by_hand(make_cell: MakeCell) -> None:
    """Losses c x**2 at -1, 0 and 1, and slopes -d, 0 and d: a run has variance 2 d**2, the parabola fits exactly."""
    c, d = 0.1, 0.001
    x = np.array([-1.0, 0.0, 1.0])
    estimated = optimum_of(make_cell(c * x**2 + 2 + d * np.array([[-1], [0], [1]]) * x, rates=x))
    noise, t = 2 * d**2 / 3, 4.302653
    assert estimated.standard_error == pytest.approx(math.sqrt(noise / 2) / (2 * c))
    assert estimated.degrees_of_freedom == pytest.approx(2.0)
    # Fieller: |2 c x| = t sqrt(noise ((x - 1/2)**2 + 4 x**2 + (x + 1/2)**2))
    end = math.sqrt(noise * t**2 / 2 / (4 * c**2 - 6 * noise * t**2))
    assert estimated.low == pytest.approx(-end, rel=1e-3)
    assert estimated.high == pytest.approx(end, rel=1e-3)
    assert estimated.curvature_error == pytest.approx(math.sqrt(6 * noise))


def test_the_error_of_a_curvature_has_that_of_the_place_in_it() -> None:
    """Against derivatives by small steps: where a curve is skewed, a minimum that moves sees another curvature."""
    losses = valley(-5.0, 0.2) + 0.02 * (GRID + 5.0) ** 3
    fit, _ = local_fit(GRID, losses)
    assert fit is not None
    own = losses[fit.columns]

    def curvature(at: Floats) -> float:
        _, b, c, d = fit.maps @ at
        return 2 * math.sqrt(c * c - 3 * b * d)  # at the minimum -b / (c + sqrt(c**2 - 3 b d))

    steps = 1e-6 * np.eye(len(own))
    derivatives = np.array([(curvature(own + step) - curvature(own - step)) / 2e-6 for step in steps])
    _, error, _ = _errors(replace(fit, misfit=0.0), 0.25, 2.0)
    assert error == pytest.approx(0.5 * np.linalg.norm(derivatives), rel=1e-4)


def test_points_of_fewer_seeds_have_the_variance_of_fewer() -> None:
    fit, _ = local_fit(GRID, valley(-4.8), np.where(GRID < -5, 1 / 3, 1.0))
    assert fit is not None
    weights = np.linspace(-1, 1, len(fit.columns))
    fit = replace(fit, misfit=0.5)
    by_hand = sum(w**2 * (0.25 / s + 0.5 * d) for w, s, d in zip(weights, fit.support, fit.doubt, strict=True))
    assert _variances(fit, weights, 0.25) == pytest.approx(by_hand)


def test_misfit_that_few_points_show_has_few_degrees_of_freedom(make_cell: MakeCell) -> None:
    """Noise is known from twelve cells, misfit from the residuals of one curve alone: Welch and Satterthwaite."""
    losses = 2 + 0.04 * np.abs(GRID + 5.2) + 1e-6 * np.random.default_rng(0).normal(size=(3, len(GRID)))
    first = estimate([make_cell(losses + 0.001 * n, rates=GRID) for n in range(12)])[0]
    assert first.curve is not None
    assert first.degrees_of_freedom == pytest.approx(first.curve.misfit_degrees_of_freedom, rel=1e-3)


def test_cells_of_the_same_losses_count_once(make_cell: MakeCell) -> None:
    """Parametrizations that agree where nothing is sparse share their runs."""
    cells = [noisy(make_cell, -5.2, 0.006, seed) for seed in range(5)]
    copies = [replace(cells[0], parametrization=name) for name in ("mup", "init_only", "lr_only")]
    plain, beside = estimate(cells), estimate([*cells, *copies])
    assert [(own.low, own.high) for own in beside[:5]] == [(own.low, own.high) for own in plain]
    assert {(own.low, own.high) for own in beside[5:]} == {(plain[0].low, plain[0].high)}


def test_one_seed_has_no_interval(make_cell: MakeCell) -> None:
    """Guards against an interval without width, which reads as certainty."""
    estimated = optimum_of(make_cell([valley(-4.8)], rates=GRID))
    assert estimated.status is Status.FIT
    assert estimated.log2_value == pytest.approx(-4.8)
    assert np.isnan([estimated.low, estimated.high, estimated.standard_error]).all()


def test_a_curve_flatter_than_its_noise_is_said_to_be_flat(make_cell: MakeCell) -> None:
    random = np.random.default_rng(3)
    shallow, steep = (2 + bend * (GRID + 5) ** 2 + 0.01 * random.normal(size=(3, len(GRID))) for bend in (2e-4, 0.05))
    assert optimum_of(make_cell(steep, rates=GRID)).status is Status.FIT
    estimated = optimum_of(make_cell(shallow, rates=GRID))
    assert estimated.status in (Status.FLAT, Status.NOT_CONVEX, Status.EDGE)
    if estimated.status is Status.FLAT:
        assert math.isinf(estimated.low) or math.isinf(estimated.high)


def test_seeds_are_paired_over_values(make_cell: MakeCell) -> None:
    offsets = np.array([0.3, -0.2, 0.1])
    paired = optimum_of(make_cell([valley(-5.2) + offset for offset in offsets], rates=GRID))
    assert paired.high - paired.low < 1e-5
    shuffled = np.stack([np.random.default_rng(seed).permutation(np.resize(offsets, 13)) for seed in range(3)])
    assert optimum_of(make_cell(valley(-5.2) + 0.1 * shuffled, rates=GRID)).high > paired.high + 0.1


@quick
@given(st.integers(0, 50), st.floats(-3.0, 3.0), st.permutations(range(3)), st.floats(-0.2, 0.2))
def test_what_must_not_matter_does_not(
    make_cell: MakeCell, seed: int, along: float, order: Sequence[int], level: float
) -> None:
    cell = noisy(make_cell, -5.2, 0.005, seed)
    plain = optimum_of(cell)
    changed = cell.losses[list(order)].copy()
    changed[0] += level  # of one seed, at all values alike
    changed[1] -= level
    moved = optimum_of(make_cell(changed, rates=GRID + along))
    for name in ("log2_value", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name) + along, abs=1e-3), name
    assert moved.standard_error == pytest.approx(plain.standard_error, rel=1e-6)


def coverage(make_cell: MakeCell, part: float, seeds: int, sweeps: int = 30, cells: int = 6) -> float:
    """How often the truth lies within ``part`` of the interval."""
    hits = []
    for sweep in range(sweeps):
        truths = np.random.default_rng(sweep).uniform(-6.0, -4.0, cells)
        made = [noisy(make_cell, truth, 0.006, 100 * sweep + n, seeds) for n, truth in enumerate(truths)]
        for truth, estimated in zip(truths, estimate(made), strict=True):
            reach = (
                estimated.high - estimated.log2_value
                if truth > estimated.log2_value
                else estimated.log2_value - estimated.low
            )
            hits.append(abs(truth - estimated.log2_value) <= part * reach)
    return float(np.mean(hits))


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(make_cell: MakeCell, seeds: int) -> None:
    assert 0.92 <= coverage(make_cell, 1.0, seeds) <= 0.995
    assert coverage(make_cell, 0.5, seeds) < 0.88, "half the width must not do"


def test_cells_of_a_sweep_lend_each_other_their_noise(make_cell: MakeCell) -> None:
    cells = [noisy(make_cell, -5.2, 0.006, seed) for seed in range(16)]
    together, alone = estimate(cells), [optimum_of(cell) for cell in cells]
    assert [estimated.log2_value for estimated in together] == [estimated.log2_value for estimated in alone]
    assert np.median([estimated.degrees_of_freedom for estimated in alone]) < 5
    assert np.median([estimated.degrees_of_freedom for estimated in together]) > 6
    widths = [[estimated.high - estimated.low for estimated in group] for group in (together, alone)]
    assert np.std(widths[0]) < 0.5 * np.std(widths[1])


def test_the_interval_shrinks_with_the_noise(make_cell: MakeCell) -> None:
    widths = []
    for noise in (0.0005, 0.002, 0.006):
        estimated = optimum_of(noisy(make_cell, -5.2, noise, seed=0))
        assert estimated.low < estimated.log2_value < estimated.high
        widths.append(estimated.high - estimated.low)
    assert widths[0] < widths[1] < widths[2]


def test_a_curve_that_no_cubic_fits_has_a_wider_interval(make_cell: MakeCell) -> None:
    """Guards against certainty from runs without noise about a curve of the wrong form."""
    steps = np.array([[1e-6], [-1e-6], [0.0]]) * GRID
    smooth = optimum_of(make_cell(valley(-5.2) + steps, rates=GRID))
    kinked = optimum_of(make_cell(2 + 0.04 * np.abs(GRID + 5.2) + steps, rates=GRID))
    assert kinked.high - kinked.low > 50 * (smooth.high - smooth.low)


def scouted(make_cell: MakeCell, optimum: float, noise: float = 0.0, seed: int = 0) -> Cell:
    """Half-octave steps around the optimum with three seeds, steps of two octaves with the first one."""
    whole = noisy(make_cell, optimum, noise, seed)
    losses = whole.losses.copy()
    near = np.abs(np.arange(len(GRID)) - losses.mean(axis=0).argmin()) <= 2
    losses[1:, ~near] = np.nan
    kept = near | (np.arange(len(GRID)) % 4 == 0)
    return make_cell(losses[:, kept], rates=GRID[kept], seeds=(3, 5, 7))


def test_values_that_few_seeds_ran_count_less_their_seeds_level(make_cell: MakeCell) -> None:
    estimated = optimum_of(scouted(make_cell, -5.2, noise=1e-9))
    assert estimated.seeds == (3, 5, 7)
    assert estimated.curve is not None
    assert len(estimated.curve.offsets) > 5
    assert estimated.log2_value == pytest.approx(-5.2, abs=1e-6), "a seed's level is no part of the curve"
    assert estimated.curve.support.tolist().count(1.0) == 5
    assert min(estimated.curve.support) == pytest.approx(1 / 3)


def test_what_a_single_seed_saw_steadies_an_optimum(make_cell: MakeCell) -> None:
    """Against the five values that all seeds ran, alone."""
    errors, alone = [], []
    for seed in range(40):
        cell = scouted(make_cell, -5.0, noise=0.01, seed=seed)
        near = ~np.isnan(cell.losses).any(axis=0)
        errors.append(optimum_of(cell).log2_value + 5.0)
        alone.append(optimum_of(make_cell(cell.losses[:, near], rates=cell.log2_values[near])).log2_value + 5.0)
    assert np.std(errors) < 0.95 * np.std(alone)


def test_an_open_interval_ends_at_values_that_are_clearly_worse(make_cell: MakeCell) -> None:
    """A bottom lost in noise between two walls, one of which is a run that diverged."""
    noise = 0.02 * np.array([[1, -1, 0, 1, -1, 0], [-1, 1, 0, -1, 1, 0], [0, 0, 0, 0, 0, 0]])
    losses = np.array([2.6, 2.01, 2.0, 2.01, 2.02, np.inf]) + noise
    rates = np.arange(-8.0, -2.0)
    walls = optimum_of(make_cell(losses, rates=rates))
    assert (walls.low, walls.high, walls.status) == (-8.0, -3.0, Status.FIT)
    open_left, open_right = (
        optimum_of(make_cell(losses[:, 1:], rates=rates[1:])),
        optimum_of(make_cell(losses[:, :-1], rates=rates[:-1])),
    )
    assert (open_left.low, open_left.high, open_left.status) == (-math.inf, -3.0, Status.FLAT)
    assert (open_right.low, open_right.high, open_right.status) == (-8.0, math.inf, Status.FLAT)
    assert math.isfinite(open_left.standard_error + open_right.standard_error), "a drift has its interval all the same"


def test_an_open_interval_holds_the_truth_on_shallow_curves_too(make_cell: MakeCell) -> None:
    """Guards against taking the best of many noisy values for the truth that others are worse than."""
    random, held = np.random.default_rng(5), []
    for _ in range(60):
        truths = random.uniform(-6.0, -4.0, size=5)
        sweep = [noisy_shallow(make_cell, truth, random) for truth in truths]
        for truth, estimated in zip(truths, estimate(sweep), strict=True):
            if not math.isnan(estimated.low):
                held.append(estimated.low <= truth <= estimated.high)
                assert estimated.low <= estimated.log2_value <= estimated.high
    assert len(held) > 150
    assert np.mean(held) > 0.92


def noisy_shallow(make_cell: MakeCell, optimum: float, random: np.random.Generator) -> Cell:
    return make_cell(valley(optimum, 0.01) + 0.02 * random.normal(size=(3, len(GRID))), rates=GRID)


def test_an_interval_holds_its_own_estimate(make_cell: MakeCell) -> None:
    """A minimum of the fit that lies beyond the best value, and a value between them that is clearly worse."""
    losses = [
        [1.9927, 1.9908, 1.9923, 1.9897, 1.9802, 1.987, 1.9782, 2.0146, 2.0063],
        [math.nan, math.nan, 1.9836, 1.988, 1.9824, 1.9883, 1.9849, 1.9891, 2.0468],
        [math.nan, math.nan, 2.0327, 2.0373, 2.0421, 2.0626, 2.0155, 2.045, 2.081],
    ]
    estimated = optimum_of(make_cell(losses, rates=[-3, -1, 0, 0.5, 1, 1.5, 2, 2.5, 3]))
    assert estimated.low <= estimated.log2_value <= estimated.high


def test_a_spike_in_one_run_does_not_move_what_its_seed_saw_elsewhere(make_cell: MakeCell) -> None:
    cell = scouted(make_cell, -5.0, noise=0.002)
    losses = cell.losses.copy()
    losses[0, np.flatnonzero(~np.isnan(losses).any(axis=0))[-1]] += 2.5
    estimated = optimum_of(make_cell(losses, rates=cell.log2_values))
    assert estimated.log2_value == pytest.approx(-5.0, abs=0.2)


def test_seeds_with_few_values_cost_nobody_the_interval(make_cell: MakeCell) -> None:
    noise = 0.02 * np.array([[1, -1, 0, 1, -1, 0], [-1, 1, 0, -1, 1, 0], [0, 0, 1, 0, 0, -1]])
    losses = np.array([2.6, 2.01, 2.0, 2.01, 2.02, 2.6]) + noise
    losses[2, [1, 3, 4]] = np.nan
    estimated = optimum_of(make_cell(losses, rates=np.arange(-8.0, -2.0)))
    assert estimated.low <= estimated.log2_value <= estimated.high
    losses[2] = [2.5, np.nan, np.inf, np.nan, np.nan, np.nan]
    losses[:2] -= 0.9 * noise[:2]
    estimated, without = (optimum_of(make_cell(losses[:seeds], rates=np.arange(-8.0, -2.0))) for seeds in (3, 2))
    assert (estimated.low, estimated.high) == (without.low, without.high), (
        "a seed that diverged at the best value is left out"
    )
    assert math.isfinite(estimated.low)


def test_a_flat_cell_lends_nobody_its_misfit(make_cell: MakeCell) -> None:
    random = np.random.default_rng(0)
    steep = make_cell(
        2 + 0.15 * (np.arange(-7.0, -3.0) + 5.3) ** 2 + 0.003 * random.normal(size=(3, 4)), rates=np.arange(-7.0, -3.0)
    )
    normal = [noisy(make_cell, -5.0, 0.003, seed) for seed in range(6)]
    flat = make_cell(2 + 0.001 * (GRID + 5) ** 2 + 0.006 * random.normal(size=(3, len(GRID))), rates=GRID)
    alone, beside = estimate([steep, *normal])[0], estimate([steep, *normal, flat])[0]
    assert beside.high - beside.low < 2 * (alone.high - alone.low) < 1.0


def test_a_fit_without_residuals_borrows_the_misfit_of_the_others(make_cell: MakeCell) -> None:
    few = make_cell((2 + 0.05 * np.abs(np.arange(4) - 1.4) + 1e-6 * np.eye(3, 4)), rates=np.arange(-7.0, -3.0))
    many = make_cell(2 + 0.05 * np.abs(GRID + 5.2) + 1e-6 * np.eye(3, len(GRID)), rates=GRID)
    alone, lent = optimum_of(few), estimate([few, many])[0]
    assert lent.standard_error > 10 * alone.standard_error


def test_a_seed_that_diverged_nearly_everywhere_costs_the_others_nothing(make_cell: MakeCell) -> None:
    near = slice(4, 9)
    losses = np.full((3, len(GRID)), math.nan)
    losses[0], losses[1:, near] = valley(-4.8), valley(-4.8)[near]
    losses[2, [4, 5, 6, 7]] = math.inf
    estimated = optimum_of(make_cell(losses, rates=GRID))
    assert (estimated.status, estimated.seeds) == (Status.FIT, (0, 1))
    assert math.isfinite(estimated.low)
    losses = np.stack([valley(-4.8)] * 3)
    losses[2] = math.inf
    assert optimum_of(make_cell(losses, rates=GRID)).seeds == (0, 1)
    losses[2, 2] = 2.5
    estimated = optimum_of(make_cell(losses, rates=GRID))
    assert (estimated.status, estimated.seeds) == (Status.FIT, (0, 1)), "one value that it trained at is no minimum"
