"""A person hears of the other precision where it would be much faster, in a run that is long, under ``auto``."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from smupar_transfer.records import Precision, RunSpec
from smupar_transfer.sparsity import Timing, Workload
from smupar_transfer.training import Execution
from smupar_transfer.training.precision_hint import LONG_SECONDS, faster_precision


class Machine:
    """Layers of four kinds, each of which takes so long in each precision."""

    def __init__(self) -> None:
        self.seconds = {torch.float32: 1.5, torch.bfloat16: 1.0}
        self.asked = set[torch.dtype]()

    def __call__(self, workload: Workload) -> dict[str, Timing]:
        self.asked.add(workload.precision)
        return {"masked": Timing(self.seconds[workload.precision], 0.0, 4.0)}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr("smupar_transfer.training.estimate.calibrate", made)
    monkeypatch.setattr("smupar_transfer.training.estimate.choose_backend", lambda workload: "masked")
    return made


@pytest.fixture
def long(spec: RunSpec) -> RunSpec:
    steps = int(LONG_SECONDS / 4) + 1
    return replace(spec, sparsity=replace(spec.sparsity, density=0.5), budget=replace(spec.budget, steps=steps))


def test_the_faster_precision_is_named_with_both_times(machine: Machine, long: RunSpec) -> None:
    assert faster_precision(long, Execution()) == (
        "precision=bfloat16 would compute the layers that may be sparse 1.5 times as fast here, on one thread: "
        "4,000 ms a step instead of 6,000 under precision=float32"
    )
    machine.seconds = {torch.float32: 1.0, torch.bfloat16: 2.0}
    assert faster_precision(replace(long, precision=Precision.BFLOAT16), Execution()).startswith(
        "precision=float32 would compute the layers that may be sparse 2.0 times as fast"
    )


@pytest.mark.parametrize(("bfloat16", "said"), [(1.19, True), (1.21, False), (1.5, False), (3.0, False)])
def test_a_little_faster_is_not_worth_a_word(machine: Machine, long: RunSpec, bfloat16: float, said: bool) -> None:
    machine.seconds[torch.bfloat16] = bfloat16
    assert bool(faster_precision(long, Execution())) == said


def test_the_other_precision_is_not_measured_for_a_short_run(machine: Machine, long: RunSpec) -> None:
    short = replace(long, budget=replace(long.budget, steps=int(LONG_SECONDS / 6) - 1))
    assert faster_precision(short, Execution()) == ""
    assert machine.asked == {torch.float32}


def test_nothing_is_measured_under_a_backend_that_was_named(machine: Machine, long: RunSpec) -> None:
    assert faster_precision(long, Execution(backend="masked")) == ""
    assert machine.asked == set()
