"""Masks and initial weights: from named streams, with the planned spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from smupar_transfer.model import build, outline
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import Role

SpecMaker = Callable[..., RunSpec]


def sparse_layers(network: nn.Module) -> dict[str, SparseLinear]:
    return {name: module for name, module in network.named_modules() if isinstance(module, SparseLinear)}


def test_weights_have_the_planned_spread_and_vectors_their_constant(gpt: SpecMaker) -> None:
    network, plan = build(gpt(width=128, density=0.25, bias=True, tied=False))
    layers = sparse_layers(network)
    for row in plan:
        values = network.get_parameter(row.name).detach()
        if row.role is Role.VECTOR:
            assert values.unique().tolist() == [1.0 if "norm" in row.name and "weight" in row.name else 0.0]  # type: ignore[no-untyped-call]
            continue
        if row.role is Role.HIDDEN:
            layer = layers[row.name.removesuffix(".weight")]
            assert not values[~layer.mask].any()
            values = values[layer.mask]
        error = row.init_std / (2 * values.numel()) ** 0.5
        assert abs(float(values.std()) - row.init_std) < 5 * error
        assert abs(float(values.mean())) < 5 * row.init_std / values.numel() ** 0.5


def test_the_same_specification_gives_the_same_network_whatever_the_global_stream(gpt: SpecMaker) -> None:
    torch.manual_seed(1)
    first = build(gpt(density=0.5))[0].state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = build(gpt(density=0.5))[0].state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_another_seed_gives_other_weights_and_masks(gpt: SpecMaker) -> None:
    first, second = (sparse_layers(build(gpt(density=0.5, seed=seed))[0])["blocks.0.mlp.up"] for seed in (0, 1))
    assert not torch.equal(first.mask, second.mask)
    assert not torch.equal(first.dense_weight(), second.dense_weight())


def test_runs_that_differ_in_sparsity_start_from_the_same_weights_up_to_scale(gpt: SpecMaker) -> None:
    dense, sparse = build(gpt(parametrization="sp"))[0], build(gpt(parametrization="sp", density=0.25))[0]
    scaled = build(gpt(density=0.25))[0]
    for name, layer in sparse_layers(sparse).items():
        full = sparse_layers(dense)[name].dense_weight()
        assert torch.equal(layer.dense_weight(), full * layer.mask)
        other = sparse_layers(scaled)[name]
        assert torch.equal(other.mask, layer.mask)
        torch.testing.assert_close(other.dense_weight(), layer.dense_weight())  # m_d m_rho = 1 here


def test_another_layer_moves_nothing(gpt: SpecMaker) -> None:
    shallow, deep = build(gpt(density=0.5))[0].state_dict(), build(gpt(density=0.5, depth=3))[0].state_dict()
    assert shallow.keys() < deep.keys()
    assert all(torch.equal(value, deep[name]) for name, value in shallow.items())


def test_layers_of_one_shape_differ(gpt: SpecMaker) -> None:
    """Guards against one stream for all layers."""
    layers = sparse_layers(build(gpt(density=0.5))[0])
    assert not torch.equal(layers["blocks.0.mlp.up"].mask, layers["blocks.1.mlp.up"].mask)
    assert not torch.equal(layers["blocks.0.mlp.up"].dense_weight(), layers["blocks.1.mlp.up"].dense_weight())


def test_at_density_one_supar_and_mup_are_one_network_bit_for_bit(gpt: SpecMaker) -> None:
    first, second = (build(gpt(parametrization=name))[0] for name in ("smupar", "mup"))
    ids = torch.arange(8)[None]
    assert torch.equal(first(ids), second(ids))
    third = build(gpt(parametrization="sp"))[0]
    assert not torch.equal(first(ids), third(ids))


def test_at_the_proxy_all_parametrizations_start_from_the_same_weights(gpt: SpecMaker) -> None:
    spec = gpt(base_width=64)
    states = [build(replace(spec, parametrization=name))[0].state_dict() for name in ("sp", "mup", "smupar")]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])
        assert torch.equal(value, states[2][name])


@pytest.mark.parametrize("kind", ["gpt", "mlp"])
def test_an_outline_has_no_memory(gpt: SpecMaker, mlp: SpecMaker, kind: str) -> None:
    network = outline(gpt() if kind == "gpt" else mlp())
    assert all(parameter.is_meta for parameter in network.parameters())
