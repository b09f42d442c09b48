"""``smupar plan``: what a sweep, or one run of a target, would cost; nothing is trained beyond a few measured steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import console
from smupar_transfer.app.overrides import config_dir, words_by_hand
from smupar_transfer.app.sweep_config import narrowed
from smupar_transfer.records import CoordinateStore, RunRecord, RunSpec, RunStore
from smupar_transfer.reporting.number_format import significant
from smupar_transfer.sweeps.files import load_sweep, own_file
from smupar_transfer.sweeps.sweep import COORDINATES, Sweep
from smupar_transfer.theory import InputError

if TYPE_CHECKING:
    from smupar_transfer.sweeps.planner import Planner
    from smupar_transfer.sweeps.pricing import Price, Priced
    from smupar_transfer.sweeps.run_missing import Todo
    from smupar_transfer.training import Estimate, Execution

MIB = 2**20
TRIALS = 40
"""Of a search, where what it costs is told: those of the shipped search space."""
CANDIDATES = ("dense", "masked", "expand", "csr", "native")


def run(config: DictConfig) -> None:
    """Print what layers and runs cost, what exists already, and how long the rest would take."""
    sweep = load_sweep(config.sweep, config_dir()) if config.sweep else None
    if sweep is not None:
        console.introduction(sweep, own_file(config.sweep, config_dir()))
        sweep = narrowed(sweep, config, words_by_hand())
    from smupar_transfer.app import config_to_spec
    from smupar_transfer.app.cautions import tell_of_runs
    from smupar_transfer.kernels import native_problem
    from smupar_transfer.sparsity import AUTO
    from smupar_transfer.sweeps import pricing
    from smupar_transfer.training.kernel_fallback import resolved
    from smupar_transfer.training.precision_hint import faster_precision

    workers, execution = config_to_spec.workers(config), config_to_spec.execution(config, alone=sweep is None)
    if execution.backend != AUTO:  # of which it says more below
        execution = resolved(execution)
    out = console.terminal()
    todo, records = of_target(config) if sweep is None else of_sweep(config, sweep)
    tell_of_runs(config, todo.planned)
    missing = {spec.key for spec in todo.missing}
    groups = pricing.group(todo.planned, missing, pricing.comparable(records, execution))
    price = pricing.price(groups, config_to_spec.data_request(config), execution)
    for item in one_a_layout(price.groups):
        assert item.estimate is not None
        out.print(layer_table(item, item.estimate, execution))
        if hint := faster_precision(item.group.spec, execution):
            console.line(hint)
        out.print()
    if execution.device == "cpu" and execution.backend == AUTO and (problem := native_problem()) is not None:
        out.print(f"not measured: native, {problem}\n", soft_wrap=True)
    out.print(_table(price.groups))
    if sweep is None and (said := proxy_words(config, price.groups[0], execution)):
        console.line(f"\n{said}")
    console.line(f"\n{todo}")
    if sweep is not None:
        console.stated_cost(sweep)
    console.line(f"estimated time: {console.time_left(price, workers)}{_anew(price, workers)}")


def proxy_words(config: DictConfig, target: Priced, execution: Execution) -> str:
    """What a search on the proxy saves against one on the target, in words; empty where the target is the proxy itself.

    Both are timed on one thread, as the trials of a search run. Nothing is timed where the target has its record.
    """
    from smupar_transfer.app import config_to_spec
    from smupar_transfer.model import network_cost, outline, plan_of
    from smupar_transfer.sweeps import pricing

    def seconds(spec: RunSpec) -> float:
        alone = pricing.group([spec], {spec.key}, {})
        price = pricing.price(alone, config_to_spec.data_request(config), replace(execution, threads=1))
        return price.seconds_left

    spec, proxy = target.group.spec, config_to_spec.proxy_spec(config)
    if proxy.key == spec.key:
        return ""
    cost = network_cost(plan_of(outline(proxy), proxy), proxy)
    ratios = {"operations": target.cost.flops_sparse * spec.budget.tokens / (cost.flops_sparse * proxy.budget.tokens)}
    if target.group.missing:
        ratios["time"] = seconds(spec) / seconds(proxy)
    told = " and ".join(f"{significant(ratio, 3)} times the {what}" for what, ratio in ratios.items())
    saved = " and ".join(f"{significant(saving(TRIALS, ratio), 3)} times the {what}" for what, ratio in ratios.items())
    return (
        f"a run of this target takes {told} of one of its proxy (width {proxy.model.width}, dense); {TRIALS} trials on "
        f"the target take {saved} of {TRIALS} trials on the proxy and one run of the target"
    )


def saving(trials: int, ratio: float) -> float:
    """Cost of ``trials`` on the target over that of as many on the proxy and one target run: N R / (N + R).

    Args:
        trials: The number of trials, N.
        ratio: What a run of the target costs over what one of the proxy costs, R.
    """
    return trials * ratio / (trials + ratio)


def _anew(price: Price, workers: int) -> str:
    """How long all runs would take, in words, where it is known and more than what is left."""
    anew = price.seconds_anew
    if anew is None or anew <= price.seconds_left:
        return ""
    source = "" if price.seconds_left else f" ({price.source})"
    return f"; {console.seconds(anew / workers)} if none of them existed{source}"


def of_target(config: DictConfig) -> tuple[Todo, list[RunRecord]]:
    """One run of the target, and the records that there are."""
    from smupar_transfer.app import config_to_spec

    folder = Path(config.results_dir) / "train"
    records = list(RunStore(folder))
    return _by_key(folder, [config_to_spec.target_spec(config)], {record.key for record in records}), records


def of_sweep(config: DictConfig, sweep: Sweep) -> tuple[Todo, list[RunRecord]]:
    """The runs of a sweep, and the records that there are; what other results have needs no training."""
    from smupar_transfer.app.sweep_planning import planner_of
    from smupar_transfer.sweeps import run_missing

    folder = Path(config.results_dir) / sweep.name
    planner = planner_of(config, sweep)
    if sweep.kind == COORDINATES:
        checks, stored = planner.planned({}), CoordinateStore(folder).keys()
        _tell_refusal(folder, sweep, stored, checks, planner)
        return _by_key(folder, checks, stored), []
    records = {record.key: record for record in RunStore(folder)}
    planned = planner.expected(records)
    _tell_refusal(folder, sweep, records.keys(), planned, planner)
    todo = run_missing.what_to_do(folder, planned, records, run_missing.other_trainings(folder), planner.bound)
    return todo, list(records.values())


def _tell_refusal(
    folder: Path, sweep: Sweep, stored: Collection[str], planned: Sequence[RunSpec], planner: Planner
) -> None:
    """Print why the runs that are planned here could not be made, if so."""
    from smupar_transfer.sweeps.overwriting import refuse_to_replace

    try:
        refuse_to_replace(folder, sweep.kind, stored, {spec.key for spec in planned}, planner.possible)
    except InputError as error:
        command = COORDINATES if sweep.kind == COORDINATES else "sweep"
        console.line(f"`smupar {command}` would refuse: {error}\n")


def _by_key(folder: Path, planned: list[RunSpec], stored: set[str]) -> Todo:
    """What has no record is missing, whatever it computes."""
    from smupar_transfer.sweeps.run_missing import Todo

    exist = stored & {spec.key for spec in planned}
    return Todo(folder, planned, exist, [spec for spec in planned if spec.key not in exist])


def one_a_layout(priced: Sequence[Priced]) -> list[Priced]:
    """The first of those to be trained whose layers are the same, with the same number of tokens a step."""
    by_layout: dict[tuple[object, ...], Priced] = {}
    for item in priced:
        if item.estimate is None:
            continue
        spec = item.group.spec
        by_layout.setdefault((spec.model, spec.sparsity, spec.budget.tokens_per_step, spec.precision), item)
    return list(by_layout.values())


def layer_table(item: Priced, estimate: Estimate, execution: Execution) -> Group:
    """One row for equal layers; numbers are of one: size, milliseconds a step, what computes, operations, bytes."""
    spec, layers = item.group.spec, estimate.layers
    names = [name for name in CANDIDATES if any(name in layer.seconds for layer in layers)]
    rows = [
        [
            f"{layer.name} x{layer.count}",
            f"{layer.shape[0]}x{layer.shape[1]}",
            significant(layer.nonzero / (layer.shape[0] * layer.shape[1]), 3),
            f"{layer.nonzero:,}",
            *(_milliseconds(layer.seconds.get(name)) for name in names),
            layer.backend,
            significant(layer.flops_sparse / 1e9, 3),
            significant(layer.state_bytes / MIB, 3),
        ]
        for layer in layers
    ]
    title = (
        f"sparse layers at width {spec.model.width}, sparsity {1 - spec.sparsity.density:g}: "
        f"{_milliseconds(estimate.layer_seconds)} ms of a step "
        f"({spec.budget.tokens_per_step:,} tokens, threads={execution.threads})"
    )
    columns = ["layer", "shape", "density", "weights", *names, "takes", "GFLOP", "MiB"]
    return console.table(title, columns, rows)


def _milliseconds(seconds: float | None) -> str:
    if seconds is not None and seconds >= 0.1:
        return f"{1e3 * seconds:,.0f}"
    return significant(None if seconds is None else 1e3 * seconds, 3)


def _table(priced: Sequence[Priced]) -> Group:
    rows = [
        [
            f"{item.group.spec.model.width}",
            f"{1 - item.group.spec.sparsity.density:g}",
            f"{item.group.runs}",
            f"{item.group.missing}",
            f"{item.cost.parameters:,}",
            f"{item.cost.nonzero_parameters:,}",
            f"{item.group.spec.budget.tokens:,}",
            f"{item.cost.flops_sparse * item.group.spec.budget.tokens:.2e}",
            "-" if item.estimate is None else f"{item.estimate.state_bytes / MIB:,.1f}",
            significant(item.step_seconds, 3),
            "-" if item.run_seconds is None else console.seconds(item.run_seconds),
        ]
        for item in priced
    ]
    columns = ["width", "sparsity", "runs", "to do", "parameters", "not zero", "tokens", "FLOPs"]
    columns += ["MiB", "s/step", "a run"]
    title = "per run (FLOPs of the weights that exist; MiB: weights, gradients, moments, structure)"
    return console.table(title, columns, rows)
