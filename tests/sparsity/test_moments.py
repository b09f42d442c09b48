"""Masks that change in training: moments follow their weights, or the optimizer refuses to step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.sparsity import SparseLinear, change_mask, named_generator
from smupar_transfer.theory import InputError

SHAPE = (12, 20)
MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adamw_fused": partial(torch.optim.AdamW, lr=0.05, weight_decay=0.5, fused=True),
    "adamw_foreach": partial(torch.optim.AdamW, lr=0.05, weight_decay=0.5, foreach=True),
    "adamw_loop": partial(torch.optim.AdamW, lr=0.05, weight_decay=0.5, foreach=False),
    "amsgrad": partial(torch.optim.AdamW, lr=0.05, amsgrad=True, fused=True),
    "momentum": partial(torch.optim.SGD, lr=1e-3, momentum=0.9, weight_decay=0.5),
    "momentum_fused": partial(torch.optim.SGD, lr=1e-3, momentum=0.9, fused=True),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-3, momentum=0.9),
}
CHANGES = {
    "grown": (0.3, 0.8),
    "shrunk": (0.8, 0.1),
    "equal": (0.3, 0.3),
    "to full": (0.3, 1.0),
    "from full": (1.0, 0.3),
}
by_change = pytest.mark.parametrize("change", CHANGES)
by_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def layer(density: float, backend: str, seed: int = 0) -> SparseLinear:
    made = SparseLinear(SHAPE[1], SHAPE[0], density=density, backend=backend)
    made.draw_mask(named_generator(seed, "mask", "w"))
    made.set_weight(torch.randn(SHAPE, generator=named_generator(seed, "weight", "w")))
    return made


def before_and_after(change: str, backend: str) -> tuple[SparseLinear, SparseLinear]:
    """Two layers whose masks share some weights, each with weights of its own."""
    first, second = (layer(density, backend, seed) for seed, density in enumerate(CHANGES[change]))
    assert bool((first.mask & second.mask).any())
    assert not torch.equal(first.mask, second.mask)
    return first, second


def backward(module: nn.Module, step: int) -> None:
    inputs = torch.randn(9, SHAPE[1], generator=named_generator(step, "test", "inputs"))
    module.zero_grad()
    torch.autograd.backward((module(inputs) - 1).square().sum())


def train(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        backward(module, step)
        optimizer.step()


class Textbook(nn.Module):
    """Weight times mask, in dense storage; what the mask takes away is set to zero by hand, moments included."""

    def __init__(self, twin: SparseLinear) -> None:
        super().__init__()
        self.weight, self.mask = nn.Parameter(twin.dense_weight().detach().clone()), twin.mask

    def forward(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self.weight * self.mask)

    @torch.no_grad()
    def change(self, mask: Tensor, optimizer: torch.optim.Optimizer, moments: bool = True) -> None:
        state = optimizer.state[self.weight].values() if moments else ()
        for value in (self.weight, self.weight.grad, *state):
            if isinstance(value, Tensor) and value.shape == mask.shape:
                value.mul_(mask)
        self.mask = mask


def both_trained(
    name: str, backend: str, change: str, moments: bool = True
) -> tuple[SparseLinear, torch.optim.Optimizer, Textbook]:
    """A layer and its textbook twin after 4 steps, a change of mask between backward pass and step, and 4 more."""
    module, other = before_and_after(change, backend)
    textbook = Textbook(module)
    ours, theirs = OPTIMIZERS[name]([module.weight]), OPTIMIZERS[name]([textbook.weight])
    train(module, ours, range(4))
    train(textbook, theirs, range(4))
    backward(module, 4)
    backward(textbook, 4)
    change_mask(module, other.mask, ours)
    textbook.change(other.mask, theirs, moments)
    ours.step()
    theirs.step()
    train(module, ours, range(5, 8))
    train(textbook, theirs, range(5, 8))
    return module, ours, textbook


@by_optimizer
@by_change
def test_training_goes_on_as_the_textbook_does(name: str, change: str, backend: str) -> None:
    module, optimizer, textbook = both_trained(name, backend, change)
    torch.testing.assert_close(module.dense_weight(), textbook.weight, rtol=1e-4, atol=1e-5)
    assert not module.dense_weight()[~module.mask].any()
    moments = [value for value in optimizer.state[module.weight].values() if value.ndim]
    assert moments
    assert {value.shape for value in moments} == {module.weight.shape}


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "to full"])
def test_moments_left_where_they_are_would_show(change: str, backend: str) -> None:
    """The control of the test above: they go on moving weights that are gone."""
    module, _, textbook = both_trained("adamw_fused", backend, change, moments=False)
    assert not torch.allclose(module.dense_weight(), textbook.weight, rtol=1e-2)


@by_change
def test_kept_weights_keep_their_moments_and_new_ones_start_at_zero(change: str, backend: str) -> None:
    module, other = before_and_after(change, backend)
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    train(module, optimizer, range(3))

    def dense(name: str) -> Tensor:
        return module.backend.unpack(optimizer.state[module.weight][name])

    before = {name: dense(name).clone() for name in ("exp_avg", "exp_avg_sq")}
    kept = module.mask & other.mask
    change_mask(module, other.mask, optimizer)
    assert torch.equal(module.mask, other.mask)
    for name, values in before.items():
        assert torch.equal(dense(name), torch.where(kept, values, 0.0))
        assert bool(dense(name)[kept].any())
    assert float(optimizer.state[module.weight]["step"]) == 3


def assign(module: SparseLinear, other: SparseLinear) -> None:
    module.mask = other.mask


def load(module: SparseLinear, other: SparseLinear) -> None:
    module.load_state_dict(other.state_dict())


def draw(module: SparseLinear, other: SparseLinear) -> None:
    module.nominal_density = other.nominal_density
    module.draw_mask(named_generator(1, "mask", "w"))


by_way = pytest.mark.parametrize("way", [assign, load, draw])


@by_way
@pytest.mark.parametrize("name", ["adamw_fused", "adamw_loop", "momentum_fused"])
@by_change
def test_moments_left_behind_are_refused_before_anything_moves(
    way: Callable[[SparseLinear, SparseLinear], None], name: str, change: str, backend: str
) -> None:
    module, other = before_and_after(change, backend)
    optimizer = OPTIMIZERS[name]([module.weight])
    train(module, optimizer, range(3))
    way(module, other)
    backward(module, 4)
    weight, state = module.dense_weight().detach().clone(), copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(InputError, match=r"moments for another mask.*change_mask\(layer, mask, optimizer\), or make"):
        optimizer.step()
    with pytest.raises(InputError, match="moments for another mask"):
        change_mask(module, other.mask, optimizer)
    assert torch.equal(module.dense_weight(), weight)
    for key, value in optimizer.state[module.weight].items():
        assert torch.equal(value, state[0][key])
    train(module, OPTIMIZERS[name]([module.weight]), range(3))  # the way out
    assert not module.dense_weight()[~module.mask].any()


@by_way
def test_before_the_first_step_masks_may_change_freely(
    way: Callable[[SparseLinear, SparseLinear], None], backend: str
) -> None:
    module, other = before_and_after("grown", backend)
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    change_mask(module, ~module.mask, optimizer)
    way(module, other)
    twin, reference = copy.deepcopy(module), before_and_after("grown", backend)[1]
    reference.set_weight(twin.dense_weight())
    train(module, optimizer, range(3))
    train(reference, OPTIMIZERS["adamw_fused"]([reference.weight]), range(3))
    assert torch.equal(module.dense_weight(), reference.dense_weight())


@pytest.mark.parametrize("network_first", [True, False])
def test_network_and_optimizer_may_be_loaded_in_either_order(network_first: bool, backend: str) -> None:
    """Into a network of another mask, whose optimizer has made steps."""
    module, other = before_and_after("equal", backend)
    optimizers = [OPTIMIZERS["adamw_fused"]([each.weight]) for each in (module, other)]
    train(module, optimizers[0], range(3))
    train(other, optimizers[1], range(3, 6))
    loads: list[Callable[[], object]] = [
        lambda: other.load_state_dict(copy.deepcopy(module.state_dict())),
        lambda: optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict())),
    ]
    for load_ in loads if network_first else reversed(loads):
        load_()
    train(module, optimizers[0], range(6, 9))
    train(other, optimizers[1], range(6, 9))
    assert torch.equal(module.dense_weight(), other.dense_weight())


@by_change
def test_moments_loaded_beside_another_mask_are_refused(change: str, backend: str) -> None:
    """Also before a step, and where as many weights exist."""
    module, other = before_and_after(change, backend)
    optimizer, another = (OPTIMIZERS["adamw_fused"]([each.weight]) for each in (module, other))
    train(module, optimizer, range(3))
    another.load_state_dict(optimizer.state_dict())
    backward(other, 4)
    with pytest.raises(InputError, match="moments for another mask"):
        another.step()


def test_moments_of_another_backends_layout_are_refused(backend: str, other_backend: str) -> None:
    module, other = layer(0.3, backend), layer(0.3, other_backend)
    optimizer, another = (OPTIMIZERS["adamw_fused"]([each.weight]) for each in (module, other))
    train(module, optimizer, range(3))
    another.load_state_dict(optimizer.state_dict())
    backward(other, 4)
    if module.weight.shape == other.weight.shape:
        another.step()
        return
    with pytest.raises(InputError, match="another mask or layout"):
        another.step()


def without_notes(state: dict[str, Any]) -> dict[str, Any]:
    """As an earlier version saved it."""
    groups = [{key: value for key, value in group.items() if key != "mask_layouts"} for group in state["param_groups"]]
    assert groups != state["param_groups"]
    return {**state, "param_groups": groups}


@by_change
def test_moments_that_nobody_noted_a_mask_for_are_refused_by_their_shape(change: str, backend: str) -> None:
    module, other = before_and_after(change, backend)
    optimizer, another = (OPTIMIZERS["adamw_fused"]([each.weight]) for each in (module, other))
    train(module, optimizer, range(3))
    another.load_state_dict(without_notes(optimizer.state_dict()))
    backward(other, 4)
    if module.weight.shape != other.weight.shape:
        with pytest.raises(InputError, match="moments for another mask"):
            another.step()
        return
    train(other, another, range(4, 9))
    assert not other.dense_weight()[~other.mask].any(), "moments off the mask revive weights"
    other.mask = module.mask
    with pytest.raises(InputError, match="moments for another mask"):  # noted by now
        another.step()


def test_a_network_and_its_optimizer_are_copied_together(backend: str) -> None:
    module = layer(0.3, backend)
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    train(module, optimizer, range(3))
    twin, its_optimizer = copy.deepcopy((module, optimizer))
    change_mask(module, layer(0.3, backend, 1).mask, optimizer)
    train(twin, its_optimizer, range(3, 6))
    assert not torch.equal(twin.mask, module.mask)
    twin.mask = module.mask
    with pytest.raises(InputError, match="moments for another mask"):
        its_optimizer.step()


def test_another_precision_keeps_moments_and_mask_together(backend: str) -> None:
    module = layer(0.3, backend)
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    train(module, optimizer, range(3))
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer = OPTIMIZERS["adamw_fused"]([module.double().weight])
    optimizer.load_state_dict(saved)
    module(torch.ones(2, SHAPE[1], dtype=torch.float64)).sum().backward()
    optimizer.step()


@by_way
@by_change
def test_gradients_follow_the_mask_without_any_moments(
    way: Callable[[SparseLinear, SparseLinear], None], change: str, backend: str
) -> None:
    module, other = before_and_after(change, backend)
    backward(module, 0)
    assert module.weight.grad is not None
    expected = torch.where(other.mask & module.mask, module.backend.unpack(module.weight.grad), 0.0)
    way(module, other)
    assert module.weight.grad.shape == module.weight.shape
    assert torch.equal(module.backend.unpack(module.weight.grad), expected)
    before = module.dense_weight().detach().clone()
    torch.optim.SGD([module.weight], lr=0.5).step()
    torch.testing.assert_close(module.dense_weight(), before - 0.5 * expected)


@by_change
def test_a_pass_begun_under_the_old_mask_does_not_end_under_the_new_one(change: str, backend: str) -> None:
    module, other = before_and_after(change, backend)
    loss = module(torch.randn(3, SHAPE[1], requires_grad=True)).sum()
    module.mask = other.mask
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(
    "mask",
    [torch.ones(SHAPE), torch.ones(SHAPE[::-1], dtype=torch.bool), torch.ones(SHAPE[0] * SHAPE[1], dtype=torch.bool)],
    ids=["float", "transposed", "flat"],
)
def test_what_is_no_mask_of_the_layer_is_refused_and_changes_nothing(mask: Tensor, backend: str) -> None:
    module = layer(0.3, backend)
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    train(module, optimizer, range(2))
    before = copy.deepcopy(module.state_dict())
    message = r"^mask=torch\.\w+ \(.*\): must be boolean, of shape \(fan_out, fan_in\) = \(12, 20\)$"
    with pytest.raises(InputError, match=message):
        module.mask = mask
    with pytest.raises(InputError, match=message):
        change_mask(module, mask, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    train(module, optimizer, range(2))


@pytest.mark.parametrize(
    "make",
    [
        partial(torch.optim.Rprop, lr=0.1),  # a step size of zero would stay
        partial(torch.optim.Adagrad, initial_accumulator_value=0.1),
        partial(torch.optim.Adafactor, lr=0.1),  # moments of rows and columns
        torch.optim.LBFGS,  # moments of all parameters together
    ],
    ids=["rprop", "adagrad", "adafactor", "lbfgs"],
)
def test_an_optimizer_whose_state_cannot_be_divided_is_refused_and_changes_nothing(make: MakeOptimizer) -> None:
    first, second = layer(0.3, "masked"), layer(0.3, "masked", 1)
    optimizer = make([first.weight, second.weight])

    def closure() -> float:
        optimizer.zero_grad()
        inputs = torch.randn(9, SHAPE[1], generator=named_generator(0, "test", "inputs"))
        loss = (first(inputs) + second(inputs) - 1).square().sum()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    before = copy.deepcopy(second.state_dict())
    with pytest.raises(InputError, match=r"is not known what a new weight's would be; assign to layer\.mask"):
        change_mask(second, first.mask, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in second.state_dict().items())
    optimizer.step(closure)
    second.mask = first.mask
    with pytest.raises(InputError, match="moments for another mask"):
        optimizer.step(closure)


def test_the_optimizer_of_another_layer_is_refused(backend: str) -> None:
    module, other = layer(0.3, backend), layer(0.3, backend, 1)
    with pytest.raises(InputError, match=r"^optimizer=AdamW: does not train SparseLinear\(20, 12, .*; give the one"):
        change_mask(module, other.mask, OPTIMIZERS["adamw_fused"]([other.weight]))


def test_what_auto_chooses_for_the_new_mask_gets_the_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smupar_transfer.sparsity.linear.choose_backend", lambda work: "csr")
    module = layer(1.0, "auto")
    assert module.backend_name == "auto", "a full mask needs no choice"
    optimizer = OPTIMIZERS["adamw_fused"]([module.weight])
    train(module, optimizer, range(3))
    change_mask(module, layer(0.3, "masked").mask, optimizer)
    assert module.backend_name == "csr"
    assert module.weight.ndim == 1
    train(module, optimizer, range(3))


def test_a_layout_is_that_of_the_mask_and_of_the_parameter() -> None:
    equal = [layer(0.3, "masked").layout, layer(0.3, "masked", 0).layout, copy.deepcopy(layer(0.3, "masked")).layout]
    others = [layer(0.3, "masked", 1).layout, layer(0.3, "csr").layout, layer(1.0, "csr").layout]
    assert len(set(equal)) == 1
    assert len({*equal, *others}) == 4
    assert all(0 <= number < 2**63 for number in others)


def test_other_networks_are_none_of_its_business() -> None:
    layer(0.3, "masked")
    dense = nn.Linear(20, 12)
    optimizer = torch.optim.AdamW(dense.parameters())
    train(dense, optimizer, range(2))
    assert "mask_layouts" not in optimizer.param_groups[0]
