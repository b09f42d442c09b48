"""Any schedule of torch's runs on the base rate, without a warning, and every group keeps its ratio."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from smupar_transfer.transfer import Plan, plan

STEPS = 8
SCHEDULES: dict[str, Callable[[Optimizer], LRScheduler]] = {
    "cosine": lambda base: lr_scheduler.CosineAnnealingLR(base, STEPS, eta_min=1e-4),
    "warm restarts": lambda base: lr_scheduler.CosineAnnealingWarmRestarts(base, 3, eta_min=1e-4),
    "one cycle": lambda base: lr_scheduler.OneCycleLR(base, max_lr=0.02, total_steps=STEPS + 1),
    "linear warm-up, then cosine": lambda base: lr_scheduler.SequentialLR(
        base,
        [
            lr_scheduler.LinearLR(base, 0.1, total_iters=3),
            lr_scheduler.CosineAnnealingLR(base, STEPS - 3, eta_min=1e-4),
        ],
        milestones=[3],
    ),
}


def planned_model() -> tuple[Plan, nn.Module]:
    def make(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(8, width), nn.Linear(width, width), nn.Linear(width, 4))

    model, base = make(64), make(16)
    planned = plan(model, base)
    planned.apply_(model)
    return planned, model


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_with_an_absolute_bound_keeps_ratios_and_warns_of_nothing(kind: str) -> None:
    planned, model = planned_model()
    optimizer = torch.optim.AdamW(planned.groups(model, learning_rate=0.01))
    lone = torch.optim.AdamW([nn.Parameter(torch.zeros(()))], lr=0.01)
    alone = SCHEDULES[kind](lone)
    schedule = planned.schedule(optimizer, SCHEDULES[kind])
    for _ in range(STEPS):
        optimizer.step()
        lone.step()
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(lone.param_groups[0]["lr"] * group["lr_multiplier"])
        planned.check(optimizer)
        schedule.step()
        alone.step()
