"""From a sweep and a configuration to the planner of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.base import Base, require_source, resolve_base, with_base
from smupar_transfer.app.sweep_config import Points, typed
from smupar_transfer.launchers import find_launcher
from smupar_transfer.records import RunSpec
from smupar_transfer.sweeps.axes import keys_of
from smupar_transfer.sweeps.planner import Planner
from smupar_transfer.sweeps.run_missing import Elsewhere, RunContext
from smupar_transfer.sweeps.sweep import Sweep
from smupar_transfer.transfer import Source


def planner_of(config: DictConfig, sweep: Sweep) -> Planner:
    """The planner of a sweep whose runs share a configuration; a tuned point counts, and axes of the sweep win over it.

    Raises:
        InputError: a run is impossible.
    """
    sweep, base = typed(sweep, config), resolve_base(config)
    points = Points(with_base(config, base), {key for grid in sweep.grids for key in keys_of(grid)})
    axes = frozenset(key for grid in sweep.grids for key in grid)
    shared = Base(base.hparams, None, ())  # axes of the sweep win over it: see ``Planner``

    def make(point: Mapping[str, Any]) -> RunSpec:
        spec = config_to_spec.target_spec(points.at(point), shared)
        if base.tuned is not None:  # what a grid varies on purpose need not be as the proxy was tuned
            require_source(config, Source.of(base.tuned), spec, axes)
        return spec

    return Planner(sweep, make, base.hparams, console.tracked)


def context_of(config: DictConfig, folder: Path, elsewhere: Elsewhere = dict) -> RunContext:
    """How a command runs what is missing in a folder: its progress is shown on the terminal.

    Raises:
        InputError: a value is impossible.
    """
    find_launcher(config.launcher)  # a slip is told at once, even where nothing is missing
    return RunContext(
        config_to_spec.data_request(config),
        config_to_spec.execution(config),
        folder,
        config_to_spec.workers(config),
        elsewhere,
        console.watch,
        config_to_spec.tracking(config, folder),
        config.launcher,
    )
