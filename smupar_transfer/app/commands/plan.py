"""``smupar plan``: what a sweep, or one run of a target, would cost; nothing is trained beyond a few measured steps."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import show, specs
from smupar_transfer.app.cautions import tell_of_runs
from smupar_transfer.app.given import config_dir, words_by_hand
from smupar_transfer.app.kernels import resolved
from smupar_transfer.app.planner import Planner
from smupar_transfer.app.runs import by_computation, other_records
from smupar_transfer.app.sweeps import COORDINATES, load_sweep, narrowed
from smupar_transfer.model import computation
from smupar_transfer.records import CoordinateStore, RunRecord, RunSpec, RunStore
from smupar_transfer.sparsity import AUTO, native_problem
from smupar_transfer.training import (
    Estimate,
    Execution,
    estimate_step,
    load,
    machine_name,
    measure_steps,
    run_seconds,
    step_seconds,
)

MIB = 2**20
CANDIDATES = ("dense", "masked", "csr", "native")


@dataclass(frozen=True)
class Batch:
    """Runs that cost the same.

    Attributes:
        spec: one of them. runs: in all. existing: those that need no training.
        records: of these runs, made as the missing ones would be.
    """

    spec: RunSpec
    runs: int
    existing: int
    records: tuple[RunRecord, ...] = ()


@dataclass(frozen=True)
class Priced:
    """A batch and what one of its runs takes, in seconds."""

    batch: Batch
    estimate: Estimate
    step_seconds: float
    run_seconds: float


@dataclass(frozen=True)
class Todo:
    """What is planned, and what of it is left to do.

    Attributes:
        folder: of the result. bound: what an adaptive sweep may come to, in words.
        exist: keys of the planned runs that have a record. missing: runs to train, one of those that compute the same.
    """

    folder: Path
    planned: list[RunSpec]
    exist: set[str]
    missing: list[RunSpec]
    bound: str = ""

    def __str__(self) -> str:
        shared = len(self.planned) - len(self.exist) - len(self.missing)
        sharing = f", {shared} compute the same as another run" if shared else ""
        tokens = sum(spec.budget.tokens for spec in self.missing)
        return (
            f"{len(self.planned)} runs{self.bound}, {len(self.exist)} of them exist in {self.folder}{sharing}\n"
            f"to do: {len(self.missing)} runs, {tokens:,} tokens"
        )


def run(config: DictConfig) -> None:
    """Print what layers and runs cost, what exists already, and how long the rest would take."""
    workers, execution = specs.workers(config), specs.execution(config)
    if execution.backend != AUTO:  # of which it says more below
        execution = resolved(execution)
    console = show.console()
    todo = what_to_do(config)
    tell_of_runs(config, todo.planned)
    left = {spec.key for spec in todo.missing}
    done = {spec.key for spec in todo.planned} - left
    batches = group(todo.planned, done, comparable(RunStore(todo.folder), execution))
    priced, source = price(batches, config, execution)
    for item in one_a_layout(priced):
        console.print(layer_table(item, execution))
        console.print()
    if execution.device == "cpu" and execution.backend == AUTO and (problem := native_problem()) is not None:
        console.print(f"not measured: native, {problem}\n", soft_wrap=True)
    console.print(_table(priced))
    seconds = sum(item.run_seconds * (item.batch.runs - item.batch.existing) for item in priced)
    console.print(
        f"\n{todo}\nestimated time: {show.seconds(seconds / workers)} with workers={workers} ({source})", soft_wrap=True
    )


def what_to_do(config: DictConfig) -> Todo:
    """The runs of a sweep, which is introduced, or of one target; what other results have needs no training."""
    if not config.sweep:
        planned, folder = [specs.target_spec(config)], Path(config.results_dir) / "train"
        return _by_key(folder, planned, RunStore(folder).keys())
    sweep = narrowed(load_sweep(config.sweep, config_dir()), config, words_by_hand())
    show.console().print(f"{sweep.question}\nexpected: {sweep.expected.strip()}\n")
    folder = Path(config.results_dir) / sweep.name
    planner = Planner(config, sweep)
    if sweep.kind == COORDINATES:
        return _by_key(folder, planner.planned({}), CoordinateStore(folder).keys())
    records = {record.key: record for record in RunStore(folder)}
    planned = planner.expected(records)
    exist = records.keys() & {spec.key for spec in planned}
    known: set[Hashable] = {computation(record.spec) for record in (*other_records(folder), *records.values())}
    wanted = by_computation(spec for spec in planned if spec.key not in exist)
    missing = [members[0] for what, members in wanted.items() if what not in known]
    bound = "" if sweep.adaptive is None else f" expected of at most {sum(1 for _ in sweep.points())}"
    return Todo(folder, planned, exist, missing, bound)


def _by_key(folder: Path, planned: list[RunSpec], stored: set[str]) -> Todo:
    """What has no record is missing, whatever it computes."""
    exist = stored & {spec.key for spec in planned}
    return Todo(folder, planned, exist, [spec for spec in planned if spec.key not in exist])


def comparable(records: Iterable[RunRecord], execution: Execution) -> dict[str, RunRecord]:
    """Records, by key, whose times tell how long such a run takes here: same machine, threads and backend.

    A name without processor numbers and cores, as records of earlier versions have it, fits more machines than one.
    """
    here = machine_name(execution.device), execution.device, execution.threads
    return {
        record.key: record
        for record in records
        for made in [record.environment]
        if not record.diverged
        and (made.machine, made.device, made.threads) == here
        and made.backend.partition(":")[0] == execution.backend
    }


def group(planned: Sequence[RunSpec], existing: set[str], timed: dict[str, RunRecord]) -> list[Batch]:
    """Gather runs whose cost is the same."""
    found: dict[tuple[object, ...], list[RunSpec]] = {}
    for spec in planned:
        budget = replace(spec.budget, warmup_steps=0)
        found.setdefault((spec.model, spec.sparsity, budget, spec.precision), []).append(spec)
    return [
        Batch(
            spec=members[0],
            runs=len(members),
            existing=sum(member.key in existing for member in members),
            records=tuple(timed[member.key] for member in members if member.key in timed),
        )
        for members in found.values()
    ]


def price(batches: Sequence[Batch], config: DictConfig, execution: Execution) -> tuple[list[Priced], str]:
    """What a run of each batch takes: by its records if there are any, else by calibration and a few real steps.

    Returns:
        The batches, and where the times are from, in words.
    """
    estimates = [estimate_step(batch.spec, execution) for batch in batches]
    unknown = [batch.spec for batch in batches if not batch.records]
    measured = None
    sources = [f"{sum(len(batch.records) for batch in batches)} records"] if len(unknown) < len(batches) else []
    if unknown:
        smallest = min(unknown, key=lambda spec: spec.model.width)
        measured = measure_steps(smallest, load(specs.data_request(config)), execution)
        sources.append(f"calibrated layers and {measured.spec.budget.steps} steps at width {measured.spec.model.width}")
    priced = []
    for batch, found in zip(batches, estimates, strict=True):
        if measured is None or batch.records:
            step = statistics.median(record.step_seconds for record in batch.records)
            whole = statistics.median(record.wall_seconds for record in batch.records)
        else:
            step = step_seconds(batch.spec, found, measured)
            whole = run_seconds(batch.spec, step)
        priced.append(Priced(batch, found, step, whole))
    return priced, "from " + ", and from ".join(sources)


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
            f"{item.batch.runs - item.batch.existing}",
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
