"""From a sweep and records to runs: fixed sweeps at once, adaptive ones in rounds."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec
from smupar_transfer.app.base import Base
from smupar_transfer.app.hydra_entry import _expand_name
from smupar_transfer.app.sweep_config import at_point, narrowed
from smupar_transfer.app.sweep_planning import planner_of
from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.sweeps.files import load_sweep
from smupar_transfer.sweeps.planner import Planner
from smupar_transfer.theory import InputError
from smupar_transfer.training import Execution, load
from smupar_transfer.training import run as train

Made = Callable[[Path], Planner]


@pytest.fixture
def config(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> DictConfig:
    return composed("sweep", "sweep=x", *tiny)


@pytest.fixture
def record(config: DictConfig) -> RunRecord:
    return train(config_to_spec.target_spec(config), load(config_to_spec.data_request(config)), Execution())


def answered(record: RunRecord, spec: RunSpec, *, diverged: bool = False) -> RunRecord:
    """As if the optimum lay at 2^-6 for all, with no word about seeds."""
    loss = None if diverged else 2 + (spec.log2_learning_rate + 6) ** 2
    return replace(record, key=spec.key, spec=spec, validation_loss=loss, diverged=diverged)


def rates(runs: list[RunSpec], name: str, seed: int) -> list[float]:
    """log2 of the learning rates at which a parametrization runs with a seed."""
    return sorted(run.log2_learning_rate for run in runs if (run.parametrization, run.seed) == (name, seed))


def test_a_fixed_sweep_is_all_its_points_whatever_the_records(config: DictConfig, grid_file: Path) -> None:
    planner = planner_of(config, load_sweep(str(grid_file)))
    assert len(planner.planned({})) == 12
    assert planner.expected({}) == planner.planned({})


def test_an_adaptive_sweep_goes_in_rounds(config: DictConfig, adaptive_file: Path, record: RunRecord) -> None:
    planner = planner_of(config, load_sweep(str(adaptive_file)))
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
    planner = planner_of(config, load_sweep(str(adaptive_file)))
    records = {run.key: answered(record, run) for run in planner.planned({}) if run.parametrization == "sp"}
    runs = planner.planned(records)
    assert (len(rates(runs, "sp", 0)), len(rates(runs, "mup", 0))) == (5, 0)


def test_a_diverged_run_is_no_optimum(config: DictConfig, adaptive_file: Path, record: RunRecord) -> None:
    planner = planner_of(config, load_sweep(str(adaptive_file)))
    first = planner.planned({})
    records = {run.key: answered(record, run, diverged=run.log2_learning_rate > -7) for run in first}
    assert rates(planner.planned(records), "sp", 0) == [-8, -7.5, -7]


def test_what_is_expected_lies_between_what_is_asked_for_and_the_full_grid(
    config: DictConfig, adaptive_file: Path, record: RunRecord
) -> None:
    sweep = load_sweep(str(adaptive_file))
    planner = planner_of(config, sweep)
    expected = planner.expected({})
    assert len(planner.planned({})) < len(expected) < sweep.count()
    assert set(planner.planned({})) <= set(expected)
    records = {run.key: answered(record, run) for run in planner.planned({})}
    assert set(planner.planned(records)) <= set(planner.expected(records))
    assert len({run.key for run in planner.expected(records)}) == len(planner.expected(records))


CARRIED = """\
question: Is regret known with its error?
expected: It is.
cost: a second
overrides: []
adaptive:
  key: hparams.learning_rate
  log2: {first: -12, last: -3, step: 0.5}
  coarse: 2
  reach: 1
  carried: true
grids:
  - parametrization.name: [sp, mup]
    target.width: [null, 32]
    target.sparsity: [0.0]
    seed: [1, 0]
runs: 152
"""


def moved(record: RunRecord, spec: RunSpec) -> RunRecord:
    """The proxy's optimum lies between two points of the grid, that of the target of SP far from it."""
    optimum = -10.2 if spec.model.width == 32 and spec.parametrization == "sp" else -5.8
    return replace(record, key=spec.key, spec=spec, validation_loss=2 + 0.01 * (spec.log2_learning_rate - optimum) ** 2)


def at(runs: list[RunSpec], name: str, width: int, seed: int) -> list[float]:
    return rates([run for run in runs if run.model.width == width], name, seed)


def test_what_the_proxy_predicts_is_run_with_all_seeds_once_all_optima_are_found(
    config: DictConfig, tmp_path: Path, record: RunRecord
) -> None:
    (tmp_path / "carried.yaml").write_text(CARRIED, encoding="utf-8")
    (tmp_path / "plain.yaml").write_text(CARRIED.replace("  carried: true\n", ""), encoding="utf-8")
    plain = planner_of(config, load_sweep(str(tmp_path / "plain.yaml")))
    sweep = load_sweep(str(tmp_path / "carried.yaml"))
    records: dict[str, RunRecord] = {}
    while missing := [run for run in plain.planned(records) if run.key not in records]:
        assert planner_of(config, sweep).planned(records) == plain.planned(records)
        records |= {run.key: moved(record, run) for run in missing}
    searched = plain.planned(records)
    runs = planner_of(config, sweep).planned(records)
    assert runs[: len(searched)] == searched
    assert at(searched, "sp", 32, 0) == [-11, -10.5, -10, -9.5, -9]
    assert at(runs, "sp", 32, 0) == [-11, -10.5, -10, -9.5, -9, -6, -5.5]
    assert set(at(runs, "sp", 32, 1)) >= {-6, -5.5}
    assert len(runs) == len({run.key for run in runs})
    assert {run.key for run in runs} - {run.key for run in searched} == {
        run.key
        for run in runs
        if (run.parametrization, run.model.width) == ("sp", 32) and run.log2_learning_rate in (-6, -5.5)
    } - {run.key for run in searched}
    records |= {run.key: moved(record, run) for run in runs}
    extra = [run for run in runs if run not in searched]
    for cut in range(len(extra)):  # wherever a kill comes, the rest is asked for again, and no more
        known = {run.key: moved(record, run) for run in [*searched, *extra[:cut]]}
        assert planner_of(config, sweep).planned(known) == runs
    again = planner_of(config, sweep)
    assert again.planned(records) == runs == again.expected(records) == planner_of(config, sweep).expected(records)


def test_what_is_transferred_is_guessed_as_long_as_the_proxy_is_not_known(config: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "carried.yaml").write_text(CARRIED, encoding="utf-8")
    tuned = config.copy()
    tuned.hparams.learning_rate = 2.0**-3.75
    expected = planner_of(tuned, load_sweep(str(tmp_path / "carried.yaml"))).expected({})
    assert {-4.0, -3.5} <= set(at(expected, "sp", 32, 0))


def test_what_differs_in_seed_and_hyperparameters_alone_is_composed_once(
    config: DictConfig, grid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And comes out as if each of its runs had been composed by itself."""
    sweep = load_sweep(str(grid_file))
    alone = [config_to_spec.target_spec(at_point(config, point)) for point in sweep.points()]
    composed: list[DictConfig] = []
    compose = config_to_spec.target_spec

    def counted(point: DictConfig, base: Base | None = None) -> RunSpec:
        composed.append(point)
        return compose(point, base)

    monkeypatch.setattr(config_to_spec, "target_spec", counted)
    runs = planner_of(config, sweep).planned({})
    assert runs == alone
    assert [run.key for run in runs] == [run.key for run in alone]
    assert len(composed) == 4  # two parametrizations at two sparsities


def test_impossible_hyperparameters_are_refused_by_name(config: DictConfig, grid_file: Path) -> None:
    axis = "hparams.init_std: [0.1, -0.1]\n    seed: [0]"
    grid_file.write_text(grid_file.read_text().replace("seed: [0]", axis).replace("runs: 12\n", ""), encoding="utf-8")
    with pytest.raises(InputError, match=r"^hparams\.init_std=-0\.1: must be finite and not negative"):
        planner_of(config, load_sweep(str(grid_file)))


@pytest.mark.parametrize(
    "axis", ["model.head_dim: [8, 16]", "optimizer.beta1: [0.8, 0.9]", "precision: [float32, bfloat16]"]
)
def test_a_grid_may_vary_any_field_of_a_run(config: DictConfig, grid_file: Path, axis: str) -> None:
    """They were refused once all was trained: tables tell apart whatever varies."""
    usual = planner_of(config, load_sweep(str(grid_file))).planned({})
    content = grid_file.read_text(encoding="utf-8").replace("seed: [0]", f"seed: [0]\n    {axis}")
    grid_file.write_text(re.sub(r"runs: .*\n", "", content), encoding="utf-8")
    assert len(planner_of(config, load_sweep(str(grid_file))).planned({})) == 2 * len(usual)


def test_a_coordinate_check_tells_its_axis_apart_and_nothing_else(config: DictConfig, tmp_path: Path) -> None:
    file = tmp_path / "check.yaml"
    content = "question: Why?\nkind: coordinates\naxis: AXIS\ngrids:\n  - target.width: [16, 32]\n    seed: [0, 1]\n"
    file.write_text(content.replace("AXIS", "width"), encoding="utf-8")
    assert len(planner_of(config, load_sweep(str(file))).planned({})) == 4
    file.write_text(content.replace("AXIS", "sparsity"), encoding="utf-8")
    with pytest.raises(InputError, match=r"^grids=target\.width: in check is nothing that tables tell apart"):
        planner_of(config, load_sweep(str(file)))


def test_all_that_may_be_asked_for_is_the_full_grid(
    config: DictConfig, adaptive_file: Path, grid_file: Path, record: RunRecord
) -> None:
    planner = planner_of(config, load_sweep(str(adaptive_file)))
    assert len(planner.possible()) == 42
    assert planner.bound == " expected of at most 42"
    records = {run.key: answered(record, run) for run in planner.planned({})}
    assert {run.key for run in planner.planned(records)} <= planner.possible()
    fixed = planner_of(config, load_sweep(str(grid_file)))
    assert (fixed.possible(), fixed.bound) == ({run.key for run in fixed.planned({})}, "")


TARGETS = {(128, 0.0), (128, 0.75), (128, 0.875)}


@pytest.mark.parametrize(
    ("words", "held", "targets"),
    [
        (["model.width=32"], {"base_width": 32}, TARGETS),
        (["target.width=256"], {"base_width": 64}, {(256, 0.0), (256, 0.75), (256, 0.875)}),
        (["target=wide_sparse"], {"base_width": 64}, {(256, 0.9375)}),
        (["target.sparsity=0.5"], {"base_width": 64}, {(128, 0.5)}),
        (["model=gpt_swiglu", "model.depth=3"], {"model.activation": "swiglu", "model.depth": 3}, TARGETS),
        (["hparams.init_std=0.3"], {"hparams.init_std": 0.3}, TARGETS),
        (["budget=short"], {"budget.steps": 200, "budget.evaluations": 8}, TARGETS),
        (["budget.steps=30", "budget.batch_size=4"], {"budget.steps": 30, "budget.batch_size": 4}, TARGETS),
        (["optimizer=sgd"], {"optimizer.name": "sgd"}, TARGETS),
        (["sparsity=fixed_fan_in"], {"sparsity.mask": "fixed_fan_in"}, TARGETS),
        (["precision=bfloat16"], {"precision": "bfloat16"}, TARGETS),
        (["seed=7"], {"seed": 7}, TARGETS),
        (["parametrization=mup"], {"parametrization": "mup"}, TARGETS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_no_word_is_lost_on_the_quick_sweep(
    composed: Callable[..., DictConfig],
    data: tuple[str, ...],
    words: list[str],
    held: dict[str, object],
    targets: set[tuple[int, float]],
) -> None:
    line = _expand_name("sweep", ["quick", *data, *words])
    config = composed("sweep", *line)
    runs = planner_of(config, narrowed(load_sweep("quick"), config, words)).planned({})
    for key, value in held.items():
        assert {operator.attrgetter(key)(run) for run in runs} == {value}
    assert {run.data.name for run in runs} == {"text"}
    proxy = (runs[0].base_width, 0.0)
    assert {(run.model.width, 1 - run.sparsity.density) for run in runs} == {proxy, *targets}
    assert {run.parametrization for run in runs} == ({"mup"} if "parametrization" in held else {"sp", "mup", "smupar"})
