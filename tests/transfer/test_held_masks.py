"""Masks hold whatever trains the network, and gradients are masked before anybody looks at their norm."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, prune
from torch.optim import Optimizer

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import plan
from tests.transfer.networks import batch, loss_of, make, masks_of, off_mask_gradients, off_mask_values, planned, train


class Noisy(Optimizer):
    """Adds noise to all entries, zeros included."""

    def __init__(self, groups: Any) -> None:
        super().__init__(groups, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(torch.randn_like(parameter), alpha=group["lr"])


class Undefined(Noisy):
    """Divides by a gradient that is zero off the mask."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad / parameter.grad.abs(), alpha=group["lr"])


OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "AdamW": torch.optim.AdamW,
    "fused AdamW": lambda groups: torch.optim.AdamW(groups, fused=True),
    "foreach AdamW": lambda groups: torch.optim.AdamW(groups, foreach=True),
    "AdamW with maxima": lambda groups: torch.optim.AdamW(groups, amsgrad=True, maximize=True),
    "SGD": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    "Adagrad": torch.optim.Adagrad,
    "RMSprop": torch.optim.RMSprop,
    "RAdam": torch.optim.RAdam,
    "ASGD": torch.optim.ASGD,
    "Adadelta": torch.optim.Adadelta,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "Rprop": torch.optim.Rprop,
    "noise": Noisy,
    "nothing defined off the mask": Undefined,
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
@pytest.mark.parametrize("kind", ["transformer", "convolutional"])
def test_masks_hold_under_any_optimizer(kind: str, name: str) -> None:
    made, network = planned(kind)
    before = {name: mask.clone() for name, mask in masks_of(network).items()}
    optimizer = OPTIMIZERS[name](made.groups(network))
    train(network, optimizer, kind, range(3))
    assert off_mask_values(network) == 0
    for weight, mask in masks_of(network).items():
        assert torch.equal(mask, before[weight])
        row = made[weight]
        assert int(mask.sum()) == round(row.m_rho * mask.numel())
        assert int(network.get_parameter(weight).count_nonzero()) == int(mask.sum())


def _by_hand(network: nn.Module) -> float:
    masks = masks_of(network)
    total = 0.0
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            total += float((parameter.grad * masks.get(name, torch.tensor(1))).double().square().sum())
    return math.sqrt(total)


def _original(network: nn.Module) -> nn.Module:
    return network


def _doubled(network: nn.Module) -> nn.Module:
    return network.double().float()


def _compiled(network: nn.Module) -> Any:
    torch._dynamo.reset()
    return torch.compile(network, backend="aot_eager")


@pytest.mark.parametrize("seen", [_original, copy.deepcopy, _doubled, _compiled], ids=lambda f: f.__name__.strip("_"))
def test_gradients_are_masked_before_they_are_clipped_from_the_first_step_on(seen: Any) -> None:
    _, network = planned("transformer")
    given = seen(network)
    loss_of(given(batch("transformer"))).backward()  # type: ignore[no-untyped-call]
    network = getattr(given, "_orig_mod", given)
    expected = _by_hand(network)
    assert off_mask_gradients(network) == 0
    norm = clip_grad_norm_(given.parameters(), 0.1)
    assert float(norm) == pytest.approx(expected, rel=1e-5)
    optimizer = torch.optim.AdamW(given.parameters(), lr=0.01)  # not from groups: the masks are the network's own
    optimizer.step()
    assert off_mask_values(network) == 0


def test_gradients_that_are_accumulated_are_masked() -> None:
    made, network = planned()
    optimizer = torch.optim.SGD(made.groups(network), momentum=0.9)
    for step in range(4):
        loss_of(network(batch("mlp", seed=step))).backward()  # type: ignore[no-untyped-call]
        assert off_mask_gradients(network) == 0
        if step % 2:
            optimizer.step()
            optimizer.zero_grad()
    assert off_mask_values(network) == 0


def test_gradients_that_are_infinite_off_the_mask_harm_nothing() -> None:
    made, network = planned()
    weight = network.blocks[0].weight
    mask = masks_of(network)["blocks.0.weight"]
    optimizer = torch.optim.AdamW(made.groups(network))
    loss = (weight * torch.where(mask, 1.0, math.inf)).sum()
    torch.autograd.backward(loss, inputs=[weight])
    assert torch.equal(weight.grad, mask.float())
    optimizer.step()
    assert off_mask_values(network) == 0
    assert weight.isfinite().all()


def test_masks_that_are_loaded_or_exchanged_hold_from_then_on() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(2))
    inverted = {
        name: ~value if name.endswith("weight_mask") else value.clone() for name, value in network.state_dict().items()
    }
    for assign in (False, True):
        network.load_state_dict(inverted, assign=assign)
        optimizer = torch.optim.AdamW(made.groups(network))
        train(network, optimizer, "mlp", range(2))
        assert off_mask_values(network) == 0
        assert off_mask_gradients(network) == 0
        inverted = {
            name: ~value if name.endswith("weight_mask") else value.clone()
            for name, value in network.state_dict().items()
        }


def test_frozen_weights_are_left_out_and_held_once_they_are_not() -> None:
    network = make("mlp", 32)
    network.blocks[0].weight.requires_grad_(False)
    made = plan(network, make("mlp", 16), density=0.25, hparams={"learning_rate": 0.1})
    made.apply_(network)
    assert "blocks.0.weight" not in {name for group in made.groups(network) for name, _ in group["params"]}
    network.blocks[0].weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(2))
    assert off_mask_gradients(network) == 0
    assert off_mask_values(network) == 0


def test_own_masks_and_pruned_networks_keep_exactly_what_they_keep() -> None:
    own = torch.zeros(32, 32, dtype=torch.bool)
    own[:, ::4] = True
    made, network = planned(density=1.0, masks={"blocks.0.weight": own})
    own.fill_(True)  # the plan has a copy
    assert made["blocks.0.weight"].m_rho == 0.25
    assert made["blocks.1.weight"].m_rho == 1
    train(network, torch.optim.AdamW(made.groups(network)), "mlp", range(2))
    assert network.blocks[0].weight.count_nonzero() == 256
    assert network.blocks[0].weight[:, ::4].count_nonzero() == 256


def test_a_network_that_is_pruned_already_says_its_density_itself() -> None:
    network = make("mlp", 32)
    for block in network.blocks:
        prune.random_unstructured(block, "weight", amount=0.75)  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=r"blocks.0.weight_orig is pruned already.*say 'found'"):
        plan(network, make("mlp", 16), density=0.5)
    with pytest.raises(InputError, match="is pruned already"):
        plan(network, make("mlp", 16), masks={"blocks.0.weight_orig": torch.eye(32) == 1})
    made = plan(network, make("mlp", 16), density="found", hparams={"learning_rate": 0.1})
    made.apply_(network)
    assert made["blocks.0.weight"].m_rho == 0.25
    train(network, torch.optim.AdamW(made.groups(network)), "mlp", range(2))
    assert network(batch("mlp")).isfinite().all()
    assert network.blocks[0].weight.count_nonzero() == 256


def test_copies_and_networks_that_are_gone_leave_nothing_behind() -> None:
    import gc

    from smupar_transfer.transfer import held_masks

    gc.collect()
    before = len(held_masks._alive)
    made, network = planned()
    twin = copy.deepcopy(network)
    train(twin, torch.optim.AdamW(made.groups(twin)), "mlp", range(1))
    assert len(held_masks._alive) == before + 4
    del network, twin, made
    gc.collect()
    assert len(held_masks._alive) == before
