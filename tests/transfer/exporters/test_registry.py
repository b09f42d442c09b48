"""The formats as a whole: their names, their first lines, JSON, and what is refused."""

from __future__ import annotations

import json

import pytest

import smupar_transfer
from smupar_transfer.app.schema import EXPORT_FORMATS
from smupar_transfer.theory import (
    ClipNorm,
    InputError,
    OptimizerSettings,
    UpdateRule,
    like_adam,
    register_update_rule,
    update_rules,
)
from smupar_transfer.transfer.exporters import EXPORTERS, export_recipe
from tests.model.conftest import gpt_spec
from tests.transfer.exporters.recipes import Case, case_of, cases, own, text

VERSIONS = {
    "json": "version 1",
    "nanogpt-mup": "b2a5e60",
    "megatron": "d98e8a6",
    "cerebras": "2.10.0",
    "torchtitan": "b5bcd76",
    "olmo-core": "fa6c501",
    "axolotl": "067b021",
    "hf-trainer": "5.24.0",
}


def test_help_knows_every_format() -> None:
    assert tuple(EXPORTERS) == EXPORT_FORMATS == tuple(VERSIONS)


@pytest.mark.parametrize("to", [name for name in VERSIONS if name != "json"])
def test_a_clip_by_the_scaled_norm_is_refused_but_by_json(to: str) -> None:
    case = case_of(gpt_spec(optimizer=OptimizerSettings(clip_norm=ClipNorm.SCALED)))
    with pytest.raises(InputError, match=rf"^optimizer\.clip_norm=scaled: is a norm that to={to} .*json"):
        export_recipe(*case, to)
    assert json.loads(text(case, "json"))["optimizer"]["clip_norm"] == "scaled"


@pytest.mark.parametrize("to", VERSIONS)
@pytest.mark.parametrize("is_own", [True, False])
def test_the_first_lines_say_the_version_and_every_loss(to: str, is_own: bool) -> None:
    case = case_of(gpt_spec(density=0.25))
    exported = export_recipe(*(own(case) if is_own else case), to)
    first, *lines = exported.text.splitlines()
    if to == "json":
        content = json.loads(exported.text)
        first, heading = content["about"][0], "\n".join(content["not_said"])
    else:
        comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
        heading = " ".join(comments)
        assert max(map(len, [first, *comments])) <= 120
    assert f"Written by smupar_transfer {smupar_transfer.__version__}" in first
    assert VERSIONS[to] in first
    assert len(exported.losses) >= 1
    for loss in exported.losses:
        assert loss in heading
    assert "masks: 8 parameters keep a density of 0.25" in exported.losses[0]
    assert exported.text.endswith("\n")


@pytest.mark.parametrize("case", cases())
def test_json_has_every_number(case: Case) -> None:
    recipe, rows = case
    content = json.loads(text(case, "json"))
    assert content["optimizer"]["beta2"] == recipe.optimizer.beta2
    assert list(content["parameters"]) == [row.name for row in rows]
    for row in rows:
        numbers = dict(content["parameters"][row.name])
        assert (tuple(numbers.pop("shape")), numbers.pop("role")) == (row.shape, row.role)
        assert numbers == {name: getattr(row, name) for name in numbers}
        assert {"density", "init_std", "learning_rate", "weight_decay", "epsilon", "forward_multiplier"} == set(numbers)
    assert content["multipliers"]["output"] == pytest.approx(2.0 if "sp" in recipe.parametrization[:2] else 0.5)
    assert content["multipliers"]["input"] == 3.0


@pytest.mark.parametrize("tied", [True, False])
def test_multipliers_of_a_model_of_ones_own_are_told_by_layer(tied: bool) -> None:
    losses = export_recipe(*own(case_of(gpt_spec(tied=tied))), "torchtitan").losses
    said = "\n".join(losses)
    assert "multiplier 3.0: model.embed_tokens.weight, output of an embedding, else input" in said
    where = "input of the tied readout" if tied else "lm_head.weight, input of its layer"
    assert f"multiplier 0.5: {where}" in said
    assert "scale as d_head^-1" in said


@pytest.mark.parametrize(
    ("to", "meant"), [("torchtitn", "; did you mean torchtitan?"), ("olmo", "olmo-core"), ("xyzzy", "hf-trainer$")]
)
def test_an_unknown_format(to: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"^to={to}: is not one of json, .*{meant}"):
        export_recipe(*case_of(gpt_spec()), to)


@pytest.mark.parametrize("to", sorted(set(EXPORTERS) - {"json"}))
def test_an_optimizer_of_ones_own_is_refused_but_by_json(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_rules, "_RULES", dict(update_rules._RULES))  # other tests know those of the package
    register_update_rule(UpdateRule("lion_of_export", "Lion", like_adam))
    case = case_of(gpt_spec(optimizer=OptimizerSettings("lion_of_export")))
    with pytest.raises(InputError, match=r"^optimizer\.name=lion_of_export: .*json"):
        export_recipe(*case, to)
    assert json.loads(text(case, "json"))["optimizer"]["name"] == "lion_of_export"
