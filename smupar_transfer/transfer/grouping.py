"""Parameter groups of a planned model, and whether an optimizer still has their ratios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import Optimizer

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.applying import applied_digest
from smupar_transfer.transfer.groups import PEAK
from smupar_transfer.transfer.held_masks import held_masks
from smupar_transfer.transfer.plan_data import PlanData, PlanRow

FACTOR = "lr_multiplier"
"""Key of a group: its learning rate over the base's."""
DECAY_FACTOR = "weight_decay_multiplier"
"""Key of a group whose weight decay the plan has set: over the base's."""
CLOSE = 1e-6
"""Relative difference up to which ratios are the plan's: rates are multiplied in another order by schedulers."""


def make_groups(
    plan: PlanData, model: nn.Module, learning_rate: float | None, weight_decay: float | None
) -> list[dict[str, Any]]:
    """One group for each learning rate, weight decay and epsilon, with the parameters that are to be trained.

    Raises:
        InputError: no base rate is known, the plan was not applied to the model, or the model has other parameters.
    """
    rate = plan.hparams.learning_rate if learning_rate is None else learning_rate
    decay = plan.hparams.weight_decay if weight_decay is None else weight_decay
    if rate is None:
        raise InputError("learning_rate", None, "is not known", "give groups(model, learning_rate=...), or hparams")
    digest = applied_digest(model)
    if digest != plan.digest:
        problem = "has no plan applied" if digest is None else "has another plan applied"
        raise InputError("model", type(model).__name__, problem, "call plan.apply_(model) before the optimizer is made")
    groups: dict[tuple[float, float | None, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        row = plan[name]
        if not parameter.requires_grad:
            continue
        own = None if decay is None else decay * row.weight_decay_factor
        key = (row.learning_rate_factor, own, row.epsilon)
        group = groups.setdefault(key, _group(row, rate, own))
        # with names, which torch keeps as `param_names`: checks and updates find their rows by them
        group["params"].append((row.name, parameter))
    # wrappers may have put another parameter in the place of the one whose gradients are masked
    for held in held_masks(model):
        held.watch_gradient()
    return list(groups.values())


def _group(row: PlanRow, rate: float, decay: float | None) -> dict[str, Any]:
    peak = rate * row.learning_rate_factor
    group: dict[str, Any] = {"params": [], "lr": peak, PEAK: peak, FACTOR: row.learning_rate_factor, "eps": row.epsilon}
    return group if decay is None else {**group, "weight_decay": decay, DECAY_FACTOR: row.weight_decay_factor}


def check_ratios(plan: PlanData, optimizer: Optimizer) -> None:
    """Make sure that learning rates have the ratios of the plan, whatever schedules have made of them.

    Raises:
        InputError: a group's rate is not what the plan makes of the others', or groups are not those of the plan.
    """
    require_planned(optimizer)
    bases = [(group, _base_rate(plan, group)) for group in optimizer.param_groups if group["params"]]
    # the median: a single group that lost its ratio must not make all others look wrong
    typical = sorted(base for _, base in bases)[len(bases) // 2]
    for group, base in bases:
        # no quotient: all rates may be 0 at the end of a schedule
        if abs(base - typical) > CLOSE * max(abs(base), abs(typical)):
            said = (
                f"{base / typical:.4g} times what the plan makes of the others'" if typical else "not 0 as others are"
            )
            raise InputError(
                "optimizer",
                f"group of {_members(group)}",
                f"has a learning rate of {group['lr']:.4g}, {said}",
                "a schedule with an absolute bound (eta_min, min_lr, one max_lr for all) does that: use plan.schedule",
            )


def require_planned(optimizer: Optimizer) -> None:
    """Make sure that all groups of an optimizer were made by a plan, and mean to it what they mean to a plan.

    Raises:
        InputError: one was not, or there is none, or the optimizer scales rates with the sizes of weights.
    """
    name = type(optimizer).__name__
    # torch's always does, that of transformers where nobody has told it not to
    if name == "Adafactor" and any(group.get("scale_parameter", True) for group in optimizer.param_groups):
        problem = "moves a weight by its rate times the weight's own size, which the rules of a plan do not count with"
        raise InputError("optimizer", name, problem, "use one that moves it by the rate (AdamW) or the gradient (SGD)")
    for group in optimizer.param_groups:
        if FACTOR not in group or "param_names" not in group:
            raise InputError(
                "optimizer", f"group of {_members(group)}", "was not made by plan.groups", "use plan.groups"
            )
    if not any(group["params"] for group in optimizer.param_groups):
        raise InputError("optimizer", type(optimizer).__name__, "has no parameters")


def _base_rate(plan: PlanData, group: dict[str, Any]) -> float:
    for name in group.get("param_names", ()):
        if plan[name].learning_rate_factor != group[FACTOR]:
            problem = f"has {group[FACTOR]:.4g} times the base rate, and {name} {plan[name].learning_rate_factor:.4g}"
            raise InputError("optimizer", f"group of {_members(group)}", problem, "make its groups with plan.groups")
    # the rate may be a tensor, as compiled optimizers want it
    return float(group["lr"]) / float(group[FACTOR])


def _members(group: dict[str, Any]) -> str:
    return ", ".join(_some(group.get("param_names", []), len(group["params"])))


def _some(names: list[str], number: int) -> Iterator[str]:
    yield from names[:2]
    if number > 2 or not names:
        yield f"{number} parameters" if not names else f"{number - 2} more"
