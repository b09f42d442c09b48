"""``smupar coordinates [NAME]``: do activations, gradients and updates keep their size across density or width?"""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from smupar_transfer.app import specs
from smupar_transfer.app.cautions import tell_of_runs
from smupar_transfer.app.commands.plot import publish, stored
from smupar_transfer.app.commands.sweep import manifest
from smupar_transfer.app.continuing import refuse_to_replace
from smupar_transfer.app.endings import CheckFailedError
from smupar_transfer.app.given import config_dir, words_by_hand
from smupar_transfer.app.planner import Planner
from smupar_transfer.app.runs import Means, measure_missing
from smupar_transfer.app.sweep_definition import COORDINATES
from smupar_transfer.app.sweeps import load_sweep, narrowed
from smupar_transfer.records import CoordinateStore, RunSpec, write_manifest
from smupar_transfer.theory import PARAMETRIZATIONS, InputError
from smupar_transfer.verification.coordinates import described, judged
from smupar_transfer.verification.slopes import AXES, Verdict


def run(config: DictConfig) -> None:
    """Measure what is missing of a check; write records, tables, figures and a page; hold it to what is required.

    Raises:
        CheckFailedError: a parametrization of ``require`` does not stay put.
    """
    sweep = load_sweep(config.sweep, config_dir())
    if sweep.kind != COORDINATES or sweep.axis not in AXES:
        raise InputError("sweep", config.sweep, "is no coordinate check", "see `smupar sweep`")
    sweep = narrowed(sweep, config, words_by_hand())
    planned = Planner(config, sweep).planned({})
    if len({(spec.model.width, spec.sparsity.density) for spec in planned}) < 2:
        raise InputError("axis", sweep.axis, "has a single value: there is no slope", "measure at two at least")
    required = _required(config, planned)
    tell_of_runs(config, planned)
    folder = Path(config.results_dir) / sweep.name
    known = {record.key for record in CoordinateStore(folder)}  # a damaged one is told before anything is written
    refuse_to_replace(folder, sweep.kind, known, {spec.key for spec in planned})
    means = Means(specs.data_request(config), specs.execution(config), folder, specs.workers(config))
    described_as = manifest(config, sweep, planned, COORDINATES)
    write_manifest(folder, described_as)
    measure_missing(sweep.name, planned, means)
    publish(folder)
    failed = [
        f"{PARAMETRIZATIONS[item.parametrization].title} {described(item, sweep.axis)}"
        for item in judged(described_as, stored(described_as, CoordinateStore(folder)))
        if item.parametrization in required and item.verdict is not Verdict.INSIDE
    ]
    if failed:
        raise CheckFailedError(f"required, but {'; '.join(failed)}")


def _required(config: DictConfig, planned: list[RunSpec]) -> set[str]:
    """Parametrizations that must pass; those of the default count only where they are measured.

    Raises:
        InputError: there is no parametrization of that name, or a person requires one that is not measured.
    """
    unknown = sorted(set(config.require) - PARAMETRIZATIONS.keys())
    if unknown:
        raise InputError("require", unknown[0], f"is not one of {', '.join(PARAMETRIZATIONS)}")
    names = set(config.require)
    measured = {spec.parametrization for spec in planned}
    by_hand = HydraConfig.initialized() and any(
        word.startswith("require=") for word in HydraConfig.get().overrides.task
    )
    if by_hand and names - measured:
        raise InputError(
            "require", min(names - measured), "is not measured", f"there are {', '.join(sorted(measured))}"
        )
    return names & measured
