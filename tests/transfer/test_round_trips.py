"""A planned network goes through whatever people do with networks, and comes out the same."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import plan
from tests.transfer.networks import KINDS, batch, loss_of, make, off_mask_values, planned, same, state, train

EVERY_KIND = pytest.mark.parametrize("kind", list(KINDS))


@EVERY_KIND
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_at_the_bases_shape_and_density_1_nothing_changes_to_the_last_bit(kind: str, optimizer: str) -> None:
    network, x = make(kind, 16), batch(kind)
    bare = copy.deepcopy(network)
    made = plan(network, make(kind, 16, seed=1), optimizer=optimizer, hparams={"learning_rate": 0.3})
    made.apply_(network, digest=False)
    assert same(state(network), state(bare))
    assert torch.equal(network(x), bare(x))
    (group,) = made.groups(network)
    assert group["lr"] == 0.3
    assert group["eps"] == 1e-8
    assert "weight_decay" not in group
    assert not made.multipliers
    assert [parameter for _, parameter in group["params"]] == list(network.parameters())


@EVERY_KIND
def test_training_at_the_bases_shape_is_that_of_the_bare_network(kind: str) -> None:
    network = make(kind, 16)
    bare = copy.deepcopy(network)
    made = plan(network, make(kind, 16, seed=1), hparams={"learning_rate": 0.01, "weight_decay": 0.1})
    made.apply_(network, digest=False)
    is_matrix = [parameter for parameter in bare.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in bare.parameters() if parameter.ndim <= 1]
    groups = [{"params": is_matrix, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    train(network, torch.optim.AdamW(made.groups(network)), kind, range(3))
    train(bare, torch.optim.AdamW(groups, lr=0.01), kind, range(3))
    assert same(state(network), state(bare))


def _deepcopy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network)


def _pickle(network: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(network))  # type: ignore[no-any-return]


def _torch_save(network: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(network, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)  # type: ignore[no-any-return]


def _averaged(network: nn.Module) -> nn.Module:
    averaged = AveragedModel(network)
    for _ in range(3):
        averaged.update_parameters(network)
    return averaged.module


COPIES = pytest.mark.parametrize("copied", [_deepcopy, _pickle, _torch_save, _averaged], ids=lambda f: f.__name__[1:])


@EVERY_KIND
@COPIES
def test_copies_have_the_values_the_outputs_and_the_digest(kind: str, copied: Any) -> None:
    made, network = planned(kind)
    network.eval()
    other = copied(network)
    assert same(state(other), state(network))
    assert torch.equal(other(batch(kind)), network(batch(kind)))
    names = [name for group in made.groups(other) for name, _ in group["params"]]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())


@COPIES
def test_copies_train_as_the_original_does_and_leave_it_alone(copied: Any) -> None:
    made, network = planned("transformer")
    other, before = copied(network), state(network)
    train(other, torch.optim.AdamW(made.groups(other)), "transformer", range(3))
    assert off_mask_values(other) == 0
    assert same(state(network), before)
    train(network, torch.optim.AdamW(made.groups(network)), "transformer", range(3))
    assert same(state(network), state(other))


def test_an_average_of_networks_in_training_keeps_the_masks() -> None:
    made, network = planned("transformer")
    optimizer = torch.optim.AdamW(made.groups(network))
    averaging: Any = get_ema_multi_avg_fn(0.5)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=averaging)
    for step in range(3):
        train(network, optimizer, "transformer", range(step, step + 1))
        averaged.update_parameters(network)
    assert off_mask_values(averaged.module) == 0
    assert not same(state(averaged.module), state(network))


@EVERY_KIND
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_networks_give_the_same_outputs_and_gradients(kind: str, backend: str) -> None:
    made, network = planned(kind)
    twin, x = copy.deepcopy(network), batch(kind)
    torch._dynamo.reset()
    compiled: Any = torch.compile(network, fullgraph=True, backend=backend)
    ours, theirs = torch.optim.AdamW(made.groups(compiled)), torch.optim.AdamW(made.groups(twin))
    for _ in range(2):
        torch.testing.assert_close(compiled(x), twin(x))
        for one, optimizer in ((compiled, ours), (twin, theirs)):
            optimizer.zero_grad()
            loss_of(one(x)).backward()  # type: ignore[no-untyped-call]
        for parameter, other in zip(network.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-4, atol=1e-6)
        ours.step()
        theirs.step()
    assert off_mask_values(network) == 0


@EVERY_KIND
def test_exported_networks_give_the_same_outputs(kind: str) -> None:
    _, network = planned(kind)
    network.eval()
    exported = torch.export.export(network, (batch(kind),)).module()
    torch.testing.assert_close(exported(batch(kind)), network(batch(kind)))


@EVERY_KIND
def test_functional_calls_give_the_same_outputs(kind: str) -> None:
    _, network = planned(kind)
    network.eval()
    _, other = planned(kind, seed=5)
    other.eval()
    values = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    called = torch.func.functional_call(other, values, (batch(kind),))
    assert torch.equal(called, network(batch(kind)))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradients_through_activation_checkpoints_are_the_same(use_reentrant: bool) -> None:
    _, network = planned("transformer")
    twin, x = copy.deepcopy(network), batch("transformer")
    loss_of(network(x)).backward()  # type: ignore[no-untyped-call]
    hidden: Tensor = twin.tokens(x)
    for block in twin.blocks:
        hidden = checkpoint(block, hidden, use_reentrant=use_reentrant)
    loss_of(twin.head(twin.norm(hidden))).backward()  # type: ignore[no-untyped-call]
    for parameter, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad)


def test_wrappers_of_activation_checkpoints_are_seen_through() -> None:
    made, network = planned("transformer")
    twin = copy.deepcopy(network)
    twin.blocks = nn.ModuleList(checkpoint_wrapper(block) for block in twin.blocks)
    assert any("_checkpoint_wrapped_module" in name for name, _ in twin.named_parameters())
    optimizer = torch.optim.AdamW(made.groups(twin))
    made.check(optimizer)
    train(twin, optimizer, "transformer", range(2))
    train(network, torch.optim.AdamW(made.groups(network)), "transformer", range(2))
    for parameter, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, other)


@EVERY_KIND
def test_under_autocast_outputs_are_the_same_and_masks_hold(kind: str) -> None:
    made, network = planned(kind)
    twin = copy.deepcopy(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(batch(kind))
        assert torch.equal(output, twin(batch(kind)))
    optimizer = torch.optim.AdamW(made.groups(network))
    loss_of(output).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert off_mask_values(network) == 0


@EVERY_KIND
def test_a_checkpoint_loads_into_a_fresh_network_of_the_plan(kind: str) -> None:
    made, network = planned(kind)
    train(network, torch.optim.AdamW(made.groups(network)), kind, range(2))
    fresh = make(kind, 32, seed=7)
    made.apply_(fresh)
    fresh.load_state_dict(state(network))
    assert same(state(fresh), state(network))
    assert torch.equal(fresh.eval()(batch(kind)), network.eval()(batch(kind)))


@EVERY_KIND
def test_a_checkpoint_is_refused_by_bare_networks_and_by_other_plans(kind: str) -> None:
    _, network = planned(kind)
    with pytest.raises(RuntimeError, match=r"Unexpected key.*smupar_plan"):
        make(kind, 32).load_state_dict(state(network))
    _, other = planned(kind, density=0.5)
    before = state(other)
    with pytest.raises(InputError, match="is of another plan"):
        other.load_state_dict(state(network))
    assert same(state(other), before)
    with pytest.raises(RuntimeError, match=r"Missing key.*smupar_plan"):
        other.load_state_dict(make(kind, 32).state_dict())


def test_a_checkpoint_loads_where_the_base_was_drawn_anew_and_is_refused_inside_of_others() -> None:
    network = make("mlp", 32)
    made = plan(network, make("mlp", 16, seed=1), density=0.25, hparams={"learning_rate": 0.1})
    made.apply_(network)
    fresh = make("mlp", 32, seed=8)
    again = plan(fresh, make("mlp", 16, seed=2), density=0.25, hparams={"learning_rate": 0.1})
    again.apply_(fresh)
    assert made["first.weight"].init_std != again["first.weight"].init_std
    fresh.load_state_dict(state(network))
    assert same(state(fresh), state(network))
    _, other = planned(density=0.5)
    with pytest.raises(InputError, match="is of another plan"):
        nn.Sequential(other).load_state_dict(state(nn.Sequential(network)))


def test_without_a_digest_a_dense_checkpoint_loads_into_bare_networks_and_other_plans() -> None:
    network, options = make("mlp", 32), {"hparams": {"learning_rate": 0.1, "output_multiplier": 2.0}}
    made = plan(network, make("mlp", 16), **options)  # type: ignore[arg-type]
    made.apply_(network, digest=False)
    make("mlp", 32).load_state_dict(state(network))
    other = make("mlp", 32)
    plan(other, make("mlp", 16)).apply_(other, digest=False)
    other.load_state_dict(state(network))
    made.groups(network)  # the network itself still says what was applied


@pytest.mark.parametrize("kind", ["transformer", "convolutional"])
def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_been(kind: str) -> None:
    made, network = planned(kind)
    optimizer = torch.optim.AdamW(made.groups(network))
    schedule = made.schedule(optimizer, lambda base: torch.optim.lr_scheduler.CosineAnnealingLR(base, 6, eta_min=1e-3))
    buffer = io.BytesIO()
    for step in range(6):
        train(network, optimizer, kind, range(step, step + 1))
        schedule.step()
        if step == 2:
            parts = {"model": network, "optimizer": optimizer, "schedule": schedule}
            torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
    buffer.seek(0)
    saved, fresh = torch.load(buffer), make(kind, 32, seed=9)
    made.apply_(fresh)
    resumed = torch.optim.AdamW(made.groups(fresh))
    going_on = made.schedule(resumed, lambda base: torch.optim.lr_scheduler.CosineAnnealingLR(base, 6, eta_min=1e-3))
    for part, name in ((fresh, "model"), (resumed, "optimizer"), (going_on, "schedule")):
        part.load_state_dict(saved[name])
    for step in range(3, 6):
        train(fresh, resumed, kind, range(step, step + 1))
        going_on.step()
    assert same(state(fresh), state(network))
    assert going_on.get_last_lr() == schedule.get_last_lr()
