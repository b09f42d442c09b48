from __future__ import annotations

from smupar_transfer.theory import PARAMETRIZATIONS, Parametrization, Power, Role


def test_names_are_those_in_peoples_recipes() -> None:
    """Recipes are keyed by these names: renaming one orphans every recipe written so far."""
    assert {role.name: role.value for role in Role} == {
        "EMBEDDING": "embedding",
        "HIDDEN": "hidden",
        "READOUT": "readout",
        "VECTOR": "vector",
    }


def roles_that_feel_density(table: Parametrization) -> set[Role]:
    return {role for role in Role if any(power["density"] for power in vars(table[role]).values())}


def test_only_hidden_weights_feel_density() -> None:
    for table in PARAMETRIZATIONS.values():
        assert roles_that_feel_density(table) <= {Role.HIDDEN}, table.name


def test_a_density_rule_on_another_role_would_be_noticed() -> None:
    for role in set(Role) - {Role.HIDDEN}:
        table = PARAMETRIZATIONS["sp"].with_rule("x", "x", role, adam_epsilon=Power(density=1))
        assert roles_that_feel_density(table) == {role}
