from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from smupar_transfer.records import SCHEMA_VERSION, MLPSpec, Tuned
from smupar_transfer.theory import (
    PARAMETRIZATIONS,
    UPDATE_RULES,
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Role,
)
from smupar_transfer.transfer import Recipe, RoleValues, Rules, Source, read_recipe, write_recipe

VALUES = [field.name for field in fields(RoleValues)]


@pytest.fixture
def path(tmp_path: Path, recipe: Recipe) -> Path:
    """A recipe on disk."""
    write_recipe(tmp_path / "recipe.yaml", recipe)
    return tmp_path / "recipe.yaml"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_hand_worked_values() -> None:
    """Table 1 of arXiv 2405.15743 at m_d = 4, m_rho = 1/8, so m_d m_rho = 1/2; lambda as eta * lambda stays put."""
    hparams = BaseHyperparameters(0.02, 0.08, 5.0, 2.0, 0.1)
    roles = Rules(PARAMETRIZATIONS["smupar"], hparams, OptimizerSettings(epsilon=1e-8)).by_role(4.0, 0.125)
    expected = {
        Role.EMBEDDING: (4.0, 1.0, 0.08, 0.02, 0.1, 2.5e-9, 5.0),
        Role.HIDDEN: (4.0, 0.125, 0.11313708498984761, 0.04, 0.05, 2.5e-9, 1.0),
        Role.READOUT: (4.0, 1.0, 0.08, 0.02, 0.1, 2.5e-9, 0.5),
        Role.VECTOR: (4.0, 1.0, 0.0, 0.02, 0.0, 2.5e-9, 1.0),
    }
    for role, values in expected.items():
        assert tuple(vars(roles[role]).values()) == pytest.approx(values, rel=1e-12, abs=0), role
    assert set(roles) == set(expected)


def test_an_unknown_parametrization_is_refused(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="parametrization=ntk"):
        _ = replace(recipe, parametrization="ntk").rules


def test_source_keeps_what_a_reader_needs(tuned: Tuned) -> None:
    source = Source.of(tuned)
    assert (source.study, source.trial, source.value) == ("proxy-64", 41, 2.246)
    assert source.proxy_model == tuned.proxy.model
    assert source.proxy_parametrization == tuned.proxy.parametrization
    assert source.data_sha256 == tuned.proxy.data.sha256


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("optimizer", UPDATE_RULES)
def test_round_trip(tmp_path: Path, recipe: Recipe, name: str, optimizer: str) -> None:
    settings = OptimizerSettings(name=optimizer)
    roles = Rules(PARAMETRIZATIONS[name], recipe.hparams, settings).by_role(4.0, 0.125)
    written = replace(recipe, parametrization=name, optimizer=settings, roles=roles)
    write_recipe(tmp_path / "recipe.yaml", written)
    assert read_recipe(tmp_path / "recipe.yaml") == written


def test_round_trip_without_source_and_with_another_architecture(tmp_path: Path, recipe: Recipe) -> None:
    written = replace(recipe, source=None, model=MLPSpec(256, 2, 64, 10))
    write_recipe(tmp_path / "recipe.yaml", written)
    assert read_recipe(tmp_path / "recipe.yaml") == written


def test_file_is_for_people(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# A training recipe.")
    assert lines[1] == f"schema: {SCHEMA_VERSION}"
    assert "!!" not in path.read_text()
    assert "  hidden:" in lines


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("role", Role)
def test_an_edited_number_is_refused_by_role_and_field(path: Path, role: Role, name: str) -> None:
    def change(content: dict[str, Any]) -> None:
        values = content["roles"][role.value]
        values[name] = values[name] * (1 + 1e-6) if values[name] else 1e-6

    edit(path, change)
    message = refusal(path)
    assert message.startswith(f"recipe={path}: says {role}.{name} is ")
    assert "transfer again" in message


def test_an_untouched_rewrite_is_accepted(path: Path, recipe: Recipe) -> None:
    """The control of the test above: it is the edit that is refused, not the rewriting."""
    edit(path, lambda content: None)
    assert read_recipe(path) == recipe


def test_the_last_bits_of_another_machine_are_forgiven(path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["roles"]["hidden"]["init_std"] *= 1 + 1e-14

    edit(path, change)
    read_recipe(path)


def test_a_number_that_is_none_is_refused(path: Path) -> None:
    edit(path, lambda content: content["roles"]["hidden"].update(learning_rate=float("nan")))
    assert "hidden.learning_rate" in refusal(path)


@pytest.mark.parametrize("name", [field.name for field in fields(BaseHyperparameters)])
def test_edited_hyperparameters_are_refused(path: Path, name: str) -> None:
    edit(path, lambda content: content["hparams"].update({name: content["hparams"][name] * 1.5}))
    assert "but its base hyperparameters give" in refusal(path)


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "parametrization": lambda content: content.update(parametrization="mup"),
    "base width": lambda content: content.update(base_width=128),
    "target width": lambda content: content["model"].update(width=512),
    "density": lambda content: content["sparsity"].update(density=0.25),
    "epsilon": lambda content: content["optimizer"].update(epsilon=1e-6),
    "update rule": lambda content: content["optimizer"].update(name="sgd"),
    "decay form": lambda content: content["optimizer"].update(weight_decay_form="coupled"),
}


@pytest.mark.parametrize("edited", EDITS)
def test_whatever_numbers_follow_from_cannot_be_edited_alone(path: Path, edited: str) -> None:
    edit(path, EDITS[edited])
    assert "but its base hyperparameters give" in refusal(path)


@pytest.mark.parametrize("role", Role)
def test_a_missing_role_is_named(path: Path, role: Role) -> None:
    edit(path, lambda content: content["roles"].pop(role.value))
    assert f"has no values for role {role}" in refusal(path)


def test_an_unknown_role_is_named(path: Path) -> None:
    edit(path, lambda content: content["roles"].update(bottleneck=content["roles"]["hidden"]))
    assert "bottleneck" in refusal(path)


def test_a_missing_value_is_named(path: Path) -> None:
    edit(path, lambda content: content["roles"]["hidden"].pop("epsilon"))
    assert "epsilon" in refusal(path)


@pytest.mark.parametrize("base_width", [0, -64])
def test_an_impossible_base_width_is_refused(path: Path, base_width: int) -> None:
    """Guards against a division by zero in place of a message."""
    edit(path, lambda content: content.update(base_width=base_width))
    refusal(path)


@pytest.mark.parametrize("schema", [SCHEMA_VERSION + 1, 0, None])
def test_another_schema_is_refused(path: Path, schema: int | None) -> None:
    edit(path, lambda content: content.update(schema=schema))
    assert refusal(path).startswith(f"recipe={path}: has schema {schema}, this version reads")


def test_python_objects_are_refused_and_not_executed(tmp_path: Path, path: Path) -> None:
    """Guards against a recipe from a stranger being a program."""
    victim = tmp_path / "executed"
    attack = f"parametrization: !!python/object/apply:os.mkdir ['{victim}']"
    path.write_text(path.read_text().replace("parametrization: smupar", attack, 1))
    assert attack in path.read_text()
    assert "is not plain YAML" in refusal(path)
    assert not victim.exists()
    path.write_text(path.read_text().replace("apply:os.mkdir", ":pathlib.Path"))
    assert "is not plain YAML" in refusal(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.yaml") == (
        f"recipe={tmp_path / 'absent.yaml'}: cannot be read: No such file or directory; `smupar transfer` writes one"
    )


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    assert "is not a mapping" in refusal(tmp_path / "empty.yaml")


@pytest.mark.parametrize("source", [{"value": float("nan")}, {"value": -0.5}, {"trial": -1}])
def test_a_source_that_no_search_can_have_is_refused(path: Path, source: dict[str, float]) -> None:
    edit(path, lambda content: content["source"].update(source))
    (key,) = source
    with pytest.raises(InputError, match=rf"^{key}=.*\(in {path}\)"):
        read_recipe(path)


@pytest.mark.parametrize("change", [{"base_width": 0}, {"parametrization": "ntk"}])
def test_a_base_that_cannot_be_is_told_with_its_file(path: Path, change: dict[str, object]) -> None:
    edit(path, lambda content: content.update(change))
    (key,) = change
    with pytest.raises(InputError, match=rf"^{key}=.*\(in {path}\)"):
        read_recipe(path)
