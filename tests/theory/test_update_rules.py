"""An update rule is data: how its rate scales, what it reads, how large updates are; one's own is chosen by name."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from smupar_transfer.theory import (
    ADAMW,
    SGD,
    SMUPAR,
    SP,
    UPDATE_RULES,
    BaseHyperparameters,
    Coordinate,
    InputError,
    OptimizerSettings,
    Power,
    Role,
    Rule,
    ScaleFactors,
    UpdateRule,
    UpdateSize,
    WeightDecayForm,
    like_adam,
    like_sgd,
    predicted,
    register_update_rule,
    scale,
    update_rule,
    update_rules,
)
from smupar_transfer.theory.update_rules import SOMETIMES_READ

BASE = BaseHyperparameters(0.01, 0.1, weight_decay=0.5)


def root_of_adams(rule: Rule, role: Role) -> Power:
    """Grows where Adam's shrinks, but not for vectors: an arbitrary rule that is nobody else's."""
    return Power() if role is Role.VECTOR else rule.adam_learning_rate**-0.5


MINE = UpdateRule("mine", "Mine", root_of_adams, reads=frozenset({"beta1", "momentum"}), size=UpdateSize.FIXED)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(update_rules._RULES, "mine", MINE)


def test_what_the_rules_of_the_package_are() -> None:
    assert dict(UPDATE_RULES) == {"adamw": ADAMW, "sgd": SGD}
    assert (ADAMW.title, set(ADAMW.reads), ADAMW.size) == ("AdamW", {"beta1", "beta2", "epsilon"}, UpdateSize.FIXED)
    assert (SGD.title, set(SGD.reads), SGD.size) == ("SGD", {"momentum"}, UpdateSize.PROPORTIONAL)
    cells = Rule(adam_learning_rate=Power(width=2), sgd_learning_rate=Power(width=3))
    for role in Role:
        assert (ADAMW.learning_rate(cells, role), like_adam(cells, role)) == (Power(width=2), Power(width=2))
        assert (SGD.learning_rate(cells, role), like_sgd(cells, role)) == (Power(width=3), Power(width=3))


def test_what_rules_may_read_or_not_are_settings_and_the_others_count_under_all() -> None:
    """A field that is added to the settings has to be put on one side or the other."""
    names = {item.name for item in fields(OptimizerSettings)}
    assert names - set(SOMETIMES_READ) == {"name", "weight_decay_form", "gradient_clip", "clip_norm"}
    assert set(SOMETIMES_READ) <= names
    assert frozenset[str]().union(*(rule.reads for rule in UPDATE_RULES.values())) == set(SOMETIMES_READ)


@pytest.mark.parametrize("rule", UPDATE_RULES.values(), ids=UPDATE_RULES)
def test_what_is_read_and_what_is_not_are_all_settings(rule: UpdateRule) -> None:
    assert rule.unread.isdisjoint(rule.reads)
    assert rule.unread.union(rule.reads) == set(SOMETIMES_READ)


def test_settings_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="update rule mine: there is no setting beta3 that it could read"):
        replace(MINE, reads=frozenset({"beta1", "beta3"}))
    with pytest.raises(ValueError, match="there is no setting gradient_clip that it could read"):
        replace(MINE, reads=frozenset({"gradient_clip"}))


def test_reads_may_be_any_collection_of_names() -> None:
    assert replace(MINE, reads=["momentum", "beta1"]) == MINE
    with pytest.raises(ValueError, match="reads is a text, not a collection of names"):
        replace(MINE, reads="beta1")


def test_a_rule_says_least_of_itself() -> None:
    plain = UpdateRule("plain", "Plain", like_adam)
    assert (plain.reads, plain.size) == (frozenset(), UpdateSize.OTHER)


def test_a_registered_rule_is_found_by_name_and_may_be_registered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_rules, "_RULES", rules := dict(UPDATE_RULES))
    assert register_update_rule(MINE) is MINE
    assert register_update_rule(MINE) is MINE, "a module may be imported twice"
    assert rules["mine"] is MINE
    others = replace(MINE, size=UpdateSize.OTHER), replace(MINE, reads=()), replace(MINE, learning_rate=like_sgd)
    for other in (*others, replace(MINE, title="Other")):
        with pytest.raises(ValueError, match="there is another update rule 'mine' already"):
            register_update_rule(other)
    with pytest.raises(ValueError, match="there is another update rule 'adamw' already"):
        register_update_rule(replace(MINE, name="adamw"))


@pytest.mark.parametrize("name", ["", "a-b", "a b", "1a", "a/b", "a=b"])
def test_a_name_that_no_command_line_takes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for an update rule"):
        register_update_rule(replace(MINE, name=name))


def test_a_learning_rate_that_is_no_power_is_refused_when_it_is_registered() -> None:
    wrong = replace(MINE, learning_rate=lambda rule, role: 0.5)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match=r"update rule mine: its learning rate scales as 0\.5, which is no Power"):
        register_update_rule(wrong)


@pytest.mark.parametrize("name", ["nosuch", "", "AdamW", None, 1, ["adamw"]])
def test_another_name_is_refused_with_its_key_and_a_way_out(name: object) -> None:
    said = r"^optimizer\.name=.*is not one of adamw, sgd.*; one of your own is registered by .*--plugin"
    with pytest.raises(InputError, match=said):
        OptimizerSettings(name=name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        update_rule(name)  # type: ignore[arg-type]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("form", WeightDecayForm)
def test_a_registered_rule_scales_as_it_says(form: WeightDecayForm) -> None:
    settings = OptimizerSettings(name="mine", weight_decay_form=form)
    assert settings.rule is MINE
    found = {role: scale(SMUPAR, role, ScaleFactors(4.0, 0.25), BASE, settings) for role in Role}
    assert found[Role.HIDDEN].learning_rate == BASE.learning_rate
    found = {role: scale(SMUPAR, role, ScaleFactors(4.0), BASE, settings) for role in Role}
    assert {role: row.learning_rate / BASE.learning_rate for role, row in found.items()} == {
        **dict.fromkeys(Role, 1.0),
        Role.HIDDEN: 2.0,
    }
    independent = form is WeightDecayForm.INDEPENDENT
    assert found[Role.HIDDEN].weight_decay == BASE.weight_decay / (2 if independent else 1)


def test_updates_are_predicted_by_how_large_they_are() -> None:
    fan_in = Power(width=1, density=1)
    rule = replace(MINE, learning_rate=lambda cells, role: Power(width=-0.25))
    assert predicted(SP, Coordinate.UPDATE, rule) == fan_in * Power(width=-0.25)
    assert predicted(SP, Coordinate.UPDATE, replace(rule, size=UpdateSize.PROPORTIONAL)) == fan_in * Power(width=-0.25)
    of_gradient = predicted(SMUPAR, Coordinate.UPDATE, replace(rule, size=UpdateSize.PROPORTIONAL))
    assert of_gradient == Power(width=1 - 0.25 - 1, density=1, aspect=-1), "gradients shrink as outputs grow"
    other = replace(rule, size=UpdateSize.OTHER)
    assert predicted(SMUPAR, Coordinate.UPDATE, other) is None
    for coordinate in (Coordinate.ACTIVATION, Coordinate.GRADIENT):
        assert predicted(SMUPAR, coordinate, other) == predicted(SMUPAR, coordinate)
