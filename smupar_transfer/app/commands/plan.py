"""``smupar plan``: what a sweep, or one run of a target, would cost; nothing is trained beyond a short calibration."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import show, specs
from smupar_transfer.app.commands.sweep import config_dir
from smupar_transfer.app.planner import Planner
from smupar_transfer.app.runs import by_computation, other_records
from smupar_transfer.app.sweeps import load_sweep
from smupar_transfer.model import Cost, computation, network_cost, outline, plan_parameters
from smupar_transfer.records import RunSpec, RunStore
from smupar_transfer.training import load
from smupar_transfer.training import run as run_spec

CALIBRATION_STEPS = 3
STATE_BYTES = 16  # a weight, its gradient and two moments, in float32


@dataclass(frozen=True)
class Batch:
    """Runs of one network shape and density.

    Attributes:
        runs: in all. existing: those that need no training: they have a record, or compute the same as another.
    """

    spec: RunSpec
    cost: Cost
    runs: int
    existing: int


def run(config: DictConfig) -> None:
    """Print runs, tokens, FLOPs, memory and estimated time, and what exists already."""
    workers = specs.workers(config)
    bound, known = "", set[Hashable]()
    if config.sweep:
        sweep = load_sweep(config.sweep, config_dir())
        folder = Path(config.results_dir) / sweep.name
        records = {record.key: record for record in RunStore(folder)}
        planned = Planner(config, sweep).expected(records)
        known = {computation(record.spec) for record in (*other_records(folder), *records.values())}
        show.console().print(f"{sweep.question}\nexpected: {sweep.expected.strip()}\n")
        bound = "" if sweep.adaptive is None else f" expected of at most {sweep.runs}"
    else:
        planned, folder = [specs.target_spec(config)], Path(config.results_dir) / "train"
    existing = RunStore(folder).keys()
    done = {spec.key for spec in planned if spec.key in existing}
    wanted = by_computation(spec for spec in planned if spec.key not in done)
    missing = [specs[0] for what, specs in wanted.items() if what not in known]
    groups = group(planned, {spec.key for spec in planned} - {spec.key for spec in missing})
    show.console().print(_table(groups))
    rate, source = _flops_per_second(config, planned, folder)
    tokens = sum(spec.budget.tokens for spec in missing)
    work = sum(item.cost.flops_dense * item.spec.budget.tokens * (item.runs - item.existing) for item in groups)
    show.console().print(
        f"\n{len(planned)} runs{bound}, {len(done)} of them exist in {folder}{_sharing(planned, done, missing)}\n"
        f"to do: {len(missing)} runs, {tokens:,} tokens, {work:.3g} FLOPs as the masked backend computes them\n"
        f"estimated time: {show.seconds(work / rate / workers)} with workers={workers} ({source})",
        soft_wrap=True,
    )


def _sharing(planned: Sequence[RunSpec], done: set[str], missing: Sequence[RunSpec]) -> str:
    shared = len(planned) - len(done) - len(missing)
    return f", {shared} compute the same as another run" if shared else ""


def group(planned: Sequence[RunSpec], existing: set[str]) -> list[Batch]:
    """Gather runs whose cost is the same."""
    found: dict[tuple[object, ...], list[RunSpec]] = {}
    for spec in planned:
        found.setdefault((spec.model, spec.sparsity, spec.budget), []).append(spec)
    groups = []
    for members in found.values():
        spec = members[0]
        cost = network_cost(plan_parameters(outline(spec), spec), spec)
        groups.append(Batch(spec, cost, len(members), sum(member.key in existing for member in members)))
    return groups


def _table(groups: Sequence[Batch]) -> Group:
    rows = [
        [
            f"{item.spec.model.width}",
            f"{1 - item.spec.sparsity.density:g}",
            f"{item.runs}",
            f"{item.runs - item.existing}",
            f"{item.cost.parameters:,}",
            f"{item.cost.nonzero_parameters:,}",
            f"{item.spec.budget.tokens:,}",
            f"{item.cost.flops_sparse * item.spec.budget.tokens:.2e}",
            f"{item.cost.parameters * STATE_BYTES / 2**20:,.1f}",
        ]
        for item in groups
    ]
    columns = ["width", "sparsity", "runs", "to do", "parameters", "not zero", "tokens", "FLOPs", "state MiB"]
    return show.table("per run (FLOPs of the weights that exist; state: weights, gradients, moments)", columns, rows)


def _flops_per_second(config: DictConfig, planned: Sequence[RunSpec], folder: Path) -> tuple[float, str]:
    """Achieved rate of dense FLOPs in a worker: from records of this result, else from a short run."""
    wanted = {spec.key for spec in planned}
    rates = [
        record.flops_dense / record.wall_seconds
        for record in RunStore(folder)
        if record.key in wanted and record.wall_seconds > 0
    ]
    if rates:
        return statistics.median(rates), f"from {len(rates)} records"
    smallest = min(planned, key=lambda spec: spec.model.width)
    budget = replace(smallest.budget, steps=CALIBRATION_STEPS, warmup_steps=0, evaluations=1, evaluation_batches=1)
    trial = replace(smallest, budget=budget)
    record = run_spec(trial, load(specs.data_request(config)), specs.execution(config))
    tokens = budget.batch_size * budget.sequence_length
    rate = record.flops_dense / record.tokens * tokens / record.step_seconds
    return rate, f"from {CALIBRATION_STEPS} steps on this machine, evaluations not counted"
