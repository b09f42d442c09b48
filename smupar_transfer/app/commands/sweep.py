"""``smupar sweep NAME``: run what is missing of a sweep, then analyse and draw."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import show, specs
from smupar_transfer.app.given import config_dir, words_by_hand
from smupar_transfer.app.planner import Planner
from smupar_transfer.app.runs import Means, other_records, train_planned
from smupar_transfer.app.sweeps import COORDINATES, Sweep, load_sweep, narrowed
from smupar_transfer.records import (
    Manifest,
    RunRecord,
    RunSpec,
    RunStore,
    read_manifest,
    write_manifest,
)
from smupar_transfer.theory import InputError


def run(config: DictConfig) -> None:
    """Train the missing runs of ``sweep``; write records, tables, figures and a page about the outcome."""
    sweep = load_sweep(config.sweep, config_dir())
    if sweep.kind == COORDINATES:
        raise InputError("sweep", config.sweep, "is a coordinate check", f"run: smupar coordinates {config.sweep}")
    sweep = narrowed(sweep, config, words_by_hand())
    planner = Planner(config, sweep)
    folder = Path(config.results_dir) / sweep.name
    means = Means(
        specs.data_request(config), specs.execution(config), folder, specs.workers(config), other_records(folder)
    )
    records = {record.key: record for record in RunStore(folder)}  # a damaged one is told before anything is written

    def plan(records: Mapping[str, RunRecord]) -> list[RunSpec]:
        """What is needed, told in the folder as well: an interrupted sweep can be plotted."""
        planned = planner.planned(records)
        write_manifest(folder, manifest(config, sweep, planned))
        return planned

    train_planned(sweep.name, plan, len(planner.expected(records)), means)
    from smupar_transfer.app.commands import plot

    plot.publish(folder)
    if sweep.adaptive is not None:
        show.console().print(read_manifest(folder).saved)


def manifest(config: DictConfig, sweep: Sweep, planned: list[RunSpec], command: str = "sweep") -> Manifest:
    """What the sweep is, for those who read its folder later."""
    given = [word for word in words_by_hand() if not word.startswith(("results_dir=", "workers="))]
    folder = config_dir()
    own_folder = [] if folder is None else ["--config-dir", folder]
    proxy = specs.hyperparameters(config)
    return Manifest(
        name=sweep.name,
        question=sweep.question,
        expected=sweep.expected,
        command=shlex.join(["smupar", command, config.sweep, *own_folder, *given]),
        keys=tuple(spec.key for spec in planned),
        proxy_log2_learning_rate=math.log2(proxy.learning_rate),
        proxy_hparams=vars(proxy),
        kind=sweep.kind,
        swept=sweep.swept,
        axis=sweep.axis,
        tied=sweep.tied,
        reference=sweep.reference,
        full_grid=None if sweep.adaptive is None else sum(1 for _ in sweep.points()),
    )
