"""Other people's architectures: every parameter's role, with a forward pass and without, and two steps of training."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from torch import nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import ModuleMultiplier, OpenRolesError, Plan, plan
from smupar_transfer.transfer.held_masks import held_masks
from tests.hugging_face import transformers
from tests.transfer.architectures import ARCHITECTURES, BASE, WIDE, Architecture, output_of

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
UNTESTED = "no output layer was found: what the model gives grows with its width"

each = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)


def with_sample(architecture: Architecture, **settings: Any) -> Plan:
    """The plan of a person who has a small batch at hand: the base has values, and the model none yet."""
    base, sample = architecture.make(BASE), architecture.sample(BASE)
    return plan(architecture.on_meta(WIDE), base, sample=sample, **settings)


def without_sample(architecture: Architecture, **settings: Any) -> Plan:
    """The plan of a person who has shapes alone."""
    return plan(architecture.on_meta(WIDE), architecture.on_meta(BASE), **settings)


def require_expected(architecture: Architecture, planned: Plan) -> None:
    used = set()
    for row in planned.rows:
        line = next((line for line in architecture.expected if fnmatchcase(row.name, line[0])), None)
        assert line is not None, f"nothing is expected of {row.name}"
        assert (row.name, str(row.role), row.fan_in, row.m_d) == (row.name, *line[1:])
        used.add(line[0])
    assert used == {line[0] for line in architecture.expected}


@each
def test_every_parameter_has_its_role_with_a_forward_pass(architecture: Architecture) -> None:
    planned = with_sample(architecture, density=0.25)
    require_expected(architecture, planned)
    assert set(planned.masks) == {row.name for row in planned.rows if row.role == "hidden"}
    assert planned.attention == {}
    expected = () if architecture.hooks.readout else (UNTESTED,)
    # the one whose forward pass has a factor of its own: see test_width_constants
    assert tuple(line for line in planned.cautions if not line.startswith("config.scale_decoder_outputs")) == expected
    assert (planned.cautions != expected) == (architecture.name == "T5")


@each
def test_every_parameter_has_its_role_from_shapes_and_three_words_at_most(architecture: Architecture) -> None:
    assert len(architecture.roles) <= 3
    require_expected(architecture, without_sample(architecture, density=0.25, roles=architecture.roles))
    if architecture.roles:
        with pytest.raises(OpenRolesError):
            without_sample(architecture, density=0.25)
    for pattern in architecture.roles:
        fewer = {other: said for other, said in architecture.roles.items() if other != pattern}
        with pytest.raises(OpenRolesError):
            without_sample(architecture, density=0.25, roles=fewer)


@each
def test_multipliers_act_at_the_ends_of_the_network_and_nowhere_else(architecture: Architecture) -> None:
    settings = {"input_multiplier": 2.0, "output_multiplier": 3.0}
    hooks = architecture.hooks
    expected = {ModuleMultiplier(path, "output", 2.0) for path in hooks.inputs}
    expected |= {ModuleMultiplier(path, "input", 2.0) for path in hooks.first}
    expected |= {ModuleMultiplier(hooks.readout, "input", 0.75)} if hooks.readout else set()
    planned = with_sample(architecture, hparams=settings)
    assert set(planned.multipliers) == expected
    assert len(planned.multipliers) == len(expected)


@each
def test_two_steps_of_adamw_hold_the_masks(architecture: Architecture) -> None:
    torch.manual_seed(0)
    model, base = architecture.make(2 * BASE), architecture.make(BASE)
    planned = plan(model, base, sample=architecture.sample(BASE), density=0.25)
    planned.apply_(model)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(planned.groups(model, learning_rate=1e-3, weight_decay=0.1))
    for _ in range(2):
        optimizer.zero_grad()
        output_of(call(model, architecture.sample(2 * BASE))).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    planned.check(optimizer)
    masks = {id(held.parameter): held.mask for held in held_masks(model)}
    for name, parameter in model.named_parameters():
        row = planned[name]
        assert torch.isfinite(parameter).all(), name
        if id(parameter) in masks:
            mask = masks[id(parameter)]
            assert int(mask.sum()) == pytest.approx(row.m_rho * parameter.numel())
            assert not parameter[~mask].any(), name
            assert parameter[mask].ne(before[name][mask]).any(), name
        else:
            assert row.m_rho == 1, name
    assert set(masks) == {id(model.get_parameter(name)) for name in planned.masks}


def call(model: nn.Module, sample: Any) -> Any:
    return model(**sample) if isinstance(sample, dict) else model(sample)


def test_what_nothing_decides_is_listed_with_the_line_to_paste() -> None:
    with pytest.raises(OpenRolesError) as caught:
        without_sample(BY_NAME["Mixtral"], density=0.25)
    assert str(caught.value) == (
        "roles: nothing decides what 6 parameters do\n"
        "  model.layers.*.mlp.gate.weight  (4, 32) at the base, (4, 128) here  [2 of them]\n"
        "  model.layers.*.mlp.experts.gate_up_proj  (4, 192, 32) at the base, (4, 768, 128) here  [2 of them]\n"
        "  model.layers.*.mlp.experts.down_proj  (4, 32, 96) at the base, (4, 128, 384) here  [2 of them]\n"
        "give sample=(a tiny batch), which lets a forward pass decide; or say it (hidden, embedding, readout or "
        'vector; a tuple ("hidden", axis) says which axis is summed over, if it is not the last):\n'
        '  roles={"model.layers.*.mlp.gate.weight": "readout", "model.layers.*.mlp.experts.gate_up_proj": "hidden", '
        '"model.layers.*.mlp.experts.down_proj": "hidden"}'
    )


def test_the_line_to_paste_takes_biases_of_experts_for_vectors() -> None:
    with pytest.raises(OpenRolesError) as caught:
        without_sample(BY_NAME["GPT-OSS"], density=0.25)
    assert '"model.layers.*.mlp.experts.gate_up_proj_bias": "vector"' in str(caught.value)
    assert '"model.layers.*.mlp.experts.down_proj_bias": "vector"' in str(caught.value)


def test_a_router_has_its_multiplier_in_its_weight() -> None:
    """It stands inside of a block, where no hook acts: the same function and the same updates come from its weight."""
    row = with_sample(BY_NAME["Mixtral"], hparams={"learning_rate": 1e-2})["model.layers.0.mlp.gate.weight"]
    assert row.forward_multiplier == 1
    assert row.learning_rate == pytest.approx(1e-2 / 4)
    assert row.epsilon == pytest.approx(1e-8)
    assert row.init_std == pytest.approx(0.02 / 4, rel=0.2)


def test_expert_biases_grow_by_the_width_however_many_experts_there_are() -> None:
    class Experts(nn.Module):
        def __init__(self, number: int, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(width, width)
            self.bias = nn.Parameter(torch.zeros(number, width))

    planned = plan(Experts(8, 64), Experts(4, 16), roles={"bias": "vector"}, optimizer="sgd")
    assert planned["bias"].m_d == planned["layer.bias"].m_d == 4


def bert(size: int) -> nn.Module:
    shape = {"hidden_size": 2 * size, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 10}
    network: nn.Module = transformers().BertModel(transformers().BertConfig(num_attention_heads=2, **shape))
    return network


def t5(size: int) -> nn.Module:
    shape = {"d_model": 2 * size, "d_kv": size, "num_heads": 2, "num_layers": 1, "vocab_size": 10, "d_ff": 8}
    network: nn.Module = transformers().T5EncoderModel(transformers().T5Config(**shape))
    return network


def neox(size: int) -> nn.Module:
    shape = {"hidden_size": 2 * size, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 10}
    config = transformers().GPTNeoXConfig(num_attention_heads=2, **shape)
    network: nn.Module = transformers().GPTNeoXModel(config)
    return network


def deepseek(size: int) -> nn.Module:
    shape = {"hidden_size": 2 * size, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 10}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "qk_rope_head_dim": size // 2, "v_head_dim": size}
    ranks = {"q_lora_rank": 8, "kv_lora_rank": 8, "first_k_dense_replace": 1}
    config = transformers().DeepseekV3Config(qk_nope_head_dim=size // 2, **shape, **heads, **ranks)
    network: nn.Module = transformers().DeepseekV3Model(config)
    return network


@pytest.mark.parametrize(
    ("make", "path", "factor"),
    [
        pytest.param(neox, "layers.0.attention", 0.5, id="which calls it the size of a head"),
        pytest.param(deepseek, "layers.0.self_attn", 0.5, id="whose queries and values have sizes of their own"),
        pytest.param(bert, "encoder.layer.0.attention.self", 0.5, id="which divides by the root of its head's size"),
        pytest.param(t5, "encoder.block.0.layer.0.SelfAttention", 0.25, id="which divides by nothing"),
    ],
)
def test_attention_whose_heads_grow_is_scaled_by_their_size(
    make: Callable[[int], nn.Module], path: str, factor: float
) -> None:
    """Whatever a module calls the size of its heads, and however it scales by itself."""
    assert plan(make(64), make(16)).attention == {path: factor}


def test_heads_that_grow_are_refused_where_nothing_can_scale_their_attention() -> None:
    narrow, wide = (nn.MultiheadAttention(width, 2) for width in (32, 64))
    with pytest.raises(InputError, match=r"head_dim=32: is 32, and 16 in the base: how MultiheadAttention scales"):
        plan(wide, narrow)
    assert plan(wide, narrow, parametrization="sp").attention == {}
