from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.theory import InputError, Power, ScaleFactors, powers
from smupar_transfer.theory.powers import AXES, ONE, Axis

EXPONENTS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
POWERS = st.builds(Power, EXPONENTS, EXPONENTS)
FACTORS = st.builds(ScaleFactors, st.floats(1 / 16, 64), st.floats(1 / 1024, 1))
quick = settings(deadline=None, max_examples=60)


def test_scale_factors_default_to_the_proxy() -> None:
    assert ScaleFactors() == ScaleFactors(width=1.0, density=1.0)


@pytest.mark.parametrize("width", [0.0, -2.0, math.inf, -math.inf, math.nan])
def test_impossible_width_factor(width: float) -> None:
    with pytest.raises(InputError, match=f"^m_d={width!r}: the width factor must be positive and finite"):
        ScaleFactors(width=width)


@pytest.mark.parametrize("density", [0.0, -0.5, 1.0000001, math.inf, math.nan])
def test_impossible_density_factor(density: float) -> None:
    with pytest.raises(InputError, match=f"^m_rho={density!r}: the density factor must lie in \\(0, 1\\]"):
        ScaleFactors(density=density)


def test_narrower_than_the_proxy_is_allowed() -> None:
    assert ScaleFactors(width=0.5)["width"] == 0.5


@quick
@given(POWERS, FACTORS)
def test_value_is_the_monomial(power: Power, factors: ScaleFactors) -> None:
    expected = math.exp(power["width"] * math.log(factors["width"]) + power["density"] * math.log(factors["density"]))
    assert power.at(factors) == pytest.approx(expected, rel=1e-12)


def test_width_and_density_are_not_interchangeable() -> None:
    factors = ScaleFactors(4.0, 0.25)
    assert Power(width=-1, density=0).at(factors) == 0.25
    assert Power(width=0, density=-1).at(factors) == 4.0
    assert Power(width=-1, density=-1).at(factors) == 1.0


@quick
@given(st.floats(-50, 50), st.floats(-50, 50))
def test_exactly_one_at_the_proxy(width: float, density: float) -> None:
    assert Power(width, density).at(ScaleFactors()) == 1.0


def test_value_is_a_float_for_whole_numbers_too() -> None:
    assert type(Power(1, 1).at(ScaleFactors(2, 1))) is float


@quick
@given(POWERS, POWERS, FACTORS)
def test_product_of_monomials(first: Power, second: Power, factors: ScaleFactors) -> None:
    assert (first * second).at(factors) == pytest.approx(first.at(factors) * second.at(factors), rel=1e-12)


@quick
@given(POWERS, EXPONENTS, FACTORS)
def test_power_of_a_monomial(power: Power, exponent: float, factors: ScaleFactors) -> None:
    assert (power**exponent).at(factors) == pytest.approx(power.at(factors) ** exponent, rel=1e-12)


@quick
@given(POWERS)
def test_inverse_and_neutral_element(power: Power) -> None:
    assert power * power**-1 == ONE
    assert power * ONE == power
    assert power**0 == ONE


@pytest.mark.parametrize(
    ("power", "shown"),
    [
        (Power(), "1"),
        (Power(width=1), "m_d"),
        (Power(width=-1), "m_d^-1"),
        (Power(density=0.5), "m_rho^0.5"),
        (Power(width=-1, density=-1), "m_d^-1 m_rho^-1"),
        (Power(width=1) ** -1 * Power(width=1), "1"),
        (Power() ** -1, "1"),
    ],
)
def test_shown_as_people_write_it(power: Power, shown: str) -> None:
    assert str(power) == shown


def test_immutable() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        ONE["width"] = 2.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        ONE.width = 2.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Power, ScaleFactors])
def test_an_axis_that_is_none_is_refused(kind: type[Power] | type[ScaleFactors]) -> None:
    with pytest.raises(TypeError, match="no axis is called experts; there are width, density, aspect"):
        kind(experts=2.0)


def test_both_are_mappings_over_all_axes_and_survive_pickling() -> None:
    for made in (Power(density=-1), ScaleFactors(width=4)):
        assert list(made) == list(AXES)
        assert pickle.loads(pickle.dumps(made)) == made
    assert repr(Power(density=-1)) == "Power(density=-1)"
    assert Power(width=1) != ScaleFactors(width=1), "an exponent is no factor"


def test_another_axis_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes next, depth or experts, changes no formula: factors of an axis that is left out are 1."""
    monkeypatch.setattr(powers, "AXES", {**AXES, "depth": Axis("m_L", "depth factor")})
    assert Power(width=-1, depth=-0.5).at(ScaleFactors(width=2, depth=4)) == 0.25
    assert Power(width=-1, depth=-0.5).at(ScaleFactors(width=2)) == 0.5
    assert str(Power(depth=-0.5)) == "m_L^-0.5"
    assert pickle.loads(pickle.dumps(Power(depth=-0.5))) == Power(depth=-0.5), "workers are sent them"
    with pytest.raises(InputError, match=r"^m_L=-1\.0: the depth factor must be positive and finite"):
        ScaleFactors(depth=-1.0)
