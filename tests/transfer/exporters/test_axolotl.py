"""axolotl: rates by parts of names, as its trainer groups parameters."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import ParameterPlan, export_recipe
from tests.model.conftest import gpt_spec, mlp_spec
from tests.transfer.exporters.recipes import Case, case_of, own, text

FORBIDDEN = (r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)")


def trained(config: dict[str, Any], name: str) -> tuple[float, float]:
    """Rate and decay, as ``create_optimizer_grouped_parameters`` gives them."""
    lookup = {module: group["lr"] for group in config.get("lr_groups", ()) for module in group["modules"]}
    if any(end in name for end in ("embed_tokens", "lm_head")):
        return config.get("embedding_lr", config["learning_rate"]), 0.0
    if any(re.search(pattern, name) for pattern in FORBIDDEN):
        return config["learning_rate"], 0.0
    found = [rate for module, rate in lookup.items() if module in name]
    return (found[0] if found else config["learning_rate"]), config["weight_decay"]


def refused(case: Case) -> bool:
    try:
        export_recipe(*case, "axolotl")
    except InputError:
        return True
    return False


@pytest.mark.parametrize("table", ["sp", "sp_embedding", "mup", "smupar", "lr_only"])
@pytest.mark.parametrize("density", [0.3001, 0.25, 0.5])
@pytest.mark.parametrize("is_own", [True, False])
def test_every_parameter_learns_at_its_rate(table: str, density: float, is_own: bool) -> None:
    case = case_of(gpt_spec(parametrization=table, density=density, tied=False, bias=True))
    case = own(case) if is_own else case
    if table == "sp_embedding":
        assert refused(case), "what is not decayed learns at the usual rate there"
        return
    config = yaml.safe_load(text(case, "axolotl"))
    exported = export_recipe(*case, "axolotl")
    for row in case[1]:
        rate, decay = trained(config, row.name)
        assert rate == row.learning_rate, row.name
        if decay != row.weight_decay:
            assert told(exported.losses, row, decay), row.name
        assert config["adam_epsilon"] == row.epsilon


def told(losses: tuple[str, ...], row: ParameterPlan, decay: float) -> bool:
    return any(
        line.startswith("weight decay of ") and f"{row.weight_decay:.6g} in the recipe, {decay:.6g} here" in line
        for line in losses
    )


def test_layers_alike_are_one_module() -> None:
    config = yaml.safe_load(text(own(case_of(gpt_spec(density=0.5, depth=12))), "axolotl"))
    (group,) = config["lr_groups"]
    assert group["modules"] == [".attention.qkv.weight", ".attention.out.weight", ".mlp.up.weight", ".mlp.down.weight"]


def test_vectors_that_may_be_decayed_are_told() -> None:
    from dataclasses import replace

    recipe, rows = case_of(gpt_spec(density=0.25))
    renamed = tuple(replace(row, name=row.name.replace("attention_norm", "ln_1")) for row in rows)
    losses = "\n".join(export_recipe(recipe, renamed, "axolotl").losses)
    assert "weight decay of blocks.0.ln_1.weight, blocks.1.ln_1.weight: 0 in the recipe, 0.1 here unless" in losses


def test_a_network_without_an_embedding_has_its_first_layer_for_one() -> None:
    config = yaml.safe_load(text(case_of(mlp_spec(density=0.5)), "axolotl"))
    assert trained(config, "input.weight")[0] == 0.01
    assert trained(config, "hidden.0.weight")[0] == pytest.approx(0.005)
