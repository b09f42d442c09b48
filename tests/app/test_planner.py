"""From a sweep and records to runs: fixed sweeps at once, adaptive ones in rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import specs
from smupar_transfer.app.planner import Planner
from smupar_transfer.app.sweeps import load_sweep
from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.training import Execution, load
from smupar_transfer.training import run as train

Made = Callable[[Path], Planner]


@pytest.fixture
def config(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> DictConfig:
    return composed("sweep", "sweep=x", *tiny)


@pytest.fixture
def record(config: DictConfig) -> RunRecord:
    return train(specs.target_spec(config), load(specs.data_request(config)), Execution())


def answered(record: RunRecord, spec: RunSpec, *, diverged: bool = False) -> RunRecord:
    """As if the optimum lay at 2^-6 for all, with no word about seeds."""
    loss = None if diverged else 2 + (spec.log2_learning_rate + 6) ** 2
    return replace(record, key=spec.key, spec=spec, validation_loss=loss, diverged=diverged)


def rates(runs: list[RunSpec], name: str, seed: int) -> list[float]:
    """log2 of the learning rates at which a parametrization runs with a seed."""
    return sorted(run.log2_learning_rate for run in runs if (run.parametrization, run.seed) == (name, seed))


def test_a_fixed_sweep_is_all_its_points_whatever_the_records(config: DictConfig, grid_file: Path) -> None:
    planner = Planner(config, load_sweep(str(grid_file)))
    assert len(planner.planned({})) == 12
    assert planner.expected({}) == planner.planned({})


def test_an_adaptive_sweep_goes_in_rounds(config: DictConfig, adaptive_file: Path, record: RunRecord) -> None:
    planner = Planner(config, load_sweep(str(adaptive_file)))
    first = planner.planned({})
    assert len(first) == 3 * 2
    assert rates(first, "sp", 1) == [-8, -6]  # seed 1 is listed first
    records = {run.key: answered(record, run) for run in first}
    second = planner.planned(records)
    for name in ("sp", "mup", "smupar"):
        assert rates(second, name, 1) == [-8, -7, -6.5, -6, -5.5, -5]
        assert rates(second, name, 0) == [-7, -6.5, -6, -5.5, -5]
    records |= {run.key: answered(record, run) for run in second}
    assert planner.planned(records) == second
    assert planner.expected(records) == second


def test_cells_do_not_wait_for_each_other(config: DictConfig, adaptive_file: Path, record: RunRecord) -> None:
    planner = Planner(config, load_sweep(str(adaptive_file)))
    records = {run.key: answered(record, run) for run in planner.planned({}) if run.parametrization == "sp"}
    runs = planner.planned(records)
    assert (len(rates(runs, "sp", 0)), len(rates(runs, "mup", 0))) == (5, 0)


def test_a_diverged_run_is_no_optimum(config: DictConfig, adaptive_file: Path, record: RunRecord) -> None:
    planner = Planner(config, load_sweep(str(adaptive_file)))
    first = planner.planned({})
    records = {run.key: answered(record, run, diverged=run.log2_learning_rate > -7) for run in first}
    assert rates(planner.planned(records), "sp", 0) == [-8, -7.5, -7]


def test_what_is_expected_lies_between_what_is_asked_for_and_the_full_grid(
    config: DictConfig, adaptive_file: Path, record: RunRecord
) -> None:
    sweep = load_sweep(str(adaptive_file))
    planner = Planner(config, sweep)
    expected = planner.expected({})
    assert len(planner.planned({})) < len(expected) < sweep.runs
    assert set(planner.planned({})) <= set(expected)
    records = {run.key: answered(record, run) for run in planner.planned({})}
    assert set(planner.planned(records)) <= set(planner.expected(records))
    assert len({run.key for run in planner.expected(records)}) == len(planner.expected(records))
