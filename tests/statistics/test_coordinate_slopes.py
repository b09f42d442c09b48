"""Slopes of coordinate checks: exact on power laws, honest about noise, strict about what is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.statistics.coordinate_slopes import (
    EXACT,
    JUDGED,
    PARTIAL,
    LayerSlope,
    Moment,
    SlopeEstimate,
    Verdict,
    difference,
    exponent_at_start,
    gaps,
    mean_of,
    require_one_axis,
    sizes_table,
    slopes,
)
from smupar_transfer.theory import PARAMETRIZATIONS, UPDATE_RULES, Coordinate, InputError

MakeCheck = Callable[..., CoordinateRecord]
UnderSGD = Callable[..., CoordinateRecord]

STEPS = 2
SPARSITIES = (0.0, 0.5, 0.75)
NOISE = (-0.01, 0.0, 0.01)
# Over density, by theory: activation and gradient with the root of the non-zero fan-in, updates with the fan-in itself.
POWERS = {"sp": (0.5, 0.5, 1.0), "mup": (0.5, 0.5, 1.0), "smupar": (0.0, 0.0, 0.0)}


def checks(make_check: MakeCheck, names: dict[str, tuple[float, float, float]]) -> list[CoordinateRecord]:
    return [
        make_check(name, sparsity, seed=seed, powers=powers, noise=noise)
        for name, powers in names.items()
        for sparsity in SPARSITIES
        for seed, noise in enumerate(NOISE)
    ]


def slopes_of(records: list[CoordinateRecord], axis: str = "sparsity") -> list[LayerSlope]:
    return slopes(sizes_table(records, axis), axis, STEPS)


def test_the_table_has_a_row_a_size(make_check: MakeCheck) -> None:
    table = sizes_table([make_check("mup", 0.75, seed=3, powers=(0.5, 0.5, 1.0))], "sparsity")
    assert len(table) == 2 * (3 * (STEPS + 1) + STEPS)
    assert set(table["parametrization"]) == {"mup"}
    assert set(table["seed"]) == {3}
    assert set(table["scale"]) == {0.25}
    update = table[(table["coordinate"] == "update") & (table["layer"] == "mlp.up")]
    assert list(update["step"]) == [0, 1]
    assert list(update["size"]) == [0.25, 0.25]


def test_slopes_of_power_laws_are_their_exponents(make_check: MakeCheck) -> None:
    for slope in slopes_of(checks(make_check, POWERS)):
        exponent = POWERS[slope.parametrization][list(Coordinate).index(slope.coordinate)]
        assert slope.estimate.mean == pytest.approx(exponent)
        assert dict(slope.estimate.by_seed) == pytest.approx(dict(enumerate(exponent + noise for noise in NOISE)))
        assert slope.predicted == (exponent if slope.moment is Moment.START else None)


def test_there_is_a_slope_a_layer_and_judged_size_in_the_order_of_theory(make_check: MakeCheck) -> None:
    order = [(s.parametrization, s.coordinate, s.moment, s.layer) for s in slopes_of(checks(make_check, POWERS))]
    names = [name for name in PARAMETRIZATIONS if name in POWERS]
    assert order == [(name, *size, layer) for name in names for size in JUDGED for layer in ("mlp.up", "mlp.down")]


@pytest.mark.parametrize("count", [2, 3, 5, 20, 21])
def test_intervals_are_students(count: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).normal(size=count)
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count)
    expected = (values.mean() - half, values.mean() + half)
    assert SlopeEstimate(dict(enumerate(values))).interval == pytest.approx(expected, rel=2e-3)
    assert SlopeEstimate(dict(enumerate(values))).mean == pytest.approx(values.mean())


def test_an_interval_for_two_looks_is_wider_as_bonferroni_has_it() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = {0: 1.0, 1: 2.0, 2: 4.0}
    low, high = SlopeEstimate(values).interval
    wide_low, wide_high = SlopeEstimate(values, looks=2).interval
    assert (wide_high - wide_low) / (high - low) == pytest.approx(stats.t.ppf(0.9875, 2) / stats.t.ppf(0.975, 2))
    assert mean_of([SlopeEstimate(values), SlopeEstimate(values, 2)]).looks == 2
    assert difference(SlopeEstimate(values, 2), SlopeEstimate(values)).looks == 2


def test_intervals_cover_where_a_bootstrap_of_five_seeds_does_not() -> None:
    """Why Student's t: percentiles of resampled means of five are too narrow. 1,000 draws: +- 1.4 points."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(1000, 5))
    inside = [low <= 0 <= high for low, high in (SlopeEstimate(dict(enumerate(row))).interval for row in draws)]
    assert 0.93 < np.mean(inside) < 0.97
    resampled = draws[:, rng.integers(5, size=(400, 5))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.9


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.05, 0.05, 0.05), Verdict.INSIDE),
        ((-0.05, -0.05), Verdict.INSIDE),
        ((0.5, 0.5, 0.51), Verdict.OUTSIDE),
        ((-0.5, -0.51), Verdict.OUTSIDE),
        ((0.0, 0.2), Verdict.OPEN),
        ((0.0,), Verdict.OPEN),
        ((0.5,), Verdict.OPEN),
        ((), Verdict.OPEN),
    ],
)
def test_a_whole_interval_decides(values: tuple[float, ...], verdict: Verdict) -> None:
    assert SlopeEstimate(dict(enumerate(values))).judge(0.0, EXACT) is verdict
    assert SlopeEstimate({seed: value + 1 for seed, value in enumerate(values)}).judge(1.0, EXACT) is verdict


@pytest.mark.parametrize(("slope", "verdict"), [(-0.5, "INSIDE"), (-0.7, "OUTSIDE"), (0.2, "INSIDE"), (0.3, "OUTSIDE")])
def test_updates_may_be_less_aligned_but_not_more(slope: float, verdict: str) -> None:
    """Between independent and aligned sums a correct rule slopes down by at most 1/2, a wrong one up by 1/2 or more."""
    assert SlopeEstimate({0: slope, 1: slope}).judge(0.0, PARTIAL) is Verdict[verdict]


def test_strain_is_measured_by_the_side_of_the_allowance() -> None:
    assert (PARTIAL.strain(0.25), PARTIAL.strain(-0.6), PARTIAL.strain(-0.3)) == (1.0, 1.0, 0.5)
    assert math.isnan(PARTIAL.strain(math.nan))
    assert (str(PARTIAL), str(EXACT)) == ("-0.6 to +0.25", "-0.1 to +0.1")


@pytest.mark.parametrize(("claimed", "agreement"), [("smupar", Verdict.OUTSIDE), ("mup", Verdict.INSIDE)])
def test_another_tables_exponents_are_rejected(make_check: MakeCheck, claimed: str, agreement: Verdict) -> None:
    """An implementation that scaled as muP does and called itself SuPar."""
    at_start = [s for s in slopes_of(checks(make_check, {claimed: POWERS["mup"]})) if s.moment is Moment.START]
    assert {slope.agreement for slope in at_start} == {agreement}


def test_a_seed_that_lacks_a_size_is_left_out(make_check: MakeCheck) -> None:
    records = checks(make_check, {"smupar": (0.0, 0.0, 0.0)})
    first = records[0]
    cut = tuple(replace(layer, activation=layer.activation[:1], gradient=(0.0,) * 3) for layer in first.layers)
    by_size = {
        (s.coordinate, s.moment): set(s.estimate.by_seed) for s in slopes_of([replace(first, layers=cut), *records[1:]])
    }
    assert by_size[Coordinate.ACTIVATION, Moment.START] == {0, 1, 2}
    assert by_size[Coordinate.ACTIVATION, Moment.END] == {1, 2}
    assert by_size[Coordinate.GRADIENT, Moment.START] == {1, 2}


def test_a_single_position_has_no_slope(make_check: MakeCheck) -> None:
    with pytest.raises(InputError, match=r"^axis=sparsity: has a single value"):
        slopes_of([make_check("smupar", 0.5)])


def test_a_parametrization_with_a_single_position_has_no_slopes_beside_another_that_has(make_check: MakeCheck) -> None:
    """An interrupted check; a line through one point once ended the command with a traceback."""
    records = [*checks(make_check, {"mup": POWERS["mup"]}), make_check("smupar", 0.5)]
    assert {s.parametrization for s in slopes_of(records) if s.estimate.by_seed} == {"mup"}


def test_positions_may_differ_between_parametrizations(make_check: MakeCheck) -> None:
    records = checks(make_check, {"smupar": POWERS["smupar"]})
    records += [make_check("sp", sparsity, powers=POWERS["sp"]) for sparsity in (0.0, 0.25)]
    for slope in slopes_of(records):
        assert slope.estimate.mean == pytest.approx(
            POWERS[slope.parametrization][list(Coordinate).index(slope.coordinate)]
        )


def test_runs_that_differ_in_more_than_the_axis_are_refused(make_check: MakeCheck) -> None:
    with pytest.raises(InputError, match=r"^axis=sparsity: is not all that runs differ in: model.width is 64 and 128"):
        sizes_table([make_check("smupar", 0.5), make_check("smupar", 0.25, width=128)], "sparsity")
    longer = make_check("mup", 0.5, steps=3)
    with pytest.raises(InputError, match=r"budget.steps is 2 and 3"):
        sizes_table([make_check("smupar", 0.5), longer], "sparsity")
    with pytest.raises(InputError, match=r"^axis=depth: is not one of sparsity, width"):
        sizes_table([make_check("smupar", 0.5)], "depth")


def test_parametrizations_may_have_hyperparameters_of_their_own(make_check: MakeCheck) -> None:
    own, other = make_check("smupar", 0.5).spec, make_check("sp", 0.5).spec
    other = replace(other, hparams=replace(other.hparams, learning_rate=0.5))
    require_one_axis([own, other], "sparsity")
    with pytest.raises(InputError, match=r"hparams.learning_rate"):
        require_one_axis([own, replace(own, hparams=other.hparams)], "sparsity")


def test_means_and_differences_are_paired_by_seed() -> None:
    a, b = SlopeEstimate({0: 1.0, 1: 2.0}), SlopeEstimate({0: 0.0, 1: 0.5, 2: 9.0})
    assert dict(difference(a, b).by_seed) == {0: 1.0, 1: 1.5}
    assert dict(mean_of([a, SlopeEstimate({1: 0.0, 0: 3.0})]).by_seed) == {0: 2.0, 1: 1.0}
    assert dict(mean_of([a, b]).by_seed) == {}


def test_gaps_to_the_control(make_check: MakeCheck) -> None:
    measured = gaps(slopes_of(checks(make_check, POWERS)), "sparsity")
    assert [(gap.parametrization, gap.control, gap.predicted) for gap in measured] == [
        ("sp", "mup", 0.0),
        ("smupar", "mup", 1.0),
    ]
    assert [gap.estimate.mean for gap in measured] == pytest.approx([0.0, 1.0])
    low, high = measured[1].estimate.interval
    assert high - low == pytest.approx(0.0, abs=1e-9), "noise that both share is no noise"
    assert (measured[1].low_layer, measured[1].high_layer) == pytest.approx((1.0, 1.0))
    assert gaps(slopes_of(checks(make_check, {"smupar": (0.0, 0.0, 0.0)})), "sparsity") == []


def test_over_width_the_control_is_sp(make_check: MakeCheck) -> None:
    records = [
        make_check(name, 0.75, seed, width=width, powers=powers, axis="width")
        for name, powers in {"sp": (0.5, 0.0, 1.0), "mup": (0.0, 0.0, 0.0), "smupar": (0.0, 0.0, 0.0)}.items()
        for width in (64, 128)
        for seed in (0, 1)
    ]
    measured = gaps(slopes(sizes_table(records, "width"), "width", 2), "width")
    assert [(gap.parametrization, gap.control, gap.predicted) for gap in measured] == [
        ("mup", "sp", 1.0),
        ("smupar", "sp", 1.0),
    ]
    assert [gap.estimate.mean for gap in measured] == pytest.approx([1.0, 1.0])


SGD = {  # by theory, where activations keep their size at initialisation; None says nothing
    ("sparsity", "smupar"): 0.0,
    ("sparsity", "init_only"): 1.0,
    ("sparsity", "mup"): None,
    ("sparsity", "lr_only"): None,
    ("width", "mup"): 0.0,
    ("width", "smupar"): 0.0,
    ("width", "sp"): None,
}


@pytest.mark.parametrize(("axis", "name"), SGD)
def test_of_sgd_theory_predicts_less_than_of_adam(axis: str, name: str) -> None:
    """What it predicts of Adam was once held against SGD under tables whose activations drift as they should."""
    assert exponent_at_start(name, Coordinate.UPDATE, axis, UPDATE_RULES["sgd"]) == SGD[axis, name]
    assert exponent_at_start(name, Coordinate.UPDATE, axis, UPDATE_RULES["adamw"]) is not None
    for coordinate in (Coordinate.ACTIVATION, Coordinate.GRADIENT):
        of_adam = exponent_at_start(name, coordinate, axis, UPDATE_RULES["adamw"])
        assert exponent_at_start(name, coordinate, axis, UPDATE_RULES["sgd"]) == of_adam


def test_a_gap_without_a_prediction(make_check: MakeCheck) -> None:
    sizes = sizes_table(checks(make_check, POWERS), "sparsity")
    measured = gaps(slopes(sizes, "sparsity", STEPS, UPDATE_RULES["sgd"]), "sparsity")
    assert [(gap.parametrization, gap.predicted) for gap in measured] == [("sp", None), ("smupar", None)]


def test_first_updates_of_sgd_are_those_without_the_clip(make_check: MakeCheck, under_sgd: UnderSGD) -> None:
    """A norm that grows with density as its root: the clip alone makes a slope of -1/2."""
    records = [
        under_sgd(record, norm=8 * record.spec.sparsity.density**0.5, clip_updates=True)
        for record in checks(make_check, {"smupar": (0.0, 0.0, 0.0)})
    ]
    updates = [s for s in slopes_of(records) if s.coordinate is Coordinate.UPDATE]
    assert [s.estimate.mean for s in updates] == pytest.approx([0.0, 0.0], abs=1e-6)
    bare = [replace(record, gradient_norms=()) for record in records]
    assert [s.estimate.mean for s in slopes_of(bare) if s.coordinate is Coordinate.UPDATE] == pytest.approx(
        [-0.5, -0.5]
    )
