"""Masks that change in training: rates follow densities, moments follow weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import BaseHyperparameters, InputError, Role, ScaleFactors, parametrization
from smupar_transfer.transfer.applying import applied_digest, mark
from smupar_transfer.transfer.densities import FOUND
from smupar_transfer.transfer.grouping import DECAY_FACTOR, FACTOR
from smupar_transfer.transfer.groups import PEAK
from smupar_transfer.transfer.held_masks import HeldMask, held_masks
from smupar_transfer.transfer.names import bare
from smupar_transfer.transfer.plan_data import PlanData, PlanRow
from smupar_transfer.transfer.rules import Rules

Kind = TypeVar("Kind", bound=PlanData)
UNIT = BaseHyperparameters(1.0, 1.0, weight_decay=1.0)


@torch.no_grad()
def updated_plan(plan: Kind, model: nn.Module, optimizer: Optimizer) -> Kind:
    """Follow the masks of a model (see ``Plan.update_``)."""
    if applied_digest(model) != plan.digest:
        raise InputError("model", type(model).__name__, "has not this plan applied", "use the plan of its last update")
    paths = {id(module): bare(f"{path}.x").removesuffix("x") for path, module in model.named_modules()}
    held = {f"{paths[id(mask.module)]}{mask.leaf}": mask for mask in held_masks(model)}
    densities = {name: _density(name, mask) for name, mask in held.items()}
    densities |= {f"{paths[id(layer)]}weight": layer.density for layer in model.modules() if _is_sparse(layer)}
    changed = {name for name, density in densities.items() if density != plan[name].m_rho}
    rules = Rules(parametrization(plan.parametrization), UNIT, plan.optimizer)
    rows = tuple(_rescaled(row, densities[row.name], rules, plan) if row.name in changed else row for row in plan.rows)
    requests = {
        name: replace(plan.masks[name], structure=FOUND, density=density) for name, density in densities.items()
    }
    updated = replace(plan, rows=rows, masks={**plan.masks, **requests}, own_masks={})
    for mask in held.values():
        _take_away(mask, optimizer)
    _regroup(updated, optimizer)
    mark(model, updated.digest)
    return updated


def _is_sparse(module: nn.Module) -> TypeGuard[SparseLinear]:
    """Whether a layer was exchanged by ``sparsify_``; its mask is changed by ``sparsity.change_mask``."""
    return isinstance(module, SparseLinear)


def _density(name: str, held: HeldMask) -> float:
    kept = int(held.mask.sum())
    if kept == 0:
        raise InputError(f"masks[{name}]", "all False", "leaves no weight")
    return kept / held.mask.numel()


def _rescaled(row: PlanRow, density: float, rules: Rules, plan: PlanData) -> PlanRow:
    """A row of hidden weights at another density. Initial values are of the past, and stay as they were planned."""
    scaled = rules.scaled(Role.HIDDEN, ScaleFactors(row.m_d, density))
    rate, decay = plan.hparams.learning_rate, plan.hparams.weight_decay
    return replace(
        row,
        m_rho=density,
        learning_rate=None if rate is None else rate * scaled.learning_rate,
        learning_rate_factor=scaled.learning_rate,
        weight_decay=None if decay is None else decay * scaled.weight_decay,
        weight_decay_factor=scaled.weight_decay,
        epsilon=scaled.epsilon,
    )


def _take_away(held: HeldMask, optimizer: Optimizer) -> None:
    held.zero()
    parameter = held.parameter
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.mul_(held.fitting(parameter))
    if parameter.grad is not None:
        parameter.grad.mul_(held.fitting(parameter))


def _regroup(plan: PlanData, optimizer: Optimizer) -> None:
    """Give parameters their new rates, at the point where schedules have come to.

    A group whose members now differ is split; the new groups come last, so that schedules find the old ones where they
    were.
    """
    for group in list(optimizer.param_groups):
        parts: dict[tuple[float, float, float], list[int]] = {}
        for place, name in enumerate(group.get("param_names", ())):
            row = plan[name]
            parts.setdefault((row.learning_rate_factor, row.weight_decay_factor, row.epsilon), []).append(place)
        if not parts:
            raise InputError("optimizer", type(optimizer).__name__, "has groups without names", "use plan.groups")
        before = dict(group)
        for number, ((rate, decay, epsilon), places) in enumerate(parts.items()):
            part = group if number == 0 else dict(before)
            _set(part, before, rate, decay, epsilon)
            part["params"] = _chosen(before["params"], places)
            part["param_names"] = _chosen(before["param_names"], places)
            if number:
                optimizer.param_groups.append(part)


def _set(part: dict[str, Any], before: dict[str, Any], rate: float, decay: float, epsilon: float) -> None:
    for name in ("lr", PEAK, "initial_lr"):
        if name in before:
            part[name] = before[name] / before[FACTOR] * rate
    part[FACTOR] = rate
    if before.get(DECAY_FACTOR):
        part["weight_decay"] = before["weight_decay"] / before[DECAY_FACTOR] * decay
        part[DECAY_FACTOR] = decay
    part["eps"] = epsilon


def _chosen(values: Iterable[Any], places: list[int]) -> list[Any]:
    every = list(values)
    return [every[place] for place in places]
