"""``smupar sweep NAME``: run what is missing of a sweep, then analyse and draw."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from smupar_transfer.app import console
from smupar_transfer.app.overrides import config_dir, own_flags, words_by_hand
from smupar_transfer.app.submission import submitted
from smupar_transfer.app.sweep_config import narrowed
from smupar_transfer.records import (
    Manifest,
    RunRecord,
    RunsFailedError,
    RunSpec,
    RunStore,
    read_manifest,
    write_manifest,
)
from smupar_transfer.sweeps.files import load_sweep, own_file
from smupar_transfer.sweeps.sweep import COORDINATES, Sweep, key_of
from smupar_transfer.theory import InputError

if TYPE_CHECKING:
    from smupar_transfer.sweeps.run_missing import RunContext, Todo

NOT_TOLD = frozenset({"launcher", "results_dir", "tracker", "workers"})
"""Keys that change nothing about what a sweep is."""


def run(config: DictConfig) -> None:
    """Train the missing runs of ``sweep``; write records, tables, figures and a page about the outcome."""
    sweep = load_sweep(config.sweep, config_dir())
    if sweep.kind == COORDINATES:
        raise InputError("sweep", config.sweep, "is a coordinate check", f"run: smupar coordinates {config.sweep}")
    console.introduction(sweep, own_file(config.sweep, config_dir()))
    folder = Path(config.results_dir) / sweep.name
    from smupar_transfer.app.commands import plot

    failed: RunsFailedError | None = None
    try:
        if not train(config, narrowed(sweep, config, words_by_hand()), folder):
            return
    except RunsFailedError as error:
        failed = error
    # what is done gets its page all the same, and the failure is told last
    if failed is None or RunStore(folder).keys() & set(read_manifest(folder).keys):
        plot.publish(folder)
    if failed is not None:
        raise failed
    if sweep.adaptive is not None:
        console.terminal().print(read_manifest(folder).saved)


def train(config: DictConfig, sweep: Sweep, folder: Path) -> bool:
    """Plan, tell what there is to do, and train it, or have a batch system do so.

    Returns:
        Whether it was trained here.

    Raises:
        InputError: a run is impossible, or the folder holds another result; nothing was written.
        RunsFailedError: some runs were given up; all others have records.
    """
    from smupar_transfer.app.cautions import tell_of_runs
    from smupar_transfer.app.sweep_planning import context_of, planner_of
    from smupar_transfer.sweeps import run_missing
    from smupar_transfer.sweeps.overwriting import refuse_to_replace

    context = context_of(config, folder, run_missing.other_trainings(folder))
    planner = planner_of(config, sweep)
    records = {record.key: record for record in RunStore(folder)}  # a damaged one is told before anything is written
    expected = planner.expected(records)
    refuse_to_replace(folder, sweep.kind, records, {spec.key for spec in expected}, planner.possible)
    tell_of_runs(config, expected)
    todo = run_missing.what_to_do(folder, expected, records, context.elsewhere, planner.bound)
    if todo.missing and submitted(config, ["sweep", config.sweep], sweep.name, words_by_hand()):
        return False
    outlook(sweep, todo, records, context)

    def plan(records: Mapping[str, RunRecord]) -> list[RunSpec]:
        """What is needed, told in the folder as well: an interrupted sweep can be plotted."""
        planned = planner.planned(records)
        write_manifest(folder, manifest(config, sweep, planned))
        return planned

    run_missing.train_planned(sweep.name, plan, len(expected), context, records)
    return True


def outlook(sweep: Sweep, todo: Todo, records: Mapping[str, RunRecord], context: RunContext) -> None:
    """Print what there is to do, or that there is nothing, and how long it takes."""
    from smupar_transfer.sweeps import pricing
    from smupar_transfer.training.kernel_fallback import resolved

    if not todo.missing:
        copied = f", {todo.shared} of them as copies of runs that compute the same" if todo.shared else ""
        console.line(
            f"all {len(todo.planned)} runs have records in {todo.folder}{copied}: nothing is trained, tables and "
            "figures are drawn again; to run them yourself, give results_dir=DIR"
        )
        return
    console.line(str(todo))
    console.stated_cost(sweep)
    execution = resolved(context.execution)
    missing = {spec.key for spec in todo.missing}
    groups = pricing.group(todo.planned, missing, pricing.comparable(records.values(), execution))
    price = pricing.price([group for group in groups if group.missing], context.data, execution)
    console.line(f"estimated time: {console.time_left(price, context.workers)}")


def manifest(config: DictConfig, sweep: Sweep, planned: list[RunSpec], command: str = "sweep") -> Manifest:
    """What the sweep is, for those who read its folder later."""
    from smupar_transfer.app.base import resolve_base

    given = [word for word in words_by_hand() if key_of(word) not in NOT_TOLD]
    proxy = resolve_base(config).hparams
    return Manifest(
        name=sweep.name,
        question=sweep.question,
        expected=sweep.expected,
        command=shlex.join(["smupar", command, config.sweep, *own_flags(), *given]),
        keys=tuple(spec.key for spec in planned),
        proxy_log2_learning_rate=math.log2(proxy.learning_rate),
        proxy_hparams=vars(proxy),
        kind=sweep.kind,
        swept=sweep.swept,
        axis=sweep.axis,
        tied=sweep.tied,
        reference=sweep.reference,
        full_grid=None if sweep.adaptive is None else sweep.count(),
        claim=sweep.claim,
    )
