from __future__ import annotations

import numpy as np
import pytest

from smupar_transfer.theory import (
    INIT_ONLY,
    LR_ONLY,
    MUP,
    SGD,
    SMUPAR,
    SP,
    SP_EMBEDDING,
    BaseHyperparameters,
    Coordinate,
    OptimizerSettings,
    Parametrization,
    Power,
    Role,
    ScaleFactors,
    predicted,
    scale,
)

NOTHING = Power()
SQRT_DENSITY, DENSITY = Power(density=0.5), Power(density=1)
SQRT_FAN_IN, FAN_IN = Power(0.5, 0.5), Power(1, 1)

EXPECTED = [
    (SMUPAR, NOTHING, NOTHING),
    (MUP, SQRT_DENSITY, DENSITY),
    (SP, SQRT_FAN_IN, FAN_IN),
    (SP_EMBEDDING, SQRT_FAN_IN, FAN_IN),
    (INIT_ONLY, NOTHING, DENSITY),
    (LR_ONLY, SQRT_DENSITY, NOTHING),
]


@pytest.mark.parametrize(("table", "at_init", "update"), EXPECTED, ids=lambda value: getattr(value, "name", str(value)))
def test_exponents(table: Parametrization, at_init: Power, update: Power) -> None:
    assert predicted(table, Coordinate.ACTIVATION) == at_init
    assert predicted(table, Coordinate.GRADIENT) == at_init
    assert predicted(table, Coordinate.UPDATE) == update


def test_only_supar_is_predicted_to_stay_put_in_all_coordinates() -> None:
    still = [table.name for table, _, _ in EXPECTED if {predicted(table, at) for at in Coordinate} == {NOTHING}]
    assert still == ["smupar"]


@pytest.mark.parametrize("axis", ["width", "density"])
def test_a_wrong_rule_would_be_predicted_to_drift(axis: str) -> None:
    wrong = Power(**{axis: -0.5})
    init = SMUPAR.with_rule("x", "x", Role.HIDDEN, init_variance=wrong)
    rate = SMUPAR.with_rule("x", "x", Role.HIDDEN, adam_learning_rate=wrong)
    assert predicted(init, Coordinate.ACTIVATION) != NOTHING
    assert predicted(init, Coordinate.GRADIENT) != NOTHING
    assert predicted(init, Coordinate.UPDATE) == NOTHING
    assert predicted(rate, Coordinate.UPDATE) != NOTHING
    assert predicted(rate, Coordinate.ACTIVATION) == NOTHING


BASE_WIDTH = 32


def measured(table: Parametrization, coordinate: Coordinate, factors: ScaleFactors) -> float:
    """The coordinate of one masked layer, drawn and stepped once as a network would be."""
    rng = np.random.default_rng(7)
    width = round(BASE_WIDTH * factors["width"])
    values = scale(table, Role.HIDDEN, factors, BaseHyperparameters(0.01, 0.1), OptimizerSettings())
    mask = rng.random((width, width)) < factors["density"]
    weight = rng.normal(0.0, values.init_std, (width, width)) * mask
    x, gradient = rng.normal(size=width), rng.normal(size=width)
    step = values.learning_rate * np.sign(np.outer(gradient, x)) * mask  # Adam's first step
    out = {
        Coordinate.ACTIVATION: (weight @ x, x),
        Coordinate.GRADIENT: (weight.T @ gradient, gradient),
        Coordinate.UPDATE: (step @ x, x),
    }
    after, before = out[coordinate]
    return float(np.sqrt(np.mean(after**2) / np.mean(before**2)))


@pytest.mark.parametrize("coordinate", Coordinate)
@pytest.mark.parametrize("axis", ["width", "density"])
@pytest.mark.parametrize("table", [SMUPAR, MUP, SP, INIT_ONLY, LR_ONLY], ids=lambda table: table.name)
def test_predictions_hold_for_a_layer_of_random_numbers(
    table: Parametrization, axis: str, coordinate: Coordinate
) -> None:
    near, far = (
        (ScaleFactors(4.0), ScaleFactors(16.0)) if axis == "width" else (ScaleFactors(16.0), ScaleFactors(16.0, 1 / 8))
    )
    change = measured(table, coordinate, far) / measured(table, coordinate, near)
    power = predicted(table, coordinate)
    assert power is not None
    expected = power.at(far) / power.at(near)
    # A quarter of the smallest factor that a wrong half exponent would make (2 over width, 2.8 over density).
    assert np.log2(change / expected) == pytest.approx(0.0, abs=0.25)


@pytest.mark.parametrize(
    ("table", "update"), [(SMUPAR, NOTHING), (INIT_ONLY, DENSITY), (MUP, DENSITY)], ids=["smupar", "init_only", "mup"]
)
def test_exponents_of_the_first_sgd_update(table: Parametrization, update: Power) -> None:
    """Over width all of them stay put; over density those whose learning rate knows nothing of it shrink."""
    assert predicted(table, Coordinate.UPDATE, SGD) == update
    wrong = table.with_rule("x", "x", Role.HIDDEN, sgd_learning_rate=Power(width=1))
    drifting = predicted(wrong, Coordinate.UPDATE, SGD)
    assert drifting is not None
    assert drifting["width"] == 1


def test_a_first_sgd_update_stays_put_where_outputs_grow_as_they_like() -> None:
    """Entries of a gradient shrink as outputs become more, and each update sums over as many terms as inputs."""
    plain = MUP.with_rule("plain", "Plain", Role.HIDDEN, sgd_learning_rate=NOTHING)
    base, settings = BaseHyperparameters(0.01, 0.1), OptimizerSettings(name="sgd")
    rng = np.random.default_rng(7)
    for outputs, inputs in ((16.0, 4.0), (4.0, 16.0), (4.0, 4.0)):
        factors = ScaleFactors(inputs, aspect=outputs / inputs)
        # as large at every width as a readout with muP's multiplier hands it back
        gradient = rng.choice([-1.0, 1.0], round(8 * outputs)) / outputs
        x = rng.choice([-1.0, 1.0], round(8 * inputs))
        rates = [scale(table, Role.HIDDEN, factors, base, settings).learning_rate for table in (MUP, plain)]
        sizes = [float(np.abs(rate * np.outer(gradient, x) @ x).mean()) for rate in rates]
        assert sizes == pytest.approx([0.08, 0.08 * inputs / outputs]), "the second is the control"
