"""Masks that change in training, and networks that are folded for inference."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.optim.lr_scheduler import CosineAnnealingLR

from smupar_transfer.sparsity import SparseLinear, change_mask
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan, plan
from tests.transfer.networks import (
    KINDS,
    batch,
    make,
    masks_of,
    off_mask_values,
    planned,
    same,
    state,
    train,
)


def _grow(network: Any, name: str, density: float) -> None:
    """Keep more, or fewer, weights of one parameter."""
    mask = masks_of(network)[name]
    generator = torch.Generator().manual_seed(1)
    mask.copy_(torch.rand(mask.shape, generator=generator) < density)


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    return {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}


def test_rates_decay_and_moments_follow_the_masks() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(3))
    _grow(network, "blocks.1.weight", 0.6)
    updated = made.update_(network, optimizer)
    row, density = updated["blocks.1.weight"], float(masks_of(network)["blocks.1.weight"].float().mean())
    assert row.m_rho == density
    assert row.learning_rate_factor == pytest.approx(1 / (2 * density))
    assert row.weight_decay_factor == pytest.approx(2 * density)
    assert _rates(optimizer)["blocks.1.weight"] == pytest.approx(0.01 / (2 * density))
    assert updated["blocks.0.weight"] == made["blocks.0.weight"]
    assert made["blocks.1.weight"].m_rho == 0.25
    mask, weight = masks_of(network)["blocks.1.weight"], network.blocks[1].weight
    for values in (weight, optimizer.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg_sq"], weight.grad):
        assert values[~mask].count_nonzero() == 0
        assert values[mask].count_nonzero() > 0
    updated.check(optimizer)
    with pytest.raises(InputError, match="blocks"):
        made.check(optimizer)
    train(network, optimizer, "mlp", range(3, 6))
    assert off_mask_values(network) == 0
    assert weight.count_nonzero() == mask.sum()


def test_groups_come_out_as_the_new_plan_makes_them() -> None:
    made, network = planned("transformer")
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "transformer", range(1))
    _grow(network, "blocks.0.up.weight", 0.5)
    updated = made.update_(network, optimizer)
    fresh = torch.optim.AdamW(updated.groups(network))
    for ours, theirs in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        assert ours["param_names"] == theirs["param_names"]
        assert all(one is other for one, other in zip(ours["params"], theirs["params"], strict=True))
        for key in ("lr", "weight_decay", "eps", "lr_multiplier", "weight_decay_multiplier", "peak_learning_rate"):
            assert ours[key] == pytest.approx(theirs[key])


def test_training_goes_on_from_a_checkpoint_after_an_update(tmp_path: Any) -> None:
    made, network = planned("transformer")
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "transformer", range(2))
    _grow(network, "blocks.0.up.weight", 0.5)
    updated = made.update_(network, optimizer)
    train(network, optimizer, "transformer", range(2, 3))
    updated.save(tmp_path / "plan.json")
    buffer = io.BytesIO()
    torch.save({"model": network.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    buffer.seek(0)
    saved, fresh, loaded = torch.load(buffer), make("transformer", 32, seed=5), Plan.load(tmp_path / "plan.json")
    loaded.apply_(fresh)
    fresh.load_state_dict(saved["model"])
    resumed = torch.optim.AdamW(loaded.groups(fresh))
    resumed.load_state_dict(saved["optimizer"])
    loaded.check(resumed)
    train(network, optimizer, "transformer", range(3, 6))
    train(fresh, resumed, "transformer", range(3, 6))
    assert same(state(fresh), state(network))


def test_schedules_go_on_through_updates() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    schedule = made.schedule(optimizer, lambda base: CosineAnnealingLR(base, 10, eta_min=1e-3))
    plain = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    expected = CosineAnnealingLR(plain, 10, eta_min=1e-3)
    for step in range(8):
        train(network, optimizer, "mlp", range(step, step + 1))
        plain.step()
        schedule.step()
        expected.step()
        if step in (2, 5):
            _grow(network, "blocks.0.weight", 0.1 * step)
            made = made.update_(network, optimizer)
        made.check(optimizer)
        for name, rate in _rates(optimizer).items():
            assert rate == pytest.approx(plain.param_groups[0]["lr"] * made[name].learning_rate_factor)
    assert off_mask_values(network) == 0


def test_a_schedule_that_remembers_the_old_rates_is_found_out() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    plain = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    train(network, optimizer, "mlp", range(1))
    for name in ("blocks.0.weight", "blocks.1.weight"):
        masks_of(network)[name].copy_(torch.arange(32 * 32).view(32, 32) % 2 == 0)
    made = made.update_(network, optimizer)
    made.check(optimizer)
    train(network, optimizer, "mlp", range(1))
    with pytest.raises((InputError, ValueError)):  # of PyTorch, where the number of groups has changed
        _step_and_check(plain, made, optimizer)


def _step_and_check(schedule: Any, made: Plan, optimizer: torch.optim.Optimizer) -> None:
    schedule.step()
    made.check(optimizer)


def test_updating_back_brings_the_groups_back() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    before, mask = _rates(optimizer), masks_of(network)["blocks.0.weight"].clone()
    number = len(optimizer.param_groups)
    _grow(network, "blocks.0.weight", 0.5)
    second = made.update_(network, optimizer)
    assert len(optimizer.param_groups) == number + 1
    masks_of(network)["blocks.0.weight"].copy_(mask)
    third = second.update_(network, optimizer)
    assert len(optimizer.param_groups) == number
    assert _rates(optimizer) == pytest.approx(before)
    assert third.rows == made.rows


class Sparse(nn.Module):
    """Has sparse layers of this package by itself, and a linear one beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.own = SparseLinear(width, width, density=0.25)
        self.own.draw_mask(torch.Generator().manual_seed(0))
        self.own.set_weight(torch.randn(width, width) / width**0.5)
        self.other = nn.Linear(width, width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.other(self.own(self.first(x))))  # type: ignore[no-any-return]


def test_sparse_layers_that_a_network_has_by_itself_are_followed_too() -> None:
    torch.manual_seed(0)
    network = Sparse(32)
    made = plan(network, Sparse(16), density={"other.*": 0.5}, hparams={"learning_rate": 0.01})
    made.apply_(network)
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(2))
    assert made["own.weight"].learning_rate_factor == pytest.approx(1 / (2 * 0.25))
    unchanged = made.update_(network, optimizer)
    assert unchanged.rows == made.rows
    change_mask(network.own, torch.arange(32 * 32).view(32, 32) % 2 == 0, optimizer)
    updated = unchanged.update_(network, optimizer)
    assert updated["own.weight"].learning_rate_factor == pytest.approx(1)
    assert _rates(optimizer)["own.weight"] == pytest.approx(0.01)
    train(network, optimizer, "mlp", range(2))
    assert off_mask_values(network) == 0


def test_updates_are_refused_before_anything_changes() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(1))
    _grow(network, "blocks.0.weight", 0.5)
    before = state(network)
    bare = torch.optim.AdamW(network.parameters())
    with pytest.raises(InputError, match=r"was not made by plan\.groups"):
        made.update_(network, bare)
    other, theirs = planned("transformer")
    with pytest.raises(InputError, match="is not in the plan"):
        made.update_(network, torch.optim.AdamW(other.groups(theirs)))
    with pytest.raises(InputError, match="has not this plan applied"):
        other.update_(network, optimizer)
    assert same(state(network), before)
    masks_of(network)["blocks.1.weight"].zero_()
    before = state(network)
    with pytest.raises(InputError, match="leaves no weight"):
        made.update_(network, optimizer)
    assert same(state(network), before)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_folded_network_is_the_same_function_and_an_ordinary_network(kind: str) -> None:
    made, network = planned(kind)
    network.eval()
    expected = network(batch(kind))
    made.fold_(network)
    torch.testing.assert_close(network(batch(kind)), expected)
    bare = make(kind, 32, seed=3).eval()
    assert network.state_dict().keys() == bare.state_dict().keys()
    if kind == "transformer":  # its two ends had multipliers of their own
        bare.head.weight = torch.nn.Parameter(bare.head.weight.clone())
    bare.load_state_dict(network.state_dict())
    torch.testing.assert_close(bare(batch(kind)), expected)
    with pytest.raises(InputError, match="has no plan applied"):
        made.fold_(network)
    train(network, torch.optim.SGD(network.parameters(), lr=0.1), kind, range(1))


def test_folding_leaves_weights_tied_whose_multipliers_are_equal() -> None:
    hparams = {"learning_rate": 0.1, "input_multiplier": 2.0, "output_multiplier": 4.0}
    made, network = planned("transformer", hparams=hparams)
    expected = network(batch("transformer"))
    made.fold_(network)
    assert network.head.weight is network.tokens.weight
    torch.testing.assert_close(network(batch("transformer")), expected)


def test_folding_a_copy_leaves_the_original_in_training() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    made.fold_(copy.deepcopy(network))
    train(network, optimizer, "mlp", range(2))
    assert off_mask_values(network) == 0
    made.groups(network)


def test_ends_that_are_pruned_are_folded_and_those_that_are_computed_are_refused() -> None:
    options: Any = {"hparams": {"output_multiplier": 3.0, "input_multiplier": 2.0}}
    network = make("mlp", 32)
    prune.random_unstructured(network.head, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    made = plan(network, make("mlp", 16), **options)
    made.apply_(network)
    expected = network(batch("mlp"))
    made.fold_(network)
    torch.testing.assert_close(network(batch("mlp")), expected)

    network = make("mlp", 32)
    made = plan(network, make("mlp", 16), **options)
    made.apply_(network)
    torch.nn.utils.parametrizations.orthogonal(network.head)
    before = state(network)
    with pytest.raises(InputError, match=r"head.*has a multiplier, and a weight that is computed"):
        made.fold_(network)
    assert same(state(network), before)


def test_rates_of_sgd_follow_outputs_over_inputs_through_files_and_updates(tmp_path: Path) -> None:
    def uneven(scale: int) -> Any:
        first, second = 16 * scale, 4 * scale**2
        return nn.Sequential(nn.Linear(6, first), nn.Linear(first, second), nn.Linear(second, 3))

    network, hparams = uneven(4), {"learning_rate": 0.01}
    plan(network, uneven(1), density=0.25, optimizer="sgd", hparams=hparams).save(tmp_path / "plan.json")
    made = Plan.load(tmp_path / "plan.json")
    made.apply_(network)
    assert made["1.weight"].learning_rate_factor == (16 / 4) / 0.25
    optimizer = torch.optim.SGD(made.groups(network))
    network[1].weight_mask.copy_(torch.arange(64) % 2 == 0)
    assert made.update_(network, optimizer)["1.weight"].learning_rate_factor == (16 / 4) / 0.5
