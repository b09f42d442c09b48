"""Rules become numbers in one place: constants of the forward pass."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

import smupar_transfer
from smupar_transfer.model import build, multipliers_of
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import (
    PARAMETRIZATIONS,
    SMUPAR,
    BaseHyperparameters,
    ClipNorm,
    OptimizerSettings,
    Power,
    Role,
    Rule,
    ScaleFactors,
    gradient_norm,
)
from smupar_transfer.theory.parametrizations import UNREAD
from smupar_transfer.transfer import Multipliers, Rules

SpecMaker = Callable[..., RunSpec]


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_a_gpt_has_those_of_the_papers_table(gpt: SpecMaker, name: str) -> None:
    """SuPar, Table 1: m_d is 4, the head 8 wide, the base multipliers 3 and 2."""
    standard = name in ("sp", "sp_embedding")
    expected = Multipliers(3.0, 2.0 if standard else 0.5, 8**-0.5 if standard else 1 / 8)
    assert multipliers_of(gpt(parametrization=name)) == expected


def test_they_do_not_depend_on_density(gpt: SpecMaker) -> None:
    assert multipliers_of(gpt(density=0.25)) == multipliers_of(gpt())


def test_the_network_holds_them(gpt: SpecMaker) -> None:
    network, _ = build(gpt())
    assert network.multipliers == multipliers_of(gpt())
    assert network.get_submodule("blocks.0.attention").scale == 1 / 8


def test_an_mlp_has_no_attention(mlp: SpecMaker) -> None:
    assert multipliers_of(mlp()) == Multipliers(3.0, 0.5, 1.0)


HPARAMS = BaseHyperparameters(0.01, 0.1, 3.0, 2.0, 0.1)


@pytest.mark.parametrize("quantity", [field.name for field in fields(Rule)])
@pytest.mark.parametrize("role", Role)
def test_every_cell_of_a_table_changes_what_is_trained(role: Role, quantity: str) -> None:
    """Guards against cells that are printed and never used; those that nothing could use are refused."""
    if (role, quantity) in UNREAD:
        return
    other = getattr(SMUPAR[role], quantity) * Power(width=0.5)
    changed = SMUPAR.with_rule("other", "Other", role, **{quantity: other})
    optimizer = OptimizerSettings(name="sgd" if quantity.startswith("sgd") else "adamw")
    before, after = (Rules(table, HPARAMS, optimizer).by_role(4.0, 0.5) for table in (SMUPAR, changed))
    if quantity == "gradient_norm":  # of what is trained with, it is the clip that reads it
        scaled, factors = OptimizerSettings(clip_norm=ClipNorm.SCALED), ScaleFactors(4.0, 0.5)
        first, second = ([gradient_norm(table, name, factors, scaled) for name in Role] for table in (SMUPAR, changed))
        assert [name for name, one, two in zip(Role, first, second, strict=True) if one != two] == [role]
        return
    assert {name for name in Role if before[name] != after[name]} == {role}
    if quantity == "forward_multiplier":
        constants = [Rules(table, HPARAMS, optimizer).multipliers(4.0) for table in (SMUPAR, changed)]
        assert constants[0] != constants[1]


def test_rules_are_applied_in_one_place() -> None:
    """Whoever applied a table by itself would decide anew where density counts."""
    package = Path(smupar_transfer.__file__).parent
    calling = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "scale"
    }
    assert calling == {"transfer/rules.py"}


def test_hidden_weights_alone_feel_the_density_of_a_network() -> None:
    dense, sparse = (Rules(SMUPAR, HPARAMS).by_role(4.0, density) for density in (1.0, 0.25))
    assert {role for role in Role if dense[role] != sparse[role]} == {Role.HIDDEN}
    assert {role: values.m_rho for role, values in sparse.items() if values.m_rho < 1} == {Role.HIDDEN: 0.25}
