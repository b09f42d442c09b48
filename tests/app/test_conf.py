"""Everything that ships composes: each option of each group for each command, each search space, each sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import config_to_spec
from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.commands import tune
from smupar_transfer.app.sweep_config import at_point
from smupar_transfer.sweeps import shipped
from smupar_transfer.sweeps.files import load_sweep, shipped_sweeps
from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.training import DATA_NAMES

Run = Callable[..., CompletedProcess[str]]
Compose = Callable[..., DictConfig]

GROUPS = sorted(folder.name for folder in shipped.CONF.iterdir() if folder.is_dir() and folder.name != "common")
OPTIONS = {group: sorted(file.stem for file in (shipped.CONF / group).glob("*.yaml")) for group in GROUPS}
SPACES = sorted(file.stem for file in (shipped.SWEEPS / "tuning").glob("*.yaml"))
SWEEPS = sorted(shipped_sweeps())
WITH_LEARNING_CURVES = {"ablations", "init_by_sparsity", "weight_decay", "contours"}  # the last shares their runs
CONFIGURED = sorted(set(COMMANDS) - {"plot", "status"})  # these read records only


TASK = Path(__file__).parents[1] / "model" / "own_task.py"
"""A model of one's own, in a file."""


def fitting(group: str, option: str, data: tuple[str, ...]) -> list[str]:
    """Overrides that make an option part of a run that could be trained."""
    if option in ("mlp", "digits"):
        return ["model=mlp", "data=digits", "budget=digits"]
    if option == "module":
        return ["model=module", f"model.factory={TASK}"]
    if group == "data":
        own = {"text": [data[1]], "bin": [data[1], "data.dtype=uint8"]}.get(option, [])
        return [f"data={option}", *own]
    return [f"{group}={option}", *data]


def test_the_groups_are_the_nouns_of_the_code() -> None:
    assert GROUPS == ["budget", "data", "model", "optimizer", "parametrization", "sparsity", "target"]
    assert set(OPTIONS["parametrization"]) == set(PARAMETRIZATIONS)
    assert set(OPTIONS["data"]) == set(DATA_NAMES)


@pytest.mark.parametrize("command", CONFIGURED)
@pytest.mark.parametrize("turn", range(max(map(len, OPTIONS.values()))))
def test_every_option_composes_for_every_command(composed: Compose, corpus: Path, command: str, turn: int) -> None:
    """One option of each group a turn; a group with fewer options than there are turns starts again."""
    chosen = {group: options[turn % len(options)] for group, options in OPTIONS.items()}
    words = [f"{group}={option}" for group, option in chosen.items()]
    if chosen["data"] in ("text", "bin"):
        words.append(f"data.path={corpus}")
    if chosen["model"] == "module":
        words.append(f"model.factory={TASK}")
    config = composed(command, *words)
    for group, option in chosen.items():
        content = OmegaConf.to_container(config[group], resolve=True, throw_on_missing=True)
        assert isinstance(content, dict)
        if group in ("data", "parametrization", "optimizer"):
            assert content["name"] == option


@pytest.mark.parametrize(
    ("group", "option"),
    [(group, option) for group in GROUPS for option in OPTIONS[group] if option not in ("python", "shakespeare")],
)
def test_every_option_makes_a_valid_run(composed: Compose, data: tuple[str, ...], group: str, option: str) -> None:
    spec = config_to_spec.target_spec(composed("explain", *fitting(group, option, data)))
    if group == "parametrization":
        assert spec.parametrization == option
    if group == "data":
        assert spec.data.name == option
    if group == "sparsity":
        assert spec.sparsity.mask == option
    if group == "optimizer":
        assert spec.optimizer.name == option


@pytest.mark.parametrize("command", COMMANDS)
def test_cfg_job_prints_the_configuration_and_runs_nothing(smupar: Run, tmp_path: Path, command: str) -> None:
    result = smupar(command, "results_dir=here", "--cfg", "job")
    assert (result.returncode, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout)["results_dir"] == "here"
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_of_the_main_keys(composed: Compose) -> None:
    config = composed("train")
    assert (config.data.name, config.device, config.seed) == ("python", "cpu", 0)
    assert (config.target.width, config.target.sparsity) == (None, 0.0)
    assert config.parametrization.name == "smupar"
    for command in ("transfer", "explain", "plan"):  # what is not said is the same in every command
        assert composed(command).target == config.target


@pytest.mark.parametrize("command", ["tune", "demo"])
@pytest.mark.parametrize("space", SPACES)
def test_every_search_space_composes(composed: Compose, tiny: tuple[str, ...], command: str, space: str) -> None:
    config = composed(command, f"tuning={space}", *tiny)
    search = tune.make_search(config)
    assert {"learning_rate", "init_std", "input_multiplier", "output_multiplier"} <= set(search.space.ranges)
    assert ("weight_decay" in search.space.ranges) == (space == "with_weight_decay")
    assert 1 <= search.settings.startup_trials < search.settings.n_trials
    point = search.space.first_point(search.proxy.hparams)
    for name, axis in search.space.ranges.items():
        assert axis.low <= point[name] <= axis.high


def test_there_are_sweeps() -> None:
    assert "lr_by_sparsity" in SWEEPS


@pytest.mark.parametrize("name", SWEEPS)
def test_a_shipped_sweep_expands_to_its_number_of_runs(composed: Compose, data: tuple[str, ...], name: str) -> None:
    sweep = load_sweep(name)
    points = list(sweep.points())
    assert len(points) == sweep.runs == len({tuple(sorted(point.items())) for point in points})
    assert sweep.question.endswith("?")
    assert sweep.expected.strip()
    assert sweep.cost.strip()
    config = composed("sweep", *sweep.overrides, f"sweep={name}", *data)
    if sweep.adaptive is not None:  # thousands of runs: one a cell stands for the others
        points = [{**cell, sweep.adaptive.key: sweep.adaptive.log2.expand()[0], "seed": 0} for cell, _ in sweep.cells()]
    runs = [config_to_spec.target_spec(at_point(config, point)) for point in points]
    assert len({run.key for run in runs}) == len(points)
    assert min(run.model.width * run.sparsity.density for run in runs) >= 16 - 1e-9  # weights per neuron: all fan-ins
    if sweep.kind != "coordinates":  # those are not validated
        assert {run.budget.evaluations for run in runs} == {4 if name in WITH_LEARNING_CURVES else 2}


@pytest.mark.parametrize("name", SWEEPS)
def test_the_keys_of_a_shipped_sweep_exist(composed: Compose, name: str) -> None:
    sweep = load_sweep(name)
    config = composed("sweep", f"sweep={name}")
    for key in next(sweep.points()):
        assert OmegaConf.select(config, key, throw_on_missing=True, default="absent") != "absent", key
    for override in sweep.overrides:
        key = override.partition("=")[0]
        assert key in OPTIONS or OmegaConf.select(config, key, default="absent") != "absent", key
