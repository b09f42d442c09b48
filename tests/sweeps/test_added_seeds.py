"""Seeds are added while they are needed, no more than allowed, and chance decides no more often than is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from smupar_transfer.records import CoordinateRecord, RunSpec
from smupar_transfer.statistics.coordinate_slopes import EXACT, LOOKS, SlopeEstimate, Verdict
from smupar_transfer.statistics.coordinate_verdicts import judge
from smupar_transfer.sweeps.added_seeds import SeedPlan, numbers_of_seeds, plan_seeds

MakeCheck = Callable[..., CoordinateRecord]
Noise = Callable[[int], float]

SPARSITIES = (0.0, 0.5, 0.75)


def alternating(amount: float) -> Noise:
    """Slopes of seeds that scatter about 0."""
    return lambda seed: amount * (-1) ** seed


class Check:
    """A check whose runs are made as soon as they are planned."""

    def __init__(self, make_check: MakeCheck, noises: dict[str, Noise], seeds: tuple[int, ...] = (0, 1, 2)) -> None:
        self.make_check, self.noises = make_check, noises
        self.planned = [self.make(n, s, seed).spec for n in noises for s in SPARSITIES for seed in seeds]
        self.records: dict[str, CoordinateRecord] = {}

    def make(self, name: str, sparsity: float, seed: int) -> CoordinateRecord:
        return self.make_check(name, sparsity, seed=seed, noise=self.noises[name](seed))

    def run(self, specs: tuple[RunSpec, ...]) -> None:
        for spec in specs:
            record = self.make(spec.parametrization, 1 - spec.sparsity.density, spec.seed)
            assert record.key == spec.key
            self.records[spec.key] = record

    def plan(self, required: set[str], most: int) -> SeedPlan:
        return plan_seeds(self.planned, self.records, "sparsity", required, most)

    def finished(self, required: set[str], most: int) -> SeedPlan:
        plan = self.plan(required, most)
        while any(spec.key not in self.records for spec in plan.specs):
            self.run(plan.specs)
            plan = self.plan(required, most)
        return plan

    def verdicts(self, plan: SeedPlan) -> dict[str, Verdict]:
        records = [self.records[spec.key] for spec in plan.specs]
        return {item.parametrization: item.verdict for item in judge(records, "sparsity", plan.added)}


@pytest.mark.parametrize(
    ("planned", "most", "numbers"),
    [
        (3, 12, (3, 6, 12)),
        (5, 20, (5, 10, 20)),
        (2, 20, (2, 6, 20)),
        (11, 12, (11, 12)),
        (5, 5, (5,)),
        (5, 3, (5,)),
        (1, 20, (1,)),
    ],
)
def test_numbers_of_seeds(planned: int, most: int, numbers: tuple[int, ...]) -> None:
    assert numbers_of_seeds(planned, most) == numbers
    assert len(numbers) <= 1 + LOOKS


def test_nothing_is_added_before_the_planned_runs_are_there(make_check: MakeCheck) -> None:
    check = Check(make_check, {"smupar": alternating(0.06)})
    assert check.plan({"smupar"}, 20) == SeedPlan(tuple(check.planned))


def test_what_is_decided_gets_no_seed(make_check: MakeCheck) -> None:
    for noises in ({"smupar": alternating(0.01)}, {"smupar": lambda seed: 0.5 + 0.01 * seed}):
        check = Check(make_check, noises)
        assert check.finished({"smupar"}, 20).added == {}


def test_seeds_are_added_until_it_is_decided(make_check: MakeCheck) -> None:
    check = Check(make_check, {"smupar": alternating(0.06)}, seeds=(4, 5, 7))
    check.run(tuple(check.planned))
    assert check.verdicts(SeedPlan(tuple(check.planned))) == {"smupar": Verdict.OPEN}
    plan = check.finished({"smupar"}, 12)
    assert plan.added == {"smupar": (8, 9, 10)}
    assert check.verdicts(plan) == {"smupar": Verdict.INSIDE}
    assert plan.specs[: len(check.planned)] == tuple(check.planned)
    assert {spec.seed for spec in plan.specs} == {4, 5, 7, 8, 9, 10}
    assert len(plan.specs) == len(set(plan.specs)) == 6 * len(SPARSITIES)
    (extension,) = plan.extensions
    assert (extension.seeds, extension.judgement.verdict) == ((8, 9, 10), Verdict.OPEN)


def test_no_more_than_allowed_are_added_and_it_stays_open(make_check: MakeCheck) -> None:
    check = Check(make_check, {"smupar": alternating(1.0)})
    plan = check.finished({"smupar"}, 12)
    assert plan.added == {"smupar": tuple(range(3, 12))}
    assert [extension.seeds for extension in plan.extensions] == [(3, 4, 5), (6, 7, 8, 9, 10, 11)]
    assert check.verdicts(plan) == {"smupar": Verdict.OPEN}


@pytest.mark.parametrize(
    ("required", "most", "seeds"),
    [
        pytest.param({"mup"}, 20, (0, 1, 2), id="not required"),
        pytest.param({"smupar"}, 3, (0, 1, 2), id="not allowed"),
        pytest.param({"smupar"}, 20, (4,), id="a person fixed the seed"),
    ],
)
def test_what_is_open_gets_none_if(
    make_check: MakeCheck, required: set[str], most: int, seeds: tuple[int, ...]
) -> None:
    check = Check(make_check, {"smupar": alternating(1.0)}, seeds)
    assert check.finished(required, most).added == {}


def test_those_that_need_none_get_none(make_check: MakeCheck) -> None:
    check = Check(make_check, {"mup": alternating(0.01), "smupar": alternating(0.06)})
    plan = check.finished({"mup", "smupar"}, 12)
    assert plan.added == {"smupar": (3, 4, 5)}
    assert {spec.seed for spec in plan.specs if spec.parametrization == "mup"} == {0, 1, 2}


def test_the_same_plan_comes_out_again(make_check: MakeCheck) -> None:
    check = Check(make_check, {"smupar": alternating(0.06)})
    plan = check.finished({"smupar"}, 12)
    assert check.plan({"smupar"}, 12) == plan
    check.records = dict(reversed(check.records.items()))
    assert check.plan({"smupar"}, 12) == plan


def passes(first: int, most: int, trials: int, *, every: bool = False) -> float:
    """How often a slope just at the border of its allowance, measured with normal noise, is said to stay put."""
    draws = np.random.default_rng(0).normal(EXACT.above, 0.02, size=(trials, most))
    numbers = range(first, most + 1) if every else numbers_of_seeds(first, most)
    count = 0
    for row in draws:
        for index, number in enumerate(numbers):
            estimate = SlopeEstimate(dict(enumerate(row[:number])), 1 if every or index == 0 else LOOKS)
            verdict = estimate.judge(0.0, EXACT)
            if verdict is not Verdict.OPEN:
                break
        count += verdict is Verdict.INSIDE
    return count / trials


@pytest.mark.parametrize(("first", "most"), [(3, 12), (5, 20)])
def test_a_slope_at_the_border_passes_in_one_check_of_twenty_at_most(first: int, most: int) -> None:
    """As docs/coordinates.md says; the control, a look after every seed at 95 %, lets it pass in about ten of 100."""
    assert 0.025 < passes(first, most, 4000) < 0.05
    assert passes(first, most, 1000, every=True) > 0.07
