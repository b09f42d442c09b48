"""Plans of anybody's model, exported without a recipe."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import plan
from tests.transfer.exporters.recipes import executed
from tests.transfer.networks import HPARAMS, KINDS, make, planned

BY_NAME = ("torchtitan", "olmo-core", "hf-trainer", "axolotl", "json")


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_those_that_the_plan_makes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, network = planned(kind)
    names = executed(made.export("hf-trainer").text, monkeypatch)
    exported: torch.optim.Optimizer = names["PlannedOptimizer"]()(network)
    trained = {
        id(parameter): [group[key] for key in ("lr", "weight_decay", "eps")]
        for group in exported.param_groups
        for parameter in group["params"]
    }
    for group in made.groups(network):
        for _, parameter in group["params"]:
            assert trained.pop(id(parameter)) == pytest.approx([group[key] for key in ("lr", "weight_decay", "eps")])
    assert trained == {}


@pytest.mark.parametrize("to", BY_NAME)
def test_multipliers_are_told_by_module(to: str) -> None:
    made, _ = planned("transformer", 64)
    exported = made.export(to)
    words = " ".join(re.split(r"\s*\n#?\s*", exported.text))
    assert "parameters, hidden weights 4 times as wide as the base's." in words
    if to == "json":
        content = json.loads(exported.text)
        assert content["multiplied"] == {"output of tokens": 3.0, "input of head": 0.5}
        assert content["multipliers"] == {"input": 3.0, "output": 0.5}
    else:
        assert "multiplier 3.0: output of tokens" in "\n".join(exported.losses)


def test_a_plan_on_the_meta_device_has_no_initial_values() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 32), nn.Linear(32, 32), nn.Linear(32, 4))
        base = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 4))
    made = plan(model, base, hparams=HPARAMS)
    parameters = json.loads(made.export("json").text)["parameters"]
    assert parameters["1.weight"]["init_std"] is None
    assert parameters["1.weight"]["learning_rate"] == 0.0025
    assert '"1.weight"' in made.export("torchtitan").text


@pytest.mark.parametrize("missing", ["learning_rate", "weight_decay"])
def test_base_hyperparameters_must_be_known(missing: str) -> None:
    known = {name: value for name, value in HPARAMS.items() if name != missing}
    made = plan(make("mlp", 32), make("mlp", 16), hparams=known)
    with pytest.raises(InputError, match=f"^hparams={missing}: is not known; plan with hparams="):
        made.export("torchtitan")


@pytest.mark.parametrize("to", ["nanogpt-mup", "megatron", "cerebras"])
def test_stacks_that_take_numbers_by_role_need_a_recipe(to: str) -> None:
    with pytest.raises(InputError, match=f"^to={to}: needs a recipe"):
        planned("transformer")[0].export(to)
    with pytest.raises(InputError, match="did you mean megatron"):
        planned("transformer")[0].export("megatrn")
