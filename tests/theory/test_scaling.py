from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.theory import (
    INIT_ONLY,
    LR_ONLY,
    MUP,
    PARAMETRIZATIONS,
    SMUPAR,
    SP,
    UPDATE_RULES,
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Parametrization,
    Power,
    Role,
    ScaledHyperparameters,
    ScaleFactors,
    WeightDecayForm,
    scale,
)
from smupar_transfer.theory.scaling import weight_decay_power

# Deliberately no powers of two, so that "equal bit for bit" means that nothing was multiplied on the way.
BASE = BaseHyperparameters(1.62e-2, 0.08665602, 9.1705, 1.0951835, 0.1)
EPSILON = 1e-8
SETTINGS = [OptimizerSettings(name, form, epsilon=EPSILON) for name in UPDATE_RULES for form in WeightDecayForm]
ADAMW = OptimizerSettings()
TABLES = list(PARAMETRIZATIONS.values())
by_name = pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
by_settings = pytest.mark.parametrize("settings_", SETTINGS, ids=lambda s: f"{s.name}-{s.weight_decay_form}")
by_role = pytest.mark.parametrize("role", Role)
quick = settings(deadline=None, max_examples=40)
WIDTHS, DENSITIES = st.floats(1 / 8, 64), st.floats(1 / 256, 1)


def hidden(
    table: Parametrization, m_d: float, m_rho: float, settings_: OptimizerSettings = ADAMW
) -> ScaledHyperparameters:
    return scale(table, Role.HIDDEN, ScaleFactors(m_d, m_rho), BASE, settings_)


@by_settings
@by_role
@by_name
def test_nothing_changes_at_the_proxy(table: Parametrization, role: Role, settings_: OptimizerSettings) -> None:
    vector = role is Role.VECTOR
    multiplier = {Role.EMBEDDING: 9.1705, Role.READOUT: 1.0951835}.get(role, 1.0)
    assert scale(table, role, ScaleFactors(), BASE, settings_) == ScaledHyperparameters(
        init_std=0.0 if vector else 0.08665602,
        learning_rate=1.62e-2,
        weight_decay=0.0 if vector else 0.1,
        epsilon=EPSILON,
        forward_multiplier=multiplier,
    )


@by_settings
@quick
@given(m_d=WIDTHS)
def test_supar_is_mup_at_density_one_bit_for_bit(settings_: OptimizerSettings, m_d: float) -> None:
    factors = ScaleFactors(m_d, 1.0)
    for role in Role:
        assert scale(SMUPAR, role, factors, BASE, settings_) == scale(MUP, role, factors, BASE, settings_)


def test_supar_is_not_mup_below_density_one() -> None:
    sparse, dense = hidden(SMUPAR, 4.0, 0.5), hidden(MUP, 4.0, 0.5)
    assert sparse.init_std == pytest.approx(dense.init_std * math.sqrt(2))
    assert sparse.learning_rate == pytest.approx(dense.learning_rate * 2)


@pytest.mark.parametrize("octaves", range(9))
def test_same_weights_per_neuron_means_same_hidden_values_bit_for_bit(octaves: int) -> None:
    """Iso-WPN: widening by 2^k while keeping one weight in 2^k leaves hidden weights as at the proxy."""
    values = hidden(SMUPAR, 2.0**octaves, 2.0**-octaves)
    assert values.init_std == BASE.init_std
    assert values.learning_rate == BASE.learning_rate
    assert values.weight_decay == BASE.weight_decay


@pytest.mark.parametrize("table", [SP, MUP, INIT_ONLY, LR_ONLY], ids=lambda table: table.name)
def test_iso_wpn_needs_both_corrections(table: Parametrization) -> None:
    """SP has the proxy's values there too, but it has them everywhere: its control is another width."""
    values = hidden(table, 8.0, 1 / 8 if table is not SP else 1.0)
    supar = hidden(SMUPAR, 8.0, 1 / 8 if table is not SP else 1.0)
    assert (values.init_std, values.learning_rate) != (supar.init_std, supar.learning_rate)


@pytest.mark.parametrize("quantity", ["init_variance", "adam_learning_rate"])
@pytest.mark.parametrize("axis", ["width", "density"])
def test_iso_wpn_breaks_with_a_wrong_exponent(quantity: str, axis: str) -> None:
    wrong = getattr(SMUPAR[Role.HIDDEN], quantity) * Power(**{axis: 0.5})
    values = hidden(SMUPAR.with_rule("x", "x", Role.HIDDEN, **{quantity: wrong}), 4.0, 0.25)
    assert (values.init_std, values.learning_rate) != (BASE.init_std, BASE.learning_rate)


@by_settings
@quick
@given(m_d=WIDTHS, m_rho=DENSITIES)
def test_weight_decay_forms(settings_: OptimizerSettings, m_d: float, m_rho: float) -> None:
    """Coupled keeps lambda; independent keeps eta * lambda; vectors are never decayed."""
    for table, role in product(TABLES, Role):
        values = scale(table, role, ScaleFactors(m_d, m_rho), BASE, settings_)
        if role is Role.VECTOR:
            assert values.weight_decay == 0.0
        elif settings_.weight_decay_form is WeightDecayForm.COUPLED:
            assert values.weight_decay == BASE.weight_decay
        else:
            subtracted = values.learning_rate * values.weight_decay
            assert math.isclose(subtracted, BASE.learning_rate * BASE.weight_decay, rel_tol=1e-12)


def test_the_two_forms_part_away_from_the_proxy() -> None:
    """Under Adam, lambda * m_d * m_rho; without the factor a step's decay shrinks with the learning rate."""
    independent, coupled = (
        hidden(SMUPAR, 8.0, 0.25, OptimizerSettings(weight_decay_form=form))
        for form in (WeightDecayForm.INDEPENDENT, WeightDecayForm.COUPLED)
    )
    assert independent.weight_decay == pytest.approx(BASE.weight_decay * 8.0 * 0.25)
    assert coupled.learning_rate * coupled.weight_decay == pytest.approx(BASE.learning_rate * BASE.weight_decay / 2)


def test_epsilon_shrinks_as_gradients_do() -> None:
    """By width only (arXiv 2505.01618, Table 1): SuPar keeps backward signals whatever the density."""
    for role in Role:
        for table in (MUP, SMUPAR, INIT_ONLY, LR_ONLY):
            assert scale(table, role, ScaleFactors(4.0, 0.125), BASE, ADAMW).epsilon == EPSILON / 4
        assert scale(SP, role, ScaleFactors(4.0, 0.125), BASE, ADAMW).epsilon == EPSILON


def test_epsilon_follows_the_setting() -> None:
    assert hidden(MUP, 4.0, 1.0, replace(ADAMW, epsilon=4e-6)).epsilon == 1e-6


@pytest.mark.parametrize("form", WeightDecayForm)
@pytest.mark.parametrize(
    ("name", "rate"), [("adamw", Power(-1, -1)), ("sgd", Power(density=-1, aspect=1))], ids=["adamw", "sgd"]
)
def test_the_update_rule_chooses_its_own_column(name: str, rate: Power, form: WeightDecayForm) -> None:
    assert OptimizerSettings(name).rule.learning_rate(SMUPAR[Role.HIDDEN], Role.HIDDEN) == rate
    assert weight_decay_power(rate, form) == (rate**-1 if form is WeightDecayForm.INDEPENDENT else Power())


def test_sgd_scales_vectors_up_and_hidden_weights_by_density_alone() -> None:
    sgd = OptimizerSettings(name="sgd")
    at = ScaleFactors(4.0, 0.25)
    rates = {role: scale(SMUPAR, role, at, BASE, sgd).learning_rate / BASE.learning_rate for role in Role}
    assert rates == {Role.EMBEDDING: 4.0, Role.HIDDEN: 4.0, Role.READOUT: 4.0, Role.VECTOR: 4.0}
    at = ScaleFactors(4.0, 0.125)
    assert hidden(SMUPAR, 4.0, 0.125, sgd).learning_rate == 8 * BASE.learning_rate
    assert hidden(MUP, 4.0, 0.125, sgd).learning_rate == BASE.learning_rate
    assert scale(SP, Role.EMBEDDING, at, BASE, sgd).learning_rate == BASE.learning_rate


def test_multipliers_go_to_the_two_ends_only() -> None:
    at = ScaleFactors(4.0, 1.0)
    multipliers = {role: scale(SMUPAR, role, at, BASE, ADAMW).forward_multiplier for role in Role}
    assert multipliers == {
        Role.EMBEDDING: BASE.input_multiplier,
        Role.HIDDEN: 1.0,
        Role.READOUT: BASE.output_multiplier / 4,
        Role.VECTOR: 1.0,
    }
    assert scale(SP, Role.READOUT, at, BASE, ADAMW).forward_multiplier == BASE.output_multiplier


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for key in ("beta1", "beta2", "momentum") for value in (-0.1, 1.0, math.nan)),
        *(("epsilon", value) for value in (0.0, -1e-8, math.inf, math.nan)),
        *(("gradient_clip", value) for value in (-1.0, math.nan)),
    ],
)
def test_impossible_optimizer_settings_are_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^optimizer.{key}={value!r}: must "):
        OptimizerSettings(**{key: value})  # type: ignore[arg-type]


def test_edges_of_the_allowed_settings() -> None:
    OptimizerSettings(beta1=0.0, beta2=0.0, momentum=0.0, gradient_clip=0.0, epsilon=5e-324)


def test_an_endless_gradient_clip_is_refused() -> None:
    """JSON has no infinity: a run with one would train to its end and then have no record to store."""
    with pytest.raises(InputError, match=r"^optimizer.gradient_clip=inf"):
        OptimizerSettings(gradient_clip=math.inf)
