"""The tables against the formulas of the papers, written down a second time as functions of (m_d, m_rho)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

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
    SP_EMBEDDING,
    InputError,
    Parametrization,
    Power,
    Role,
    Rule,
    ScaleFactors,
    parametrization,
    parametrizations,
    register_parametrization,
)
from smupar_transfer.theory.parametrizations import UNREAD

Formula = Callable[[float, float], float]
Cell = tuple[str, Role, str]

QUANTITIES = [field.name for field in fields(Rule)]
CELLS = [
    (name, role, quantity)
    for name in PARAMETRIZATIONS
    for role in Role
    for quantity in QUANTITIES
    if (role, quantity) not in UNREAD
]
quick = settings(deadline=None, max_examples=60)


def unscaled(m_d: float, m_rho: float) -> float:
    return 1.0


def grows(m_d: float, m_rho: float) -> float:
    return m_d


def per_width(m_d: float, m_rho: float) -> float:
    return 1 / m_d


def per_fan_in(m_d: float, m_rho: float) -> float:
    return 1 / (m_d * m_rho)


def per_density(m_d: float, m_rho: float) -> float:
    return 1 / m_rho


def per_root_width(m_d: float, m_rho: float) -> float:
    return 1 / math.sqrt(m_d)


def root_density(m_d: float, m_rho: float) -> float:
    return math.sqrt(m_rho)


E, H, R, V = Role.EMBEDDING, Role.HIDDEN, Role.READOUT, Role.VECTOR

# What all tables of the muP family share: Table 8 of arXiv 2203.03466 as the mup package has it; epsilon as
# in Table 1 of arXiv 2505.01618.
_MUP_FAMILY: dict[tuple[Role, str], Formula] = {
    (E, "sgd_learning_rate"): grows,
    (R, "sgd_learning_rate"): grows,
    (V, "sgd_learning_rate"): grows,
    (R, "forward_multiplier"): per_width,
    **{(role, "adam_epsilon"): per_width for role in Role},
    **{(role, "gradient_norm"): per_root_width for role in (E, R, V)},
}
_MUP_HIDDEN: dict[tuple[Role, str], Formula] = {
    (H, "init_variance"): per_width,
    (H, "adam_learning_rate"): per_width,
}
_SPARSE: dict[tuple[Role, str], Formula] = {(H, "gradient_norm"): root_density}
_SUPAR_INIT: dict[tuple[Role, str], Formula] = {(H, "init_variance"): per_fan_in}
# Adam: Table 1 of arXiv 2405.15743. SGD: its appendix D.3.1.
_SUPAR_RATE: dict[tuple[Role, str], Formula] = {
    (H, "adam_learning_rate"): per_fan_in,
    (H, "sgd_learning_rate"): per_density,
}
# Every cell that is not named is 1.
FORMULAS: dict[str, dict[tuple[Role, str], Formula]] = {
    "sp": {},
    "sp_embedding": {(E, "adam_learning_rate"): grows, (E, "sgd_learning_rate"): grows},
    "mup": {**_MUP_FAMILY, **_MUP_HIDDEN},
    "init_only": {**_MUP_FAMILY, **_MUP_HIDDEN, **_SPARSE, **_SUPAR_INIT},
    "lr_only": {**_MUP_FAMILY, **_MUP_HIDDEN, **_SPARSE, **_SUPAR_RATE},
    "smupar": {**_MUP_FAMILY, **_SPARSE, **_SUPAR_INIT, **_SUPAR_RATE},
}


def wrong_cells(table: Parametrization, name: str, factors: ScaleFactors) -> list[Cell]:
    """Cells of a table whose value is not that of the formulas filed under ``name``."""
    wrong = []
    for role in Role:
        for quantity in QUANTITIES:
            formula = FORMULAS[name].get((role, quantity), unscaled)
            value = getattr(table[role], quantity).at(factors)
            if not math.isclose(value, formula(factors["width"], factors["density"]), rel_tol=1e-12):
                wrong.append((name, role, quantity))
    return wrong


def test_every_table_has_its_formulas() -> None:
    assert set(FORMULAS) == set(PARAMETRIZATIONS)


@quick
@given(st.floats(1 / 8, 64), st.floats(1 / 256, 1))
def test_tables_follow_the_formulas_everywhere(m_d: float, m_rho: float) -> None:
    for name, table in PARAMETRIZATIONS.items():
        assert wrong_cells(table, name, ScaleFactors(m_d, m_rho)) == []


@pytest.mark.parametrize(("name", "role", "quantity"), CELLS)
def test_a_wrong_exponent_in_any_cell_is_noticed(name: str, role: Role, quantity: str) -> None:
    """The negative control of the test above: exactly the broken cell disagrees."""
    right = getattr(PARAMETRIZATIONS[name][role], quantity)
    for wrong in (Power(width=0.5), Power(density=0.5), Power(width=-1, density=-0.5)):
        broken = PARAMETRIZATIONS[name].with_rule(name, "broken", role, **{quantity: right * wrong})
        assert wrong_cells(broken, name, ScaleFactors(3.0, 0.3)) == [(name, role, quantity)]


@pytest.mark.parametrize(("role", "quantity"), UNREAD)
def test_a_cell_that_nothing_reads_is_refused_when_the_table_is_made(role: Role, quantity: str) -> None:
    """Guards against a multiplier that plan, explain and recipe print and the network ignores."""
    message = f"parametrization mine: {role} parameters have no {quantity} to be scaled"
    with pytest.raises(ValueError, match=message):
        SP.with_rule("mine", "Mine", role, **{quantity: Power(width=-1)})
    assert SP.with_rule("mine", "Mine", role, **{quantity: Power()})


def differing_cells(first: Parametrization, second: Parametrization) -> set[tuple[Role, str]]:
    """What is trained with other numbers; norms of gradients are no numbers that a table chooses."""
    return {
        (role, quantity)
        for role in Role
        for quantity in QUANTITIES
        if quantity != "gradient_norm" and getattr(first[role], quantity) != getattr(second[role], quantity)
    }


INIT_CELL = {(H, "init_variance")}
RATE_CELLS = {(H, "adam_learning_rate"), (H, "sgd_learning_rate")}


def test_each_ablation_differs_from_supar_in_exactly_one_quantity() -> None:
    """Learning rate counts as one quantity: of two update rules a run uses only one."""
    assert differing_cells(SMUPAR, LR_ONLY) == INIT_CELL
    assert differing_cells(SMUPAR, INIT_ONLY) == RATE_CELLS


def test_each_ablation_is_mup_but_for_the_half_it_corrects() -> None:
    assert differing_cells(MUP, INIT_ONLY) == INIT_CELL
    assert differing_cells(MUP, LR_ONLY) == RATE_CELLS
    assert differing_cells(MUP, SMUPAR) == INIT_CELL | RATE_CELLS


def test_the_sp_control_differs_in_the_embedding_rate_alone() -> None:
    assert differing_cells(SP, SP_EMBEDDING) == {(E, "adam_learning_rate"), (E, "sgd_learning_rate")}


def test_mup_is_supar_with_its_density_exponents_at_zero() -> None:
    for role in Role:
        flattened = {name: Power(**{**power, "density": 0.0}) for name, power in vars(SMUPAR[role]).items()}
        assert Rule(**flattened) == MUP[role]


@pytest.mark.parametrize(
    ("name", "exponent"),
    [("sp", -0.5), ("sp_embedding", -0.5), ("mup", -1), ("init_only", -1), ("lr_only", -1), ("smupar", -1)],
)
def test_attention_logits_scale(name: str, exponent: float) -> None:
    """1/sqrt(d_head) under SP, 1/d_head under muP and all of SuPar (arXiv 2405.15743, Table 1)."""
    assert parametrization(name).attention_exponent == exponent


def test_lookup_by_name() -> None:
    for name, table in PARAMETRIZATIONS.items():
        assert table.name == name
        assert parametrization(name) is table


def test_titles_are_distinct_in_a_legend() -> None:
    assert len({table.title for table in PARAMETRIZATIONS.values()}) == len(PARAMETRIZATIONS)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        parametrization("mupp")
    message = str(caught.value)
    assert message.startswith("parametrization=mupp: is not one of ")
    assert all(name in message for name in PARAMETRIZATIONS)


def test_a_table_without_a_role_is_refused_by_name() -> None:
    rules: dict[Role, Rule] = dict.fromkeys([E, H, V], Rule())
    with pytest.raises(ValueError, match=r"parametrization half has no rule for .*readout"):
        Parametrization("half", "half", rules, attention_exponent=-1.0)


def test_tables_cannot_be_changed_in_place() -> None:
    with pytest.raises(TypeError):
        SMUPAR.rules[H] = Rule()  # type: ignore[index]
    with pytest.raises(TypeError):
        PARAMETRIZATIONS["mine"] = SMUPAR  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        SMUPAR.rules = {}  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        SMUPAR[H].init_variance = Power()  # type: ignore[misc]


def test_a_table_does_not_follow_the_dictionary_it_was_made_from() -> None:
    rules = {role: Rule() for role in Role}
    table = Parametrization("mine", "mine", rules, attention_exponent=-1.0)
    rules[H] = Rule(init_variance=Power(width=-1))
    assert table[H] == Rule()


def test_with_rule_changes_one_row_of_a_copy() -> None:
    before = dict(SMUPAR.rules)
    changed = SMUPAR.with_rule("mine", "Mine", H, init_variance=Power(width=-2))
    assert (changed.name, changed.title) == ("mine", "Mine")
    assert changed.attention_exponent == SMUPAR.attention_exponent
    assert differing_cells(changed, SMUPAR) == INIT_CELL
    assert dict(SMUPAR.rules) == before


def test_with_rule_refuses_a_quantity_that_does_not_exist() -> None:
    with pytest.raises(TypeError, match="momentum"):
        SMUPAR.with_rule("mine", "Mine", H, momentum=Power())


def test_a_registered_table_is_found_by_name_and_may_be_registered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parametrizations, "_TABLES", tables := dict(PARAMETRIZATIONS))
    mine = SP.with_rule("mine", "Mine", H, adam_learning_rate=Power(width=-0.5))
    assert register_parametrization(mine) is mine
    assert register_parametrization(mine) is mine, "a module may be imported twice"
    assert tables["mine"] is mine
    with pytest.raises(ValueError, match="there is another parametrization 'mine' already"):
        register_parametrization(SP.with_rule("mine", "Mine", H, adam_learning_rate=Power(width=-1)))


@pytest.mark.parametrize("name", ["", "a-b", "a b", "1a", "a/b", "a=b"])
def test_a_name_that_no_command_line_takes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a parametrization"):
        register_parametrization(SP.with_rule(name, "Mine", H))
