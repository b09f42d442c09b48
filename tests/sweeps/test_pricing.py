"""What runs take: by records of such runs, else by calibration and a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.commands import plan
from smupar_transfer.records import RunRecord, RunSpec, RunStore
from smupar_transfer.sweeps import pricing
from smupar_transfer.training import Execution


@pytest.fixture
def records(results: Path) -> list[RunRecord]:
    return list(RunStore(results / "grid"))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"backend": "auto: native x4"}, True),
        ({"backend": "masked"}, False),
        ({"machine": "another"}, False),
        ({"threads": 2}, False),
        ({"device": "cuda"}, False),
    ],
)
def test_only_records_made_alike_tell_the_time(records: list[RunRecord], change: dict[str, Any], kept: bool) -> None:
    made = replace(records[0], environment=replace(records[0].environment, **change))
    assert pricing.comparable([made], Execution()) == ({made.key: made} if kept else {})
    assert pricing.comparable([replace(made, diverged=True)], Execution()) == {}


def test_runs_of_one_cost_are_one_row(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> None:
    dense = [config_to_spec.target_spec(composed("train", *tiny, f"seed={seed}")) for seed in range(2)]
    sparse = config_to_spec.target_spec(composed("train", *tiny, "target.sparsity=0.5"))
    groups = pricing.group([*dense, sparse], {dense[1].key}, {})
    assert [(item.runs, item.missing, item.records) for item in groups] == [(2, 1, ()), (1, 0, ())]
    price = pricing.price(groups, config_to_spec.data_request(composed("plan", *tiny)), Execution())
    costs = [item.cost for item in price.groups]
    # embedding 256 x 16, hidden 16 x 16 x (3 + 1 + 4 + 4), three norms
    assert [cost.parameters for cost in costs] == [7216, 7216]
    assert [cost.nonzero_parameters for cost in costs] == [7216, 7216 - 1536]
    assert costs[1].flops_sparse < costs[0].flops_sparse
    trained, other = price.groups
    assert trained.step_seconds is not None
    assert trained.run_seconds is not None
    assert trained.run_seconds >= trained.step_seconds * 4 > 0
    assert (other.estimate, other.step_seconds, other.run_seconds) == (None, None, None), "nothing of it is to be done"
    low, high = price.range_left
    assert 0 < low <= price.seconds_left <= high
    assert price.seconds_anew is None


def test_where_nothing_is_missing_nothing_is_measured(
    composed: Callable[..., DictConfig], tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pricing, "measure_steps", None)
    monkeypatch.setattr(pricing, "estimate_step", None)
    groups = pricing.group([config_to_spec.target_spec(composed("train", *tiny))], set(), {})
    price = pricing.price(groups, config_to_spec.data_request(composed("plan", *tiny)), Execution())
    assert (price.seconds_left, price.seconds_anew, price.source) == (0.0, None, "")
    assert console.time_left(price, 1) == "0.0 s, nothing is missing"


def test_records_that_took_different_times_give_a_range(
    composed: Callable[..., DictConfig], tiny: tuple[str, ...], records: list[RunRecord]
) -> None:
    spec = config_to_spec.target_spec(composed("train", *tiny))
    runs = [replace(spec, seed=seed) for seed in range(4)]
    timed = {run.key: replace(records[0], wall_seconds=10.0 * (1 + run.seed)) for run in runs[:3]}
    price = pricing.price(
        pricing.group(runs, {runs[3].key}, timed), config_to_spec.data_request(composed("plan", *tiny)), Execution()
    )
    assert (price.seconds_left, price.range_left) == (20.0, (15.0, 25.0))
    assert console.time_left(price, 1) == "20.0 s, 15.0 s to 25.0 s, with workers=1 (from 3 records)"


def test_what_is_left_is_part_of_the_whole_and_what_computes_the_same_counts_once(
    composed: Callable[..., DictConfig], tiny: tuple[str, ...], records: list[RunRecord]
) -> None:
    spec = config_to_spec.target_spec(composed("train", *tiny))
    runs = [replace(spec, parametrization=name, seed=seed) for name in ("mup", "smupar") for seed in (0, 1)]
    timed = {runs[0].key: replace(records[0], wall_seconds=30.0, step_seconds=2.0)}
    (group,) = pricing.group(runs, {runs[1].key}, timed)
    assert (group.runs, group.trainings, group.missing) == (4, 2, 1)
    price = pricing.price([group], config_to_spec.data_request(composed("plan", *tiny)), Execution())
    assert (price.seconds_left, price.seconds_anew) == (30.0, 60.0)
    assert console.time_left(price, 2) == "15.0 s with workers=2 (from 1 records)"


def test_what_costs_nothing_makes_no_row_and_equal_layers_one_table(
    composed: Callable[..., DictConfig], tiny: tuple[str, ...]
) -> None:
    def at(*words: str) -> RunSpec:
        return config_to_spec.target_spec(composed("train", *tiny, "target.sparsity=0.5", *words))

    longer, warmer, wider = at("budget.steps=8"), at("budget.warmup_steps=2"), at("target.width=32")
    runs = [at(), longer, warmer, at("optimizer.epsilon=1e-6"), wider]
    groups = pricing.group(runs, {run.key for run in runs}, {})
    assert [item.runs for item in groups] == [3, 1, 1]
    price = pricing.price(groups, config_to_spec.data_request(composed("plan", *tiny)), Execution())
    assert [item.group.spec.model.width for item in plan.one_a_layout(price.groups)] == [16, 32]
