"""The optimizer of a run, those that are registered, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from smupar_transfer.records import BudgetSpec, Decay
from smupar_transfer.theory import ADAMW, SGD, InputError, OptimizerSettings, UpdateRule, register_update_rule
from smupar_transfer.training.distributed.sharing import is_cut
from smupar_transfer.transfer import PEAK, ParameterPlan, parameter_groups

DECAY = "decoupled_weight_decay"

Groups = list[dict[str, Any]]
"""Parameter groups as torch's optimizers take them; see ``transfer.parameter_groups``."""
MakeOptimizer = Callable[[Groups, OptimizerSettings], torch.optim.Optimizer]
"""What makes the torch optimizer of an update rule; see ``register_optimizer``."""


class DecoupledSGD(torch.optim.SGD):
    """SGD with momentum whose weight decay acts on the weights, as AdamW's does, and not through the momentum.

    Each step first multiplies weights with 1 - lr * weight_decay (Loshchilov & Hutter, arXiv 1711.05101, algorithm 1).
    """

    def __init__(self, groups: Groups, momentum: float) -> None:
        # under another name, as torch's SGD adds weight_decay to gradients, and so to the momentum
        moved = [{**group, DECAY: group["weight_decay"], "weight_decay": 0.0} for group in groups]
        # torch 2.13 has a fused step for shards of AdamW's parameters, and none for those of SGD's
        sharded = any(is_cut(parameter) for group in groups for parameter in group["params"])
        super().__init__(moved, momentum=momentum, fused=not sharded)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """See ``torch.optim.SGD.step``."""
        # before the gradient's part of the step, as torch's AdamW does it
        for group in self.param_groups:
            if group[DECAY]:
                for parameter in group["params"]:
                    parameter.mul_(1 - group["lr"] * group[DECAY])
        return super().step(closure)


def _adamw(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(settings.beta1, settings.beta2), fused=True)


def _sgd(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return DecoupledSGD(groups, settings.momentum)


_MAKERS: dict[str, MakeOptimizer] = {ADAMW.name: _adamw, SGD.name: _sgd}


def register_optimizer(rule: UpdateRule, make: MakeOptimizer) -> None:
    """Make an optimizer of one's own usable by name: ``optimizer=NAME``, in specifications, sweeps and recipes.

    Args:
        rule: its name, how its learning rate scales, what it reads and how large its updates are.
        make: from parameter groups and settings to the optimizer. A group has ``params``, the peak learning rate
            ``lr``, ``weight_decay`` and, if the rule reads epsilon, ``eps``. Groups have to be passed on as they are;
            weights should be multiplied with 1 - lr * weight_decay in a step, as AdamW does.

    Raises:
        ValueError: there is another optimizer of that name, or the rule is none that can be registered.
    """
    if _MAKERS.get(rule.name, make) != make:
        raise ValueError(f"there is another optimizer {rule.name!r} already")
    register_update_rule(rule)
    _MAKERS[rule.name] = make


def make_optimizer(
    network: nn.Module, plan: Iterable[ParameterPlan], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """The optimizer of a run, with every group at its peak learning rate.

    Weight decay is decoupled under all that come with the package: SGD multiplies weights with 1 - lr * weight_decay as
    AdamW does.

    Raises:
        InputError: an optimizer of one's own does not train every parameter at the learning rate that was planned.
    """
    groups: Groups = parameter_groups(network, plan)
    if "epsilon" not in settings.rule.reads:
        for group in groups:
            del group["eps"]
    planned = _rates(groups)
    optimizer = _MAKERS[settings.name](groups, settings)
    if _rates(optimizer.param_groups) != planned:
        problem = "does not train every parameter at its planned learning rate"
        raise InputError("optimizer.name", settings.name, problem, "let it pass its parameter groups on as they are")
    return optimizer


def _rates(groups: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float | None]]:
    """Learning rate and peak of every parameter."""
    return {id(parameter): (group["lr"], group.get(PEAK)) for group in groups for parameter in group["params"]}


def schedule(step: int, budget: BudgetSpec) -> float:
    """Learning rate of optimizer step ``step`` (counted from 0) over its peak, in [0, 1].

    Linear warm-up that reaches the peak at step ``warmup_steps``, then a fall to ``final_fraction`` at the last step.
    """
    if step < budget.warmup_steps:
        # one more on either side: at a learning rate of 0 the first step would be lost
        return (step + 1) / (budget.warmup_steps + 1)
    # to the last step's index; without a step after the peak there is no fall, and nothing to divide by
    progress = (step - budget.warmup_steps) / max(1, budget.steps - 1 - budget.warmup_steps)
    match budget.decay:
        case Decay.NONE:
            fall = 0.0
        case Decay.LINEAR:
            fall = progress
        case Decay.COSINE:
            fall = 0.5 * (1 - math.cos(math.pi * progress))
    return 1.0 - (1.0 - budget.final_fraction) * fall


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group[PEAK] * factor
