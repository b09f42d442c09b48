"""``smupar sweep NAME``: run what is missing of a sweep, then analyse and draw."""

from __future__ import annotations

import math
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from smupar_transfer.app import specs
from smupar_transfer.app.runs import train_missing
from smupar_transfer.app.sweeps import Sweep, at_point, load_sweep
from smupar_transfer.records import Manifest, RunSpec, RunStore, write_manifest


def run(config: DictConfig) -> None:
    """Train the missing runs of ``sweep``; write records, tables, figures and a page about the outcome."""
    sweep = load_sweep(config.sweep, config_dir())
    planned = sweep_specs(config, sweep)
    execution, workers = specs.execution(config), specs.workers(config)
    folder = Path(config.results_dir) / sweep.name
    for _ in RunStore(folder):  # a damaged record is told before anything is written
        pass
    write_manifest(folder, manifest(config, sweep, planned))
    train_missing(sweep.name, planned, specs.data_request(config), execution, folder, workers)
    from smupar_transfer.app.commands import plot

    plot.redraw(folder)


def manifest(config: DictConfig, sweep: Sweep, planned: list[RunSpec]) -> Manifest:
    """What the sweep is, for those who read its folder later."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    own = {*sweep.overrides, f"sweep={config.sweep}"}
    given = [word for word in words if word not in own and not word.startswith(("results_dir=", "workers="))]
    folder = config_dir()
    own_folder = [] if folder is None else ["--config-dir", folder]
    command = " ".join(["smupar sweep", config.sweep, *own_folder, *given])
    return Manifest(
        name=sweep.name,
        question=sweep.question,
        expected=sweep.expected,
        command=command,
        keys=tuple(spec.key for spec in planned),
        proxy_log2_learning_rate=math.log2(specs.hyperparameters(config).learning_rate),
    )


def sweep_specs(config: DictConfig, sweep: Sweep) -> list[RunSpec]:
    """Every run of a sweep."""
    base = specs.with_tuned_hyperparameters(config)
    return [specs.target_spec(at_point(base, point)) for point in sweep.points()]


def config_dir() -> str | None:
    """The person's own folder of configurations, if they gave one."""
    if not HydraConfig.initialized():
        return None
    sources = HydraConfig.get().runtime.config_sources
    return next((source.path for source in sources if source.provider == "command-line"), None)
