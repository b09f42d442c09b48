"""The optimizer of a run, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, assert_never

import torch
from torch import nn

from smupar_transfer.records import BudgetSpec, Decay
from smupar_transfer.theory import Optimizer, OptimizerSettings
from smupar_transfer.transfer import PEAK, ParameterPlan, parameter_groups

DECAY = "decoupled_weight_decay"


class DecoupledSGD(torch.optim.SGD):
    """SGD with momentum whose weight decay acts on the weights, as AdamW's does, and not through the momentum.

    Each step first multiplies weights with 1 - lr * weight_decay (Loshchilov & Hutter, arXiv 1711.05101, algorithm 1).
    """

    def __init__(self, groups: list[dict[str, object]], momentum: float) -> None:
        moved = [{**group, DECAY: group["weight_decay"], "weight_decay": 0.0} for group in groups]
        super().__init__(moved, momentum=momentum, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """See ``torch.optim.SGD.step``."""
        for group in self.param_groups:
            if group[DECAY]:
                for parameter in group["params"]:
                    parameter.mul_(1 - group["lr"] * group[DECAY])
        return super().step(closure)


def make_optimizer(
    network: nn.Module, plan: Iterable[ParameterPlan], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """The optimizer of a run, with every group at its peak learning rate.

    Weight decay is decoupled under both: SGD multiplies weights with 1 - lr * weight_decay as AdamW does.
    """
    groups = parameter_groups(network, plan)
    match settings.name:
        case Optimizer.ADAMW:
            return torch.optim.AdamW(groups, betas=(settings.beta1, settings.beta2), fused=True)
        case Optimizer.SGD:
            for group in groups:
                del group["eps"]
            return DecoupledSGD(groups, settings.momentum)
    assert_never(settings.name)


def schedule(step: int, budget: BudgetSpec) -> float:
    """Learning rate of optimizer step ``step`` (counted from 0) over its peak, in [0, 1].

    Linear warm-up that reaches the peak at step ``warmup_steps``, then a fall to ``final_fraction`` at the last step.
    """
    if step < budget.warmup_steps:
        return (step + 1) / (budget.warmup_steps + 1)
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
