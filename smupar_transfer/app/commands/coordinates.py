"""``smupar coordinates [NAME]``: do activations, gradients and updates keep their size across density or width?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import console
from smupar_transfer.app.cautions import tell_of_runs
from smupar_transfer.app.commands.plot import publish
from smupar_transfer.app.commands.sweep import manifest
from smupar_transfer.app.endings import CheckFailedError, CheckUndecidedError
from smupar_transfer.app.overrides import config_dir, words_by_hand, words_given
from smupar_transfer.app.submission import submitted
from smupar_transfer.app.sweep_config import narrowed
from smupar_transfer.app.sweep_planning import context_of, planner_of
from smupar_transfer.model import outline, plan_of
from smupar_transfer.records import (
    CoordinateRecord,
    CoordinateStore,
    ModuleSpec,
    RunSpec,
    read_manifest,
    write_manifest,
)
from smupar_transfer.reporting.coordinate_sentences import described, title, ways_out
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.statistics.coordinate_slopes import CHECK_AXES, Verdict, require_one_axis, scale_of
from smupar_transfer.statistics.coordinate_verdicts import Judgement, judge
from smupar_transfer.sweeps.added_seeds import Extension, SeedPlan, plan_seeds
from smupar_transfer.sweeps.files import load_sweep
from smupar_transfer.sweeps.overwriting import refuse_to_replace
from smupar_transfer.sweeps.run_missing import RunContext, finish, measure_missing
from smupar_transfer.sweeps.sweep import COORDINATES, Sweep, key_of
from smupar_transfer.theory import PARAMETRIZATIONS, InputError, Role


def run(config: DictConfig) -> None:
    """Measure what is missing of a check; write records, tables, figures and a page; hold it to what is required.

    Raises:
        CheckFailedError: a parametrization of ``require`` drifts.
        CheckUndecidedError: none drifts, but one is open, and no more seeds may be added or they would not help.
    """
    sweep = load_sweep(config.sweep, config_dir())
    if sweep.kind != COORDINATES or sweep.axis not in CHECK_AXES:
        raise InputError("sweep", config.sweep, "is no coordinate check", "see `smupar sweep`")
    sweep = narrowed(sweep, config, words_by_hand())
    planned = planner_of(config, sweep).planned({})
    _require_slopes(planned, sweep.axis)
    required = _required(config, planned)
    if config.max_seeds < 1:
        raise InputError("max_seeds", config.max_seeds, "must be at least 1", "1 adds no seed")
    tell_of_runs(config, planned)
    folder = Path(config.results_dir) / sweep.name
    stored = list(CoordinateStore(folder))  # a damaged one is told before anything is written
    refuse_to_replace(
        folder,
        sweep.kind,
        {record.key for record in stored},
        {spec.key for spec in planned},
        lambda: _added_before(folder, stored, planned),
    )
    if submitted(config, ["coordinates", config.sweep], sweep.name, words_by_hand()):
        return
    context = context_of(config, folder)
    plan, records = _measured(config, sweep, planned, required, context)
    publish(folder)
    _hold(judge([records[spec.key] for spec in plan.specs], sweep.axis, plan.added), required, config, sweep.axis)


def _added_before(folder: Path, stored: Sequence[CoordinateRecord], planned: Sequence[RunSpec]) -> set[str]:
    """Keys of records that this check, made before, added seeds for: it may find that it needs them again."""
    added = read_manifest(folder).added_seeds
    # by network: a seed that was added to one that is no longer planned is not needed again
    networks = {replace(spec, seed=0) for spec in planned}
    return {
        record.key
        for record in stored
        if record.spec.seed in added.get(record.spec.parametrization, ()) and replace(record.spec, seed=0) in networks
    }


def _measured(
    config: DictConfig, sweep: Sweep, planned: list[RunSpec], required: set[str], context: RunContext
) -> tuple[SeedPlan, Mapping[str, CoordinateRecord]]:
    """Measure the planned runs, and more seeds as long as they are needed and allowed; the manifest tells of each."""
    told = 0
    while True:
        records = {record.key: record for record in CoordinateStore(context.folder)}  # a damaged one is told at once
        plan = plan_seeds(planned, records, sweep.axis, required, config.max_seeds)
        for extension in plan.extensions[told:]:
            console.terminal().print(_told(extension, sweep.axis), markup=False)
        told = len(plan.extensions)
        # before measuring: a check that is interrupted knows the seeds that it added
        about = manifest(config, sweep, list(plan.specs), COORDINATES)
        write_manifest(context.folder, replace(about, added_seeds=plan.added))
        if all(spec.key in records for spec in plan.specs):
            # a command that was killed may have measured all and gathered none
            finish(CoordinateStore(context.folder))
            return plan, records
        measure_missing(sweep.name, plan.specs, context)


def _told(extension: Extension, axis: str) -> str:
    """What was added, and why."""
    item, seeds = extension.judgement, ", ".join(map(str, extension.seeds))
    return f"{title(item)} {described(item, axis)}: {len(extension.seeds)} seeds are added ({seeds})"


def _hold(judgements: Sequence[Judgement], required: set[str], config: DictConfig, axis: str) -> None:
    """Compare verdicts with what is required of them.

    Raises:
        CheckFailedError: a parametrization of ``required`` drifts.
        CheckUndecidedError: none drifts, but one is open.
    """
    if not required:
        measured = ", ".join(item.parametrization for item in judgements)
        console.terminal().print(f"nothing is required of {measured}: the exit code tells nothing about it")
    lacking = [item for item in judgements if item.parametrization in required and item.verdict is not Verdict.INSIDE]
    said = "; ".join(f"{title(item)} {described(item, axis)}" for item in lacking)
    if any(item.verdict is Verdict.OUTSIDE for item in lacking):
        raise CheckFailedError(f"required, but {said}")
    if lacking:
        ways = dict.fromkeys(way for item in lacking for way in ways_out(item, config.max_seeds))
        raise CheckUndecidedError(f"required, but undecided: {said}; what would decide it: {', and '.join(ways)}")


def _require_slopes(planned: Sequence[RunSpec], axis: str) -> None:
    """Check, before anything is measured, that there will be slopes, and that they will be about the axis alone.

    Raises:
        InputError: runs differ in more than the axis, a parametrization has a single position on it, or two densities
            keep as many weights as each other.
    """
    require_one_axis(planned, axis)
    for name in dict.fromkeys(spec.parametrization for spec in planned):
        scales = {scale_of(spec, axis): spec for spec in planned if spec.parametrization == name}
        if len(scales) < 2:
            (value,) = scales
            problem = f"has a single value for {name}, {value:g}: there is no slope"
            raise InputError("axis", axis, problem, "measure at two at least")
        kept: dict[tuple[int, ...], float] = {}
        for scale, spec in scales.items():
            # weights are whole: densities that lie close together can keep the same number
            other = kept.setdefault(_weights(spec), scale)
            if other != scale:
                problem = f"has {other:g} and {scale:g}, which keep the same numbers of weights: there is no slope"
                raise InputError("axis", axis, problem, "leave one of them out")


def _weights(spec: RunSpec) -> tuple[int, ...]:
    """Hidden weights that exist, a number a layer."""
    if isinstance(spec.model, ModuleSpec):
        rows = plan_of(outline(spec), spec)
        return tuple(round(row.density * math.prod(row.shape)) for row in rows if row.role is Role.HIDDEN)
    return tuple(module.nonzero for module in outline(spec).modules() if isinstance(module, SparseLinear))


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
    # the default requires what theory promises, also of a check that measures less
    by_hand = any(key_of(word) == "require" for word in words_given())
    if by_hand and names - measured:
        raise InputError(
            "require", min(names - measured), "is not measured", f"there are {', '.join(sorted(measured))}"
        )
    return names & measured
