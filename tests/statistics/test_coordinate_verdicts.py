"""What a coordinate check says about a parametrization: drift, rest, and every reason for neither."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.statistics.coordinate_slopes import Moment, Verdict
from smupar_transfer.statistics.coordinate_verdicts import Reason, judge, slopes_of
from smupar_transfer.theory import Coordinate, UpdateRule, UpdateSize, like_adam, update_rules

MakeCheck = Callable[..., CoordinateRecord]
UnderSGD = Callable[..., CoordinateRecord]

SPARSITIES = (0.0, 0.5, 0.75)
NOISE = (-0.01, 0.0, 0.01)
POWERS = {"sp": (0.5, 0.5, 1.0), "mup": (0.5, 0.5, 1.0), "smupar": (0.0, 0.0, 0.0)}


def checks(make_check: MakeCheck, names: dict[str, tuple[float, float, float]]) -> list[CoordinateRecord]:
    return [
        make_check(name, sparsity, seed=seed, powers=powers, noise=noise)
        for name, powers in names.items()
        for sparsity in SPARSITIES
        for seed, noise in enumerate(NOISE)
    ]


def test_over_width(make_check: MakeCheck) -> None:
    powers = {"sp": (0.5, 0.5, 1.0), "mup": (0.0, 0.0, 0.0)}
    records = [
        make_check(name, 0.75, seed, width, powers[name], noise, "width")
        for name in powers
        for width in (64, 128, 256)
        for seed, noise in enumerate(NOISE)
    ]
    judged = {item.parametrization: item for item in judge(records, "width")}
    assert {name: item.verdict for name, item in judged.items()} == {"sp": Verdict.OUTSIDE, "mup": Verdict.INSIDE}
    assert all(item.verdict is item.expected for item in judged.values())


def test_only_supar_stays_put_over_density(make_check: MakeCheck) -> None:
    for item in judge(checks(make_check, POWERS), "sparsity"):
        supar = item.parametrization == "smupar"
        assert item.verdict is item.expected is (Verdict.INSIDE if supar else Verdict.OUTSIDE)
        assert item.worst is not None
        assert supar or item.worst.coordinate is Coordinate.ACTIVATION


@pytest.mark.parametrize("coordinate", range(3))
def test_one_size_that_drifts_is_enough(make_check: MakeCheck, coordinate: int) -> None:
    powers = [0.0, 0.0, 0.0]
    powers[coordinate] = 0.5
    (item,) = judge(checks(make_check, {"smupar": (powers[0], powers[1], powers[2])}), "sparsity")
    assert item.verdict is Verdict.OUTSIDE
    assert item.worst is not None
    assert item.worst.coordinate is list(Coordinate)[coordinate]


def test_a_drift_of_one_layer_after_the_first_steps_is_enough(make_check: MakeCheck) -> None:
    records = []
    for record in checks(make_check, {"smupar": (0.0, 0.0, 0.0)}):
        up, down = record.layers
        late = (*down.activation[:-1], down.activation[-1] * record.spec.sparsity.density**0.5)
        records.append(replace(record, layers=(up, replace(down, activation=late))))
    (item,) = judge(records, "sparsity")
    assert item.verdict is Verdict.OUTSIDE
    assert item.worst is not None
    assert (item.worst.layer, item.worst.moment) == ("mlp.down", Moment.END)


def test_one_seed_decides_nothing(make_check: MakeCheck) -> None:
    records = [make_check("smupar", sparsity) for sparsity in SPARSITIES]
    (item,) = judge(records, "sparsity")
    assert (item.verdict, item.reasons) == (Verdict.OPEN, (Reason.FEW_SEEDS,))
    assert item.seeds_would_decide
    assert item.worst is not None
    assert math.isnan(item.worst.estimate.interval[0])


def test_without_any_seed_the_verdict_is_open(make_check: MakeCheck) -> None:
    records = [
        replace(record, layers=tuple(replace(layer, update=()) for layer in record.layers))
        for record in checks(make_check, {"smupar": (0.0, 0.0, 0.0)})
    ]
    (item,) = judge(records, "sparsity")
    assert (item.verdict, item.reasons) == (Verdict.OPEN, (Reason.UNMEASURED,))
    assert item.worst is None
    assert {slope.coordinate for slope in item.unmeasured} == {Coordinate.UPDATE}
    assert not item.seeds_would_decide


def with_late_drift(record: CoordinateRecord, power: float) -> CoordinateRecord:
    up, down = record.layers
    late = (*down.activation[:-1], down.activation[-1] * record.spec.sparsity.density**power)
    return replace(record, layers=(up, replace(down, activation=late)))


def test_a_size_that_is_zero_at_one_scale_leaves_open_what_others_do_not(make_check: MakeCheck) -> None:
    """It said "nothing could be measured" of a check that had measured all sizes but one."""
    records = checks(make_check, {"smupar": POWERS["smupar"]})
    dead = [
        replace(r, layers=(replace(r.layers[0], update=(0.0, 0.0)), r.layers[1]))
        if r.spec.sparsity.density < 0.3
        else r
        for r in records
    ]
    (item,) = judge(dead, "sparsity")
    assert (item.verdict, item.reasons) == (Verdict.OPEN, (Reason.UNMEASURED,))
    assert [(slope.layer, slope.coordinate) for slope in item.unmeasured] == [("mlp.up", Coordinate.UPDATE)]


def test_survivors_of_divergence_do_not_prove_that_sizes_stay_put(make_check: MakeCheck) -> None:
    """Seeds whose sparse run diverged fell out, and the verdict was what was left of them."""
    records = checks(make_check, {"smupar": POWERS["smupar"]})
    first = records[-1]
    cut = tuple(
        replace(x, output=x.output[:1], activation=x.activation[:1], gradient=x.gradient[:1]) for x in first.layers
    )
    records[-1] = replace(first, losses=first.losses[:1], layers=cut)
    (item,) = judge(records, "sparsity")
    assert item.reasons[-1] is Reason.DIVERGED
    assert (item.verdict, item.diverged, item.runs) == (Verdict.OPEN, 1, 9)
    assert not item.seeds_would_decide


def test_a_drift_is_one_whatever_diverged(make_check: MakeCheck) -> None:
    records = checks(make_check, {"mup": POWERS["mup"]})
    records[-1] = replace(records[-1], losses=records[-1].losses[:1])
    (item,) = judge(records, "sparsity")
    assert (item.verdict, item.reasons, item.diverged) == (Verdict.OUTSIDE, (), 1)


@pytest.mark.parametrize(
    ("norm", "verdict"),
    [
        pytest.param(4.0, Verdict.OPEN, id="the clip acted"),
        pytest.param(None, Verdict.OPEN, id="nobody knows"),
        pytest.param(0.5, Verdict.OUTSIDE, id="it did not act"),
    ],
)
def test_what_drifts_under_a_clip_of_sgd_may_be_its_doing(
    make_check: MakeCheck, under_sgd: UnderSGD, norm: float | None, verdict: Verdict
) -> None:
    records = [with_late_drift(under_sgd(r, norm), 0.5) for r in checks(make_check, {"smupar": POWERS["smupar"]})]
    (item,) = judge(records, "sparsity")
    assert item.verdict is verdict
    assert item.reasons == ((Reason.CLIPPED,) if verdict is Verdict.OPEN else ())
    assert not item.seeds_would_decide
    assert item.worst is not None
    assert (item.worst.layer, item.worst.moment) == ("mlp.down", Moment.END)


def test_under_adam_a_clip_excuses_nothing(make_check: MakeCheck) -> None:
    records = [
        with_late_drift(replace(r, gradient_norms=(4.0, 4.0)), 0.5)
        for r in checks(make_check, {"smupar": POWERS["smupar"]})
    ]
    assert [item.verdict for item in judge(records, "sparsity")] == [Verdict.OUTSIDE]


@pytest.mark.parametrize(
    ("powers", "decay", "verdict"),
    [
        pytest.param((0.0, 0.0, 1.0), 0.0, Verdict.OUTSIDE, id="first updates are judged without it"),
        pytest.param((0.0, 0.0, 1.0), 0.1, Verdict.OPEN, id="unless it cannot be taken out"),
        pytest.param((0.5, 0.0, 0.0), 0.1, Verdict.OUTSIDE, id="before the first step there is none"),
    ],
)
def test_a_clip_of_sgd_excuses_what_comes_after_it_alone(
    make_check: MakeCheck, under_sgd: UnderSGD, powers: tuple[float, float, float], decay: float, verdict: Verdict
) -> None:
    records = [under_sgd(r, 4.0, weight_decay=decay) for r in checks(make_check, {"smupar": powers})]
    (item,) = judge(records, "sparsity")
    assert item.verdict is verdict
    assert item.clipping is not None


def test_added_seeds_make_intervals_wider_of_their_own_parametrization(make_check: MakeCheck) -> None:
    records = checks(make_check, POWERS)
    plain = {item.parametrization: item.worst for item in judge(records, "sparsity")}
    wider = {item.parametrization: item.worst for item in judge(records, "sparsity", {"smupar"})}
    looks = {name: slope.estimate.looks for name, slope in wider.items() if slope is not None}
    assert looks == {"sp": 1, "mup": 1, "smupar": 2}
    assert plain["mup"] == wider["mup"]


@pytest.mark.parametrize(
    ("name", "expected"), [("smupar", Verdict.INSIDE), ("mup", Verdict.OUTSIDE), ("init_only", Verdict.OUTSIDE)]
)
def test_what_is_expected_of_sgd(make_check: MakeCheck, under_sgd: UnderSGD, name: str, expected: Verdict) -> None:
    records = [under_sgd(r, 0.5) for r in checks(make_check, {name: (0.0, 0.0, 0.0)})]
    assert [item.expected for item in judge(records, "sparsity")] == [expected]


@pytest.mark.parametrize(
    ("size", "name", "expected"),
    [
        (UpdateSize.FIXED, "smupar", Verdict.INSIDE),
        (UpdateSize.FIXED, "mup", Verdict.OUTSIDE),
        (UpdateSize.OTHER, "smupar", Verdict.OPEN),
        (UpdateSize.OTHER, "mup", Verdict.OUTSIDE),
    ],
)
def test_what_is_expected_of_a_rule_of_ones_own(
    make_check: MakeCheck, monkeypatch: pytest.MonkeyPatch, size: UpdateSize, name: str, expected: Verdict
) -> None:
    """Where theory knows no size of updates, it still knows what drifts at initialisation."""
    monkeypatch.setitem(update_rules._RULES, "mine", UpdateRule("mine", "Mine", like_adam, size=size))
    made = checks(make_check, {name: (0.0, 0.0, 0.0)})
    optimizer = replace(made[0].spec.optimizer, name="mine")
    records = [replace(r, spec=replace(r.spec, optimizer=optimizer)) for r in made]
    (item,) = judge(records, "sparsity")
    assert (item.verdict, item.expected) == (Verdict.INSIDE, expected)
    predictions = {s.coordinate: s.predicted for s in slopes_of(records, "sparsity") if s.moment is Moment.START}
    assert (predictions[Coordinate.UPDATE] is None) == (size is UpdateSize.OTHER)
    assert predictions[Coordinate.ACTIVATION] is not None
