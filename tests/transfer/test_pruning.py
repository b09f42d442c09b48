"""Networks that are pruned while they train: by masks that were not there before, and again by torch itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.utils import prune

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan, plan
from tests.transfer.networks import HPARAMS, make, off_mask_values, planned, same, state, train

NAME = "blocks.0.weight"


def _trained(density: Any = 1.0) -> tuple[Plan, Any, torch.optim.Optimizer]:
    made, network = planned(density=density)
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(3))
    return made, network, optimizer


def _prune_by_magnitude(layer: Any, share: float) -> None:
    """Register the mask of the largest weights."""
    size = layer.weight.detach().abs()
    layer.register_buffer("weight_mask", size >= size.quantile(1 - share))


def test_a_mask_of_a_weight_that_had_none_is_held_from_now_on() -> None:
    made, network, optimizer = _trained()
    _prune_by_magnitude(network.blocks[0], 0.25)
    updated = made.update_(network, optimizer)
    assert updated[NAME].m_rho == 0.25
    assert updated[NAME].learning_rate_factor == pytest.approx(4 * made[NAME].learning_rate_factor)
    assert updated["blocks.1.weight"] == made["blocks.1.weight"]
    moments = optimizer.state[network.blocks[0].weight]["exp_avg"]
    assert moments[~network.blocks[0].weight_mask].count_nonzero() == 0
    assert off_mask_values(network) == 0
    train(network, optimizer, "mlp", range(3, 6))
    assert off_mask_values(network) == 0
    updated.check(optimizer)


def test_a_network_that_was_pruned_in_training_loads_beside_its_last_plan() -> None:
    made, network, optimizer = _trained()
    _prune_by_magnitude(network.blocks[0], 0.25)
    updated = made.update_(network, optimizer)
    other = make("mlp", 32, seed=1)
    updated.apply_(other)
    other.load_state_dict(network.state_dict())
    assert same(state(other), state(network))
    again = torch.optim.AdamW(updated.groups(other))
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(other, again, "mlp", range(3, 6))
    train(network, optimizer, "mlp", range(3, 6))
    assert same(state(other), state(network))


def test_a_new_mask_that_leaves_no_weight_is_refused_before_anything_changes() -> None:
    made, network, optimizer = _trained()
    network.blocks[0].register_buffer("weight_mask", torch.zeros(32, 32, dtype=torch.bool))
    before = state(network)
    with pytest.raises(InputError, match="leaves no weight"):
        made.update_(network, optimizer)
    assert same(state(network), before)
    train(network, optimizer, "mlp", range(3, 4))
    assert network.blocks[0].weight.count_nonzero() > 0


def test_rates_follow_masks_that_torch_applies_when_it_prunes_again() -> None:
    network = make("mlp", 32)
    prune.l1_unstructured(network.blocks[0], "weight", amount=0.5)  # type: ignore[no-untyped-call]
    made = plan(network, make("mlp", 16), density="found", hparams=HPARAMS)
    made.apply_(network)
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(3))
    prune.l1_unstructured(network.blocks[0], "weight", amount=0.5)  # type: ignore[no-untyped-call]
    updated = made.update_(network, optimizer)
    row = updated["blocks.0.weight_orig"]
    assert row.m_rho == 0.25
    assert row.learning_rate_factor == pytest.approx(2 * made["blocks.0.weight_orig"].learning_rate_factor)
    train(network, optimizer, "mlp", range(3, 6))
    assert network.blocks[0].weight.count_nonzero() == 0.25 * 32 * 32
    updated.check(optimizer)
