"""``smupar plan``: what a sweep, or one run of a target, would cost; nothing is trained beyond a few measured steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import show
from smupar_transfer.app.given import config_dir, words_by_hand
from smupar_transfer.app.sweep_definition import COORDINATES, Sweep
from smupar_transfer.app.sweeps import load_sweep, narrowed, own_file
from smupar_transfer.records import CoordinateStore, RunRecord, RunSpec, RunStore
from smupar_transfer.theory import InputError

if TYPE_CHECKING:
    from smupar_transfer.app.planner import Planner
    from smupar_transfer.app.pricing import Priced
    from smupar_transfer.app.runs import Todo
    from smupar_transfer.training import Execution

MIB = 2**20
CANDIDATES = ("dense", "masked", "csr", "native")


def run(config: DictConfig) -> None:
    """Print what layers and runs cost, what exists already, and how long the rest would take."""
    sweep = load_sweep(config.sweep, config_dir()) if config.sweep else None
    if sweep is not None:
        show.introduction(sweep, own_file(config.sweep, config_dir()))
        sweep = narrowed(sweep, config, words_by_hand())
    from smupar_transfer.app import pricing, specs  # torch is imported now: a person has read something meanwhile
    from smupar_transfer.app.cautions import tell_of_runs
    from smupar_transfer.app.kernels import resolved
    from smupar_transfer.sparsity import AUTO, native_problem

    workers, execution = specs.workers(config), specs.execution(config)
    if execution.backend != AUTO:  # of which it says more below
        execution = resolved(execution)
    console = show.console()
    todo, records = of_target(config) if sweep is None else of_sweep(config, sweep)
    tell_of_runs(config, todo.planned)
    missing = {spec.key for spec in todo.missing}
    batches = pricing.group(todo.planned, missing, pricing.comparable(records, execution))
    price = pricing.price(batches, specs.data_request(config), execution)
    for item in one_a_layout(price.batches):
        console.print(layer_table(item, execution))
        console.print()
    if execution.device == "cpu" and execution.backend == AUTO and (problem := native_problem()) is not None:
        console.print(f"not measured: native, {problem}\n", soft_wrap=True)
    console.print(_table(price.batches))
    show.line(f"\n{todo}")
    if sweep is not None:
        show.stated_cost(sweep)
    anew = f"; {show.seconds(price.seconds_anew / workers)} if none of them existed"
    more = anew if price.seconds_anew > price.seconds_left else ""
    show.line(f"estimated time: {price.left(workers)}{more}")


def of_target(config: DictConfig) -> tuple[Todo, list[RunRecord]]:
    """One run of the target, and the records that there are."""
    from smupar_transfer.app import specs

    folder = Path(config.results_dir) / "train"
    records = list(RunStore(folder))
    return _by_key(folder, [specs.target_spec(config)], {record.key for record in records}), records


def of_sweep(config: DictConfig, sweep: Sweep) -> tuple[Todo, list[RunRecord]]:
    """The runs of a sweep, and the records that there are; what other results have needs no training."""
    from smupar_transfer.app import runs
    from smupar_transfer.app.planner import Planner

    folder = Path(config.results_dir) / sweep.name
    planner = Planner(config, sweep)
    if sweep.kind == COORDINATES:
        checks, stored = planner.planned({}), CoordinateStore(folder).keys()
        _tell_refusal(folder, sweep, stored, checks, planner)
        return _by_key(folder, checks, stored), []
    records = {record.key: record for record in RunStore(folder)}
    planned = planner.expected(records)
    _tell_refusal(folder, sweep, records.keys(), planned, planner)
    todo = runs.what_to_do(folder, planned, records, runs.other_trainings(folder), planner.bound)
    return todo, list(records.values())


def _tell_refusal(
    folder: Path, sweep: Sweep, stored: Collection[str], planned: Sequence[RunSpec], planner: Planner
) -> None:
    """Print why the runs that are planned here could not be made, if so."""
    from smupar_transfer.app.continuing import refuse_to_replace

    try:
        refuse_to_replace(folder, sweep.kind, stored, {spec.key for spec in planned}, planner.possible)
    except InputError as error:
        command = COORDINATES if sweep.kind == COORDINATES else "sweep"
        show.line(f"`smupar {command}` would refuse: {error}\n")


def _by_key(folder: Path, planned: list[RunSpec], stored: set[str]) -> Todo:
    """What has no record is missing, whatever it computes."""
    from smupar_transfer.app.runs import Todo

    exist = stored & {spec.key for spec in planned}
    return Todo(folder, planned, exist, [spec for spec in planned if spec.key not in exist])


def one_a_layout(priced: Sequence[Priced]) -> list[Priced]:
    """The first of those whose layers are the same, with the same number of tokens a step."""
    found: dict[tuple[object, ...], Priced] = {}
    for item in priced:
        spec = item.batch.spec
        found.setdefault((spec.model, spec.sparsity, spec.budget.tokens_per_step, spec.precision), item)
    return list(found.values())


def layer_table(item: Priced, execution: Execution) -> Group:
    """One row for equal layers; numbers are of one: size, milliseconds a step, what computes, operations, bytes."""
    spec, layers = item.batch.spec, item.estimate.layers
    names = [name for name in CANDIDATES if any(name in layer.seconds for layer in layers)]
    rows = [
        [
            f"{layer.name} x{layer.count}",
            f"{layer.shape[0]}x{layer.shape[1]}",
            show.number(layer.nonzero / (layer.shape[0] * layer.shape[1]), 3),
            f"{layer.nonzero:,}",
            *(_milliseconds(layer.seconds.get(name)) for name in names),
            layer.backend,
            show.number(layer.flops_sparse / 1e9, 3),
            show.number(layer.flops_dense / 1e9, 3),
            show.number(layer.state_bytes / MIB, 3),
        ]
        for layer in layers
    ]
    title = (
        f"sparse layers at width {spec.model.width}, sparsity {1 - spec.sparsity.density:g}: "
        f"{_milliseconds(item.estimate.layer_seconds)} ms of a step "
        f"({spec.budget.tokens_per_step:,} tokens, threads={execution.threads})"
    )
    columns = ["layer", "shape", "density", "weights", *names, "takes", "GFLOP", "if dense", "MiB"]
    return show.table(title, columns, rows)


def _milliseconds(seconds: float | None) -> str:
    if seconds is not None and seconds >= 0.1:
        return f"{1e3 * seconds:,.0f}"
    return show.number(None if seconds is None else 1e3 * seconds, 3)


def _table(priced: Sequence[Priced]) -> Group:
    rows = [
        [
            f"{item.batch.spec.model.width}",
            f"{1 - item.batch.spec.sparsity.density:g}",
            f"{item.batch.runs}",
            f"{item.batch.missing}",
            f"{item.estimate.cost.parameters:,}",
            f"{item.estimate.cost.nonzero_parameters:,}",
            f"{item.batch.spec.budget.tokens:,}",
            f"{item.estimate.cost.flops_sparse * item.batch.spec.budget.tokens:.2e}",
            f"{item.estimate.state_bytes / MIB:,.1f}",
            show.number(item.step_seconds, 3),
            show.seconds(item.run_seconds),
        ]
        for item in priced
    ]
    columns = ["width", "sparsity", "runs", "to do", "parameters", "not zero", "tokens", "FLOPs"]
    columns += ["MiB", "s/step", "a run"]
    title = "per run (FLOPs of the weights that exist; MiB: weights, gradients, moments, structure)"
    return show.table(title, columns, rows)
