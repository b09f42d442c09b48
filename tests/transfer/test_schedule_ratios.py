"""Which of PyTorch's schedules keep the ratios of rates, and that all do in proportion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim import lr_scheduler as torchs
from torch.optim.swa_utils import SWALR

from smupar_transfer.theory import InputError
from tests.transfer.networks import batch, loss_of, planned

STEPS = 12
Make = Callable[[Optimizer], Any]

KEEPING: dict[str, Make] = {
    "LambdaLR": lambda o: torchs.LambdaLR(o, lambda step: 1 / (1 + step)),
    "MultiplicativeLR": lambda o: torchs.MultiplicativeLR(o, lambda _: 0.9),
    "StepLR": lambda o: torchs.StepLR(o, 3),
    "MultiStepLR": lambda o: torchs.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda o: torchs.ConstantLR(o, total_iters=4),
    "LinearLR": lambda o: torchs.LinearLR(o, total_iters=6),
    "ExponentialLR": lambda o: torchs.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: torchs.PolynomialLR(o, total_iters=20, power=2.0),
    "CosineAnnealingLR": lambda o: torchs.CosineAnnealingLR(o, 20),
    "CosineAnnealingWarmRestarts": lambda o: torchs.CosineAnnealingWarmRestarts(o, 5),
    "ReduceLROnPlateau": lambda o: torchs.ReduceLROnPlateau(o, factor=0.5, patience=1),
    "SequentialLR": lambda o: torchs.SequentialLR(
        o, [torchs.LinearLR(o, total_iters=4), torchs.CosineAnnealingLR(o, 20)], [4]
    ),
    "ChainedScheduler": lambda o: torchs.ChainedScheduler(
        [torchs.ConstantLR(o, total_iters=4), torchs.ExponentialLR(o, 0.9)]
    ),
}
BREAKING: dict[str, Make] = {
    "CosineAnnealingLR": lambda o: torchs.CosineAnnealingLR(o, 20, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": lambda o: torchs.CosineAnnealingWarmRestarts(o, 5, eta_min=1e-3),
    "ReduceLROnPlateau": lambda o: torchs.ReduceLROnPlateau(o, factor=0.1, patience=0, min_lr=1e-3),
    "OneCycleLR": lambda o: torchs.OneCycleLR(o, max_lr=0.01, total_steps=20),
    "CyclicLR": lambda o: torchs.CyclicLR(o, base_lr=1e-3, max_lr=0.01, step_size_up=3, cycle_momentum=False),
    "SWALR": lambda o: SWALR(o, swa_lr=1e-3, anneal_epochs=4),
}
EVERY = [*((f"{name}, relative", make) for name, make in KEEPING.items()), *BREAKING.items()]


def _optimizer(kind: Callable[..., Optimizer] = torch.optim.AdamW) -> tuple[Any, Optimizer]:
    made, network = planned()
    optimizer = kind(made.groups(network))
    loss_of(network(batch("mlp"))).backward()  # type: ignore[no-untyped-call]
    return made, optimizer


def _alone() -> Optimizer:
    """An optimizer at the base rate."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.AdamW([parameter], lr=0.01)


def _step(optimizer: Optimizer, schedule: Any) -> None:
    """Metrics do not improve, so that plateaus are reached."""
    optimizer.step()
    inner = getattr(schedule, "inner", schedule)
    schedule.step(*([1.0] if isinstance(inner, torchs.ReduceLROnPlateau) else []))


@pytest.mark.parametrize("name", list(KEEPING))
def test_relative_schedules_keep_the_ratios(name: str) -> None:
    made, optimizer = _optimizer()
    schedule = KEEPING[name](optimizer)
    for _ in range(STEPS):
        made.check(optimizer)
        _step(optimizer, schedule)
    made.check(optimizer)


@pytest.mark.parametrize("name", list(BREAKING))
def test_absolute_bounds_break_them_and_the_check_names_group_and_cause(name: str) -> None:
    made, optimizer = _optimizer()
    schedule = BREAKING[name](optimizer)
    with pytest.raises(InputError, match=r"group of \w+.*has a learning rate of .*absolute bound.*plan\.schedule"):  # noqa: PT012
        for _ in range(STEPS):
            _step(optimizer, schedule)
            made.check(optimizer)


@pytest.mark.parametrize(("name", "make"), EVERY, ids=[name for name, _ in EVERY])
def test_in_proportion_every_schedule_keeps_the_ratios_and_is_itself_at_the_base(name: str, make: Make) -> None:
    made, optimizer = _optimizer()
    base = _alone()
    schedule, expected = made.schedule(optimizer, make), make(base)
    for _ in range(STEPS):
        made.check(optimizer)
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(base.param_groups[0]["lr"] * group["lr_multiplier"])
            assert group["betas"] == base.param_groups[0]["betas"]
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        _step(optimizer, schedule)
        _step(base, expected)


@pytest.mark.parametrize(("name", "make"), EVERY, ids=[name for name, _ in EVERY])
def test_schedules_in_proportion_go_on_from_their_state(name: str, make: Make, tmp_path: Any) -> None:
    made, optimizer = _optimizer()
    schedule = made.schedule(optimizer, make)
    for _ in range(5):
        _step(optimizer, schedule)
    torch.save({"schedule": schedule.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=False)
    again, resumed = _optimizer()
    resumed.load_state_dict(saved["optimizer"])
    going_on = again.schedule(resumed, make)
    going_on.load_state_dict(saved["schedule"])
    for _ in range(5):
        assert going_on.get_last_lr() == schedule.get_last_lr()
        _step(optimizer, schedule)
        _step(resumed, going_on)
    assert going_on.get_last_lr() == schedule.get_last_lr()


def test_momentum_that_is_cycled_is_cycled_in_all_groups() -> None:
    made, optimizer = _optimizer(torch.optim.SGD)
    for group in optimizer.param_groups:
        group["momentum"] = 0.9
    schedule = made.schedule(optimizer, lambda base: torchs.OneCycleLR(base, max_lr=0.01, total_steps=20))
    seen = set()
    for _ in range(STEPS):
        _step(optimizer, schedule)
        (momentum,) = {group["momentum"] for group in optimizer.param_groups}
        seen.add(momentum)
    assert len(seen) == STEPS


def test_rates_that_are_tensors_stay_the_same_tensors() -> None:
    made, optimizer = _optimizer()
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    tensors = [group["lr"] for group in optimizer.param_groups]
    schedule = made.schedule(optimizer, lambda base: torchs.StepLR(base, 1))
    schedule.step()
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True))
    assert schedule.get_last_lr() == pytest.approx(
        [0.1 * group["peak_learning_rate"] for group in optimizer.param_groups]
    )
    made.check(optimizer)


def test_a_schedule_of_an_optimizer_that_no_plan_made_is_refused() -> None:
    made, _ = _optimizer()
    with pytest.raises(InputError, match=r"was not made by plan\.groups"):
        made.schedule(_alone(), lambda base: torchs.StepLR(base, 3))


def test_rates_that_are_set_by_hand_are_found_out() -> None:
    made, optimizer = _optimizer()
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    made.check(optimizer)
    optimizer.param_groups[1]["lr"] *= 1.001
    with pytest.raises(InputError, match=r"1\.001 times what the plan makes of the others'"):
        made.check(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    made.check(optimizer)
    optimizer.param_groups[0]["lr"] = 1.0
    with pytest.raises(InputError, match="not 0 as others are"):
        made.check(optimizer)
