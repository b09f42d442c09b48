"""Absolute numbers of SuPar worked out by hand from Table 1 of arXiv 2405.15743, not by this package."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from smupar_transfer.theory import (
    MUP,
    SMUPAR,
    SP,
    BaseHyperparameters,
    OptimizerSettings,
    Parametrization,
    Power,
    Role,
    ScaleFactors,
    scale,
)

BASE = BaseHyperparameters(
    learning_rate=0.016, init_std=0.08, input_multiplier=9.0, output_multiplier=2.0, weight_decay=0.1
)
TABLES = {"sp": SP, "mup": MUP, "smupar": SMUPAR}

# Hidden weights under AdamW, epsilon 1e-8 at the proxy, eta * lambda constant.
# table, m_d, m_rho: init std = 0.08 / sqrt(.), learning rate = 0.016 / (.), weight decay = 0.1 * (.), epsilon
HIDDEN = [
    ("sp", 4, 0.25, 0.08, 0.016, 0.1, 1e-8),
    ("sp", 16, 0.015625, 0.08, 0.016, 0.1, 1e-8),
    ("mup", 4, 0.25, 0.04, 0.004, 0.4, 2.5e-9),
    ("mup", 16, 0.015625, 0.02, 0.001, 1.6, 6.25e-10),
    ("smupar", 1, 0.25, 0.16, 0.064, 0.025, 1e-8),
    ("smupar", 4, 1, 0.04, 0.004, 0.4, 2.5e-9),
    ("smupar", 4, 0.25, 0.08, 0.016, 0.1, 2.5e-9),
    ("smupar", 4, 0.0625, 0.16, 0.064, 0.025, 2.5e-9),
    ("smupar", 16, 0.25, 0.04, 0.004, 0.4, 6.25e-10),
    ("smupar", 16, 0.015625, 0.16, 0.064, 0.025, 6.25e-10),
    ("smupar", 3, 0.12, 0.13333333333333333, 0.044444444444444446, 0.036, 3.3333333333333335e-9),
]

# Under SGD, m_d = 4, m_rho = 0.25: appendix D.3.1 for hidden weights, the mup package for the rest.
SGD_RATES = [
    ("sp", Role.HIDDEN, 0.016),
    ("sp", Role.VECTOR, 0.016),
    ("mup", Role.HIDDEN, 0.016),
    ("mup", Role.VECTOR, 0.064),
    ("smupar", Role.HIDDEN, 0.064),
    ("smupar", Role.EMBEDDING, 0.064),
    ("smupar", Role.READOUT, 0.064),
]

# Roles that are never sparse, under AdamW at m_d = 4: init std, learning rate, forward multiplier.
ENDS = [
    ("sp", Role.EMBEDDING, 0.08, 0.016, 9.0),
    ("sp", Role.READOUT, 0.08, 0.016, 2.0),
    ("mup", Role.EMBEDDING, 0.08, 0.016, 9.0),
    ("mup", Role.READOUT, 0.08, 0.016, 0.5),
    ("smupar", Role.EMBEDDING, 0.08, 0.016, 9.0),
    ("smupar", Role.READOUT, 0.08, 0.016, 0.5),
    ("smupar", Role.VECTOR, 0.0, 0.016, 1.0),
]


def hidden_rows(tables: dict[str, Parametrization]) -> list[bool]:
    """For each row of ``HIDDEN`` whether a set of tables gives these numbers."""
    agrees = []
    for name, m_d, m_rho, init_std, learning_rate, weight_decay, epsilon in HIDDEN:
        computed = asdict(scale(tables[name], Role.HIDDEN, ScaleFactors(m_d, m_rho), BASE, OptimizerSettings()))
        expected = {
            "init_std": init_std,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "epsilon": epsilon,
            "forward_multiplier": 1.0,
        }
        agrees.append(computed == pytest.approx(expected, rel=1e-12, abs=0))
    return agrees


def test_hidden_weights_under_adamw() -> None:
    assert all(hidden_rows(TABLES))


@pytest.mark.parametrize("quantity", ["init_variance", "adam_learning_rate", "adam_epsilon"])
@pytest.mark.parametrize("wrong", [Power(width=-0.5), Power(density=-0.5)], ids=str)
def test_wrong_exponents_disagree_with_the_numbers(quantity: str, wrong: Power) -> None:
    for name, table in TABLES.items():
        right = getattr(table[Role.HIDDEN], quantity)
        broken = table.with_rule("x", "x", Role.HIDDEN, **{quantity: right * wrong})
        agrees = hidden_rows({**TABLES, name: broken})
        own = [good for good, row in zip(agrees, HIDDEN, strict=True) if row[0] == name]
        others = [good for good, row in zip(agrees, HIDDEN, strict=True) if row[0] != name]
        assert not all(own)
        assert all(others)


@pytest.mark.parametrize(("name", "role", "rate"), SGD_RATES)
def test_sgd(name: str, role: Role, rate: float) -> None:
    density = 0.25 if role is Role.HIDDEN else 1.0
    scaled = scale(TABLES[name], role, ScaleFactors(4, density), BASE, OptimizerSettings(name="sgd"))
    assert scaled.learning_rate == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("name", "role", "init_std", "rate", "multiplier"), ENDS)
def test_dense_roles(name: str, role: Role, init_std: float, rate: float, multiplier: float) -> None:
    scaled = scale(TABLES[name], role, ScaleFactors(4), BASE, OptimizerSettings())
    assert (scaled.init_std, scaled.learning_rate, scaled.forward_multiplier) == pytest.approx(
        (init_std, rate, multiplier), rel=1e-12, abs=0
    )


def test_the_papers_own_largest_sparse_model() -> None:
    """Its tuned proxy at width 256, its target at width 2048 and s = 99.2 % (1 in 128): m_d m_rho = 1/16."""
    paper = BaseHyperparameters(1.62e-2, 0.08665602, 9.1705, 1.0951835)
    scaled = scale(SMUPAR, Role.HIDDEN, ScaleFactors(8.0, 1 / 128), paper, OptimizerSettings())
    assert scaled.init_std == pytest.approx(0.34662408, rel=1e-12)
    assert scaled.learning_rate == pytest.approx(0.2592, rel=1e-12)
