"""Stacks with one width multiplier: what they make of their file, worked out again after their sources."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from typing import Any

import pytest
import yaml

from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings, Role
from smupar_transfer.transfer import ParameterPlan, export_recipe
from tests.model.conftest import HPARAMS, gpt_spec, mlp_spec
from tests.transfer.exporters.recipes import Case, case_of, executed, own

DEPTH, WIDTH = 2, 64
RESIDUAL = ("out.weight", "down.weight")
TABLES = ("sp", "mup", "smupar")


def nanogpt(case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return executed(export_recipe(*case, "nanogpt-mup").text, monkeypatch)


def megatron(case: Case) -> dict[str, Any]:
    text = export_recipe(*case, "megatron").text
    words = shlex.split(text.partition("SMUPAR_ARGS=(")[2].rpartition(")")[0], comments=True)
    keys = [place for place, word in enumerate(words) if word.startswith("--")]
    values = [words[start + 1 : end] for start, end in zip(keys, [*keys[1:], len(words)], strict=True)]
    return {words[key]: value[0] if value else True for key, value in zip(keys, values, strict=True)}


def cerebras(case: Case) -> dict[str, Any]:
    init: dict[str, Any] = yaml.safe_load(export_recipe(*case, "cerebras").text)["trainer"]["init"]
    return init


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9)


def of_role(case: Case, role: Role) -> list[ParameterPlan]:
    return [row for row in case[1] if row.role is role]


@pytest.mark.parametrize("density", [1.0, 0.25])
@pytest.mark.parametrize("table", TABLES)
def test_nanogpt_mup(table: str, density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(gpt_spec(parametrization=table, density=density, bias=True, optimizer=coupled()))
    keys = nanogpt(case, monkeypatch)
    multiplier = keys["mup_width_multiplier"]
    for row in case[1]:
        scale = 1 / multiplier if row.role is Role.HIDDEN else 1
        assert row.learning_rate == close(keys["learning_rate"] * scale)
        assert row.weight_decay == close(keys["weight_decay"] if len(row.shape) > 1 else 0)
        if row.role is not Role.VECTOR and not row.name.endswith(RESIDUAL):
            assert row.init_std == close(keys["init_std"] * math.sqrt(scale))
    output = keys["mup_output_alpha"] / multiplier
    assert output == close(case[0].roles[Role.READOUT].forward_multiplier)
    assert keys["mup_input_alpha"] == 3
    assert keys["mup_enabled"] is True
    assert keys["mup_disable_attention_scaling"] is (table == "sp")
    assert (keys["n_layer"], keys["n_head"], keys["n_embd"], keys["bias"]) == (DEPTH, 8, WIDTH, True)
    types = {name: type(value) for name, value in keys.items() if name.startswith(("mup_", "learning", "weight"))}
    assert set(types.values()) == {bool, float}, "its configurator refuses a whole number for a float"


def coupled() -> OptimizerSettings:
    return OptimizerSettings(weight_decay_form="coupled")  # type: ignore[arg-type]


def test_nanogpt_mup_says_what_it_cannot() -> None:
    case = case_of(gpt_spec(density=0.5, tied=False, positions="alibi", mlp_ratio=2.0, activation="swiglu"))
    losses = "\n".join(export_recipe(*case, "nanogpt-mup").losses)
    for words in (
        "masks: 8 parameters keep a density of 0.5",
        "weight decay of tokens.weight, readout.weight: 0.1 in the recipe, 0.2 here",
        "epsilon of tokens.weight",
        "2.5e-09 in the recipe, 1e-08 here",
        "standard deviation of blocks.*.attention.out.weight, blocks.*.mlp.down.weight: 0.0707107 in the recipe",
        "the recipe's is not",
        "the recipe has alibi",
        "the recipe's swiglu",
        "the recipe's 2",
    ):
        assert words in losses, words


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("density", [1.0, 0.25, 0.125])
@pytest.mark.parametrize("table", TABLES)
def test_megatron(table: str, density: float, tied: bool) -> None:
    case = case_of(gpt_spec(parametrization=table, density=density, tied=tied, optimizer=coupled()))
    keys = megatron(case)
    base = int(keys["--mup-base-hidden-size"])
    width = WIDTH / base
    rate, decoupled = float(keys["--lr"]), float(keys["--decoupled-lr"])
    for row in case[1]:
        ends, hidden = row.role in (Role.EMBEDDING, Role.READOUT), row.role is Role.HIDDEN
        assert row.learning_rate == close(decoupled if ends else rate / width if hidden else rate)
        assert row.weight_decay == close(float(keys["--weight-decay"]) if len(row.shape) > 1 else 0)
        if hidden:
            assert row.epsilon == close(float(keys["--adam-eps"]) / width)
            if not row.name.endswith(RESIDUAL):
                assert row.init_std == close(float(keys["--init-method-std"]) / math.sqrt(width))
        elif row.role is Role.EMBEDDING:
            assert row.init_std == close(float(keys["--init-method-std"]))
    said = float(keys["--mup-output-mult"])
    made = 1 / width if said == 1 and width != 1 else said  # as TransformerConfig takes a multiplier of 1
    assert made == close(case[0].roles[Role.READOUT].forward_multiplier)
    assert float(keys["--mup-embedding-mult"]) == 3
    assert float(keys["--mup-attn-scale-power"]) == (0.5 if table == "sp" else 1)
    assert ("--untie-embeddings-and-output-weights" in keys) is not tied
    assert (keys["--num-layers"], keys["--hidden-size"], keys["--num-attention-heads"]) == ("2", "64", "8")


def test_megatron_is_told_an_output_multiplier_of_one() -> None:
    case = case_of(gpt_spec(hparams=replace(HPARAMS, output_multiplier=4.0)))
    assert case[0].roles[Role.READOUT].forward_multiplier == 1
    said = megatron(case)["--mup-output-mult"]
    assert float(said) != 1
    assert float(said) == pytest.approx(1, rel=1e-15)
    dense = case_of(gpt_spec(parametrization="sp", hparams=BaseHyperparameters(0.1, 0.1)))
    assert float(megatron(dense)["--mup-output-mult"]) == 1


def test_megatron_says_what_it_cannot() -> None:
    losses = "\n".join(export_recipe(*case_of(gpt_spec(density=0.5, positions="alibi")), "megatron").losses)
    assert "epsilon of tokens.weight" in losses
    assert "weight decay of tokens.weight: 0.1 in the recipe, 0.2 here" in losses
    assert "blocks.*.mlp.down.weight: 0.0707107 in the recipe, 0.0353553 here" in losses
    assert "alibi" in losses


@pytest.mark.parametrize("density", [1.0, 0.25, 0.3001])
@pytest.mark.parametrize("table", TABLES)
def test_cerebras(table: str, density: float) -> None:
    """Exact SuPar at a density that all layers have: the base is as much larger, the output alpha as much smaller."""
    case = case_of(gpt_spec(parametrization=table, density=density, tied=False, optimizer=coupled()))
    init = cerebras(case)
    model, adamw = init["model"], init["optimizer"]["AdamW"]
    width, filters = WIDTH / model["mup_base_hidden_size"], 4 * WIDTH / model["mup_base_filter_size"]
    rate = init["schedulers"][0]["ConstantLR"]["learning_rate"]
    tolerance = 1e-9 if density != 0.3001 else 1e-3  # whole numbers of weights: layers are not as dense as each other
    for row in case[1]:
        scale = 1.0
        if row.role is Role.HIDDEN:
            scale = 1 / (filters if row.name.endswith("down.weight") else width)
        assert row.learning_rate == pytest.approx(rate * scale, rel=tolerance)
        assert row.weight_decay == close(adamw["weight_decay"] if len(row.shape) > 1 else 0)
        assert row.epsilon == close(adamw["eps"])
        if row.role is Role.VECTOR:
            continue
        kind = "embedding_initializer" if row.role is Role.EMBEDDING else "initializer"
        std = model["initializer_range"] if row.role is Role.READOUT else model[kind]["std"]
        if row.name.endswith(RESIDUAL):
            kind = "output_layer_initializer" if row.name.endswith("out.weight") else "ffn_output_layer_initializer"
            std = model[kind]["std"] / math.sqrt(2 * DEPTH)
        assert row.init_std == pytest.approx(std * math.sqrt(scale), rel=tolerance)
    assert model["output_logits_alpha"] / width == close(case[0].roles[Role.READOUT].forward_multiplier)
    assert model["scale_output_logits_by_d"] is True
    assert model["embeddings_scale"] == 3
    assert model["scale_qk_dot_by_d"] is (table != "sp")
    if table == "smupar" and density == 0.25:
        assert model["mup_base_hidden_size"] == 16 / 0.25
        assert model["output_logits_alpha"] == 2 * 0.25


def test_densities_that_differ_are_told() -> None:
    case = case_of(gpt_spec(density=0.3001))
    for to in ("nanogpt-mup", "cerebras"):
        losses = "\n".join(export_recipe(*case, to).losses)
        assert "learning rate of blocks.*.attention.out.weight: 0.00833" in losses, to


@pytest.mark.parametrize("to", ["nanogpt-mup", "megatron", "cerebras"])
def test_what_cannot_be_trained_there_is_refused(to: str) -> None:
    with pytest.raises(InputError, match=f"^to={to}: builds a transformer"):
        export_recipe(*case_of(mlp_spec()), to)
    recipe, rows = own(case_of(gpt_spec(density=0.25)))
    faster = tuple(replace(row, learning_rate=row.learning_rate * 2) if "up" in row.name else row for row in rows)
    with pytest.raises(InputError, match=f"^to={to}: would train model.layers.0.mlp.up.weight at a rate of 0.01, "):
        export_recipe(recipe, faster, to)
    with pytest.raises(InputError, match=r"^optimizer\.name=sgd"):
        export_recipe(*case_of(gpt_spec(optimizer=OptimizerSettings("sgd"))), to)
    with pytest.raises(InputError, match=f"^to={to}: needs hidden parameters"):
        export_recipe(recipe, (row for row in rows if row.role is not Role.HIDDEN), to)


def test_megatron_refuses_a_base_that_is_no_whole_number() -> None:
    """At density 0.9 the base would be 17.8 wide."""
    case = case_of(gpt_spec(density=0.9))
    with pytest.raises(InputError, match="to=megatron: would train"):
        export_recipe(*case, "megatron")
    assert cerebras(case)["model"]["mup_base_hidden_size"] == pytest.approx(16 / 0.9, rel=1e-3)


@pytest.mark.parametrize("to", ["nanogpt-mup", "megatron", "cerebras"])
def test_a_model_of_ones_own_is_told_by_role(to: str) -> None:
    exported = export_recipe(*own(case_of(gpt_spec(density=0.25))), to)
    assert "the recipe is of a model of your own" in "\n".join(exported.losses)
    assert "0.1\n" not in exported.text.replace("weight_decay = 0.1\n", "").replace("weight-decay 0.1\n", "").replace(
        "weight_decay: 0.1\n", ""
    ), "its initial values are its own"
