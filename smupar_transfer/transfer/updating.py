"""Masks that change in training: rates follow densities, moments follow weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import BaseHyperparameters, InputError, Role, ScaleFactors, parametrization
from smupar_transfer.transfer.applying import applied_digest, mark
from smupar_transfer.transfer.densities import FOUND, MaskRequest, held_mask
from smupar_transfer.transfer.grouping import DECAY_FACTOR, FACTOR, require_planned
from smupar_transfer.transfer.groups import PEAK
from smupar_transfer.transfer.held_masks import HeldMask, held_masks, hold
from smupar_transfer.transfer.names import join
from smupar_transfer.transfer.plan_data import PlanData, PlanRow, trained_with
from smupar_transfer.transfer.rules import Rules

Kind = TypeVar("Kind", bound=PlanData)
# base values of 1 make factors of what the rules give
UNIT = BaseHyperparameters(1.0, 1.0, weight_decay=1.0)


@torch.no_grad()
def updated_plan(plan: Kind, model: nn.Module, optimizer: Optimizer) -> Kind:
    """Follow the masks of a model (see ``Plan.update_``)."""
    if applied_digest(model) != plan.digest:
        raise InputError("model", type(model).__name__, "has not this plan applied", "use the plan of its last update")
    require_planned(optimizer)
    for group in optimizer.param_groups:
        for name in group["param_names"]:
            plan[name]  # refused, if it is not planned, before anything is changed
    paths = {id(module): path for path, module in model.named_modules()}
    held = {plan[join(paths[id(mask.module)], mask.leaf)].name: mask for mask in held_masks(model)}
    densities = {name: _density(name, mask.mask) for name, mask in held.items()}
    others = _other_masks(plan, model, set(held))
    densities |= {name: _density(name, other.mask) for name, other in others.items()}
    layers = {plan[join(paths[id(layer)], "weight")].name: layer for layer in model.modules() if _is_sparse(layer)}
    densities |= {name: layer.density for name, layer in layers.items()}
    changed = {name for name, density in densities.items() if density != plan[name].m_rho}
    rules = Rules(parametrization(plan.parametrization), UNIT, plan.optimizer)
    rows = tuple(_rescaled(row, densities[row.name], rules, plan) if row.name in changed else row for row in plan.rows)
    requests = {
        name: replace(_request(plan, name), structure=FOUND, density=density)
        for name, density in densities.items()
        if name in plan.masks or name in others  # a SparseLinear that the model had by itself has none
    }
    # none is given from outside any longer: all are found in buffers of the model
    updated = replace(plan, rows=rows, masks={**plan.masks, **requests}, own_masks={})
    # what the model applies by itself needs nobody to hold it
    held |= {name: hold(other.module, other.leaf, None) for name, other in others.items() if not other.applied}
    for mask in held.values():
        _take_away(mask, optimizer)
    _regroup(updated, optimizer)
    mark(model, updated.digest)
    return updated


def _is_sparse(module: nn.Module) -> TypeGuard[SparseLinear]:
    """Whether a layer was exchanged by ``sparsify_``; its mask is changed by ``sparsity.change_mask``."""
    return isinstance(module, SparseLinear)


@dataclass(frozen=True)
class _OtherMask:
    """A mask that no plan holds: one that the model applies by itself, or that was registered since."""

    module: nn.Module
    leaf: str
    mask: Tensor
    applied: bool


def _other_masks(plan: PlanData, model: nn.Module, held: set[str]) -> dict[str, _OtherMask]:
    found = {}
    for name, parameter in model.named_parameters():
        row = plan[name]
        mask = held_mask(model, name) if row.role is Role.HIDDEN and row.name not in held else None
        if mask is not None and mask[0].shape == parameter.shape:
            path, _, leaf = name.rpartition(".")
            found[row.name] = _OtherMask(model.get_submodule(path), leaf, *mask)
    return found


def _request(plan: PlanData, name: str) -> MaskRequest:
    """What the plan asked for; of a weight that it left dense, what it would have asked for."""
    row = plan[name]
    dense = MaskRequest(FOUND, 1.0, row.shape, tuple(range(len(row.shape))), row.fan_in)
    return plan.masks.get(name, dense)


def _density(name: str, mask: Tensor) -> float:
    kept = int(mask.count_nonzero())
    if kept == 0:
        raise InputError(f"masks[{name}]", "all False", "leaves no weight")
    return kept / mask.numel()


def _rescaled(row: PlanRow, density: float, rules: Rules, plan: PlanData) -> PlanRow:
    """A row of hidden weights at another density. Initial values are of the past, and stay as they were planned."""
    scaled = rules.scaled(Role.HIDDEN, ScaleFactors(row.m_d, density, aspect=row.m_a))
    return replace(row, m_rho=density, **trained_with(scaled, plan.hparams))


def _take_away(held: HeldMask, optimizer: Optimizer) -> None:
    held.zero()
    parameter = held.parameter
    for value in optimizer.state.get(parameter, {}).values():
        # moments have the shape of the weight; numbers of steps stay
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            held.clear(value, parameter)
    if parameter.grad is not None:
        held.clear(parameter.grad, parameter)


def _regroup(plan: PlanData, optimizer: Optimizer) -> None:
    """Give parameters their new rates, at the point where schedules have come to.

    Groups come out as ``plan.groups`` makes them, members and order, so that the optimizer's state loads beside the new
    plan: states are saved by place.
    """
    place = {row.name: number for number, row in enumerate(plan.rows)}
    members = [
        (place[plan[name].name], name, parameter, _rescaled_group(plan[name], group))
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    ]
    groups: list[dict[str, Any]] = []
    # by place alone: parameters cannot be compared
    for _, name, parameter, options in sorted(members, key=lambda member: member[0]):
        group = next((group for group in groups if _options(group) == options), None)
        if group is None:
            group = {**options, "params": [], "param_names": []}
            groups.append(group)
        group["params"].append(parameter)
        group["param_names"].append(name)
    # in place: schedules and wrappers may hold this very list
    optimizer.param_groups[:] = groups


def _options(group: dict[str, Any]) -> dict[str, Any]:
    """What an optimizer does with a group, without the members."""
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def _rescaled_group(row: PlanRow, group: dict[str, Any]) -> dict[str, Any]:
    """The options of a group, as a parameter of it is to have them from now on."""
    options = _options(group)
    # schedules of torch start from `initial_lr`, which they keep in the group
    for name in ("lr", PEAK, "initial_lr"):
        if name in options:
            options[name] = options[name] / group[FACTOR] * row.learning_rate_factor
    options[FACTOR] = row.learning_rate_factor
    # neither where the optimizer decides on decay by itself, nor at the 0 of vectors, by which nothing can be divided
    if group.get(DECAY_FACTOR):
        options["weight_decay"] = options["weight_decay"] / group[DECAY_FACTOR] * row.weight_decay_factor
        options[DECAY_FACTOR] = row.weight_decay_factor
    options["eps"] = row.epsilon
    return options
