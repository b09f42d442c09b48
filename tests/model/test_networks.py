"""Masks and initial weights: from named streams, with the planned spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.model import build, outline
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear, sparsity_report
from smupar_transfer.theory import UPDATE_RULES, InputError, OptimizerSettings, Role
from smupar_transfer.training import make_optimizer
from smupar_transfer.transfer import Embedding, initialise

SpecMaker = Callable[..., RunSpec]
State = dict[str, Tensor]
by_kind = pytest.mark.parametrize("kind", ["gpt", "mlp"])


@pytest.fixture
def make(gpt: SpecMaker, mlp: SpecMaker, kind: str) -> SpecMaker:
    return gpt if kind == "gpt" else mlp


def sparse_layers(network: nn.Module) -> dict[str, SparseLinear]:
    return {name: module for name, module in network.named_modules() if isinstance(module, SparseLinear)}


def state(spec: RunSpec) -> State:
    return dict(build(spec)[0].state_dict())


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@by_kind
@pytest.mark.parametrize("mask", ["random", "fixed_fan_in", "bernoulli"])
def test_weights_have_the_planned_spread_and_vectors_their_constant(make: SpecMaker, mask: str) -> None:
    network, plan = build(make(width=128, density=0.25, bias=True, mask=mask))
    layers = sparse_layers(network)
    for row in plan:
        values = network.get_parameter(row.name).detach()
        if row.role is Role.VECTOR:
            assert torch.equal(values, torch.full_like(values, 0.0 if row.name.endswith("bias") else 1.0))
            continue
        if row.role is Role.HIDDEN:
            layer = layers[row.name.removesuffix(".weight")]
            assert not values[~layer.mask].any()
            values = values[layer.mask]
        error = row.init_std / (2 * values.numel()) ** 0.5
        assert abs(float(values.std()) - row.init_std) < 5 * error
        assert abs(float(values.mean())) < 5 * row.init_std / values.numel() ** 0.5
        kurtosis = float((values / row.init_std).pow(4).mean())
        assert abs(kurtosis - 3) < 5 * (96 / values.numel()) ** 0.5


@by_kind
def test_the_same_specification_gives_the_same_network_whatever_the_global_stream(make: SpecMaker) -> None:
    torch.manual_seed(1)
    first = state(make(density=0.5))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert equal(state(make(density=0.5)), first)
    assert torch.equal(torch.get_rng_state(), before)


@by_kind
def test_another_seed_gives_other_weights_and_masks_everywhere(make: SpecMaker) -> None:
    first, second = (state(make(density=0.5, bias=False, seed=seed)) for seed in (0, 1))
    assert all(torch.equal(first[name], second[name]) is ("norm" in name) for name in first)


@by_kind
@pytest.mark.parametrize("density", [0.5, 0.25, 0.0625])
def test_runs_that_differ_in_sparsity_start_from_the_same_weights(make: SpecMaker, density: float) -> None:
    """Bit for bit where the scale is the same, up to SuPar's factor where it is not."""
    dense = dict(build(make())[0].named_parameters())
    for table, factor in (("smupar", density**-0.5), ("mup", 1.0)):
        network, _ = build(make(density=density, parametrization=table))
        masks = {f"{name}.weight": layer.mask for name, layer in sparse_layers(network).items()}
        assert masks
        for name, value in network.named_parameters():
            if name in masks:
                torch.testing.assert_close(value, factor * dense[name] * masks[name], rtol=1e-6, atol=0)
            else:
                assert torch.equal(value, dense[name])


@by_kind
def test_masks_of_a_network_are_nested_across_densities(make: SpecMaker) -> None:
    sparse, dense = (sparse_layers(build(make(density=rho))[0]) for rho in (0.25, 0.5))
    for name, layer in sparse.items():
        assert bool((dense[name].mask | ~layer.mask).all())


@by_kind
def test_another_layer_moves_nothing(make: SpecMaker) -> None:
    shallow, deep = state(make(density=0.5, depth=2)), state(make(density=0.5, depth=3))
    assert shallow.keys() < deep.keys()
    assert all(torch.equal(value, deep[name]) for name, value in shallow.items())


@by_kind
def test_layers_of_one_shape_differ(make: SpecMaker) -> None:
    """Guards against one stream for all layers."""
    layers = list(sparse_layers(build(make(density=0.5))[0]).values())
    first, second = (layer for layer in layers if layer.shape == layers[-1].shape)
    assert not torch.equal(first.mask, second.mask)
    common = first.mask & second.mask
    assert not torch.equal(first.dense_weight()[common], second.dense_weight()[common])


@by_kind
def test_at_density_one_supar_and_mup_are_one_network_bit_for_bit(make: SpecMaker) -> None:
    supar, mup, sp = (make(parametrization=name) for name in ("smupar", "mup", "sp"))
    assert equal(state(supar), state(mup))
    assert not equal(state(supar), state(sp))
    assert not equal(state(replace(supar, sparsity=make(density=0.5).sparsity)), state(mup))
    inputs = torch.arange(8)[None] if supar.model.kind == "gpt" else torch.randn(4, 10)
    first, second, third = (build(spec)[0](inputs) for spec in (supar, mup, sp))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@by_kind
def test_at_the_proxy_all_parametrizations_start_from_the_same_weights(make: SpecMaker) -> None:
    first, *others = (state(make(base_width=64, parametrization=name)) for name in ("sp", "mup", "smupar"))
    assert all(equal(first, other) for other in others)


@by_kind
def test_an_outline_has_no_memory(make: SpecMaker) -> None:
    network, spec = outline(make()), make()
    assert all(parameter.is_meta for parameter in network.parameters())
    assert [name for name, _ in network.named_parameters()] == [row.name for row in build(spec)[1]]


@by_kind
def test_the_report_of_a_network_agrees_with_its_plan(make: SpecMaker) -> None:
    network, plan = build(make(density=0.3, mask="bernoulli"))
    hidden = [(row.name, row.density, row.density * row.fan_in) for row in plan if row.role is Role.HIDDEN]
    report = [(row.name, row.density, row.weights_per_neuron) for row in sparsity_report(network)]
    assert [row[0] for row in report] == [row[0] for row in hidden]
    assert len({row[1] for row in report}) == len(report)
    for reported, planned in zip(report, hidden, strict=True):
        assert reported[1:] == pytest.approx(planned[1:])


@by_kind
@pytest.mark.parametrize("name", UPDATE_RULES)
def test_training_leaves_zeros_where_they_are(make: SpecMaker, name: str) -> None:
    """With the run's own optimizer, weight decay and clipping included; the other weights all move."""
    spec = make(density=0.25, optimizer=OptimizerSettings(name))
    network, plan = build(spec)
    optimizer = make_optimizer(network, plan, spec.optimizer)
    before = {name: layer.dense_weight().detach().clone() for name, layer in sparse_layers(network).items()}
    for _ in range(10):
        inputs = torch.randint(32, (4, 8)) if spec.model.kind == "gpt" else torch.randn(16, 10)
        optimizer.zero_grad()
        torch.autograd.backward((network(inputs) - 1).pow(2).mean())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
    for layer_name, layer in sparse_layers(network).items():
        assert torch.equal(layer.dense_weight() != 0, layer.mask)
        assert bool((layer.dense_weight() != before[layer_name])[layer.mask].all())
        moments = [m for m in optimizer.state[layer.weight].values() if m.shape == layer.shape]
        assert moments
        assert all(not moment[~layer.mask].any() for moment in moments)


@by_kind
def test_a_saved_network_comes_back_whole_and_not_without_its_masks(make: SpecMaker) -> None:
    source, target = (build(make(density=0.25, seed=seed))[0] for seed in (0, 1))
    inputs = torch.arange(8)[None] if make().model.kind == "gpt" else torch.randn(4, 10)
    assert not torch.equal(source(inputs), target(inputs))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(inputs), target(inputs))
    name = f"{list(sparse_layers(source))[-1]}.mask_bits"
    partial = {key: value for key, value in source.state_dict().items() if key != name}
    with pytest.raises(RuntimeError, match=f"{name} is missing"):
        target.load_state_dict(partial, strict=False)


@by_kind
def test_an_unknown_backend_is_refused_by_key(make: SpecMaker) -> None:
    with pytest.raises(InputError, match=r"^sparsity\.backend=nonsense"):
        build(make(density=0.5), backend="nonsense")


def test_values_follow_the_plan_that_is_given(gpt: SpecMaker) -> None:
    """A plan made otherwise, of another std for one parameter, is what its network starts from."""
    network, plan = build(gpt())
    larger = {row.name: 10.0 if row.name == "tokens.weight" else 1.0 for row in plan}
    changed = [replace(row, init_std=larger[row.name] * row.init_std) for row in plan]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    initialise(network, changed, seed=0)
    assert isinstance(network.get_submodule("tokens"), Embedding)
    torch.testing.assert_close(network.state_dict()["tokens.weight"], 10 * before.pop("tokens.weight"))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
