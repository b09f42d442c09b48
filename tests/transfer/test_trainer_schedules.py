"""Which schedules of ``transformers``, as ``Trainer`` makes them, keep the ratios of rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan
from tests.hugging_face import transformers
from tests.transfer.networks import planned, train

STEPS = 10
KEEPING: dict[str, dict[str, Any]] = {
    "linear": {},
    "cosine": {},
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"lr_end": 0.001},
    "constant": {},
    "constant_with_warmup": {},
    "inverse_sqrt": {},
    "reduce_lr_on_plateau": {"patience": 0, "factor": 0.7},
    "cosine_with_min_lr": {"min_lr": 0.001},
    "cosine_warmup_with_min_lr": {"min_lr": 0.001},
    "warmup_stable_decay": {"num_decay_steps": 4, "min_lr_ratio": 0.1},
}
BREAKING: dict[str, dict[str, Any]] = {
    "reduce_lr_on_plateau": {"patience": 0, "min_lr": 0.004},
    "greedy": {"patience": 0, "factor": 0.5, "min_lr": 0.004},
}


def scheduled(name: str, options: dict[str, Any]) -> tuple[Plan, torch.optim.Optimizer]:
    """A plan and its optimizer, whose base rate is 0.01, after a schedule."""
    package: Any = transformers()
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network), lr=0.01)
    schedule = package.get_scheduler(name, optimizer, 2, STEPS, scheduler_specific_kwargs=options)
    for step in range(STEPS):
        train(network, optimizer, "mlp", range(step, step + 1))
        schedule.step(*([1.0] if name in BREAKING else []))
    return made, optimizer


@pytest.mark.parametrize("name", list(KEEPING))
def test_schedules_that_multiply_keep_the_ratios(name: str) -> None:
    made, optimizer = scheduled(name, KEEPING[name])
    made.check(optimizer)


@pytest.mark.parametrize("name", list(BREAKING))
def test_absolute_bounds_are_found(name: str) -> None:
    made, optimizer = scheduled(name, BREAKING[name])
    with pytest.raises(InputError, match="absolute bound"):
        made.check(optimizer)


def test_all_of_their_schedules_are_known() -> None:
    names = {str(kind.value) for kind in transformers().SchedulerType}
    assert names == {*KEEPING, *BREAKING}


@pytest.mark.parametrize("name", ["polynomial", "cosine_with_min_lr"])
def test_a_floor_is_one_of_the_base_rate(name: str) -> None:
    _, optimizer = scheduled(name, KEEPING[name])
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(0.001 * group["lr_multiplier"])
