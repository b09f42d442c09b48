"""``smupar plot NAME``: redraw a sweep or a coordinate check from its stored records, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import console
from smupar_transfer.records import (
    CoordinateRecord,
    CoordinateStore,
    Manifest,
    RunRecord,
    RunStore,
    Store,
    read_manifest,
    result_names,
)
from smupar_transfer.reporting import provenance
from smupar_transfer.reporting import publish as publishing
from smupar_transfer.reporting.questions import outcome_of, outcome_of_check
from smupar_transfer.sweeps.files import FILE_ENDINGS, shipped_sweeps, sweep_name
from smupar_transfer.sweeps.sweep import COORDINATES
from smupar_transfer.theory import InputError, did_you_mean

R = TypeVar("R", RunRecord, CoordinateRecord)


def run(config: DictConfig) -> None:
    """Draw and tabulate ``results/NAME`` again."""
    _expect_name(config)
    folder = Path(config.results_dir) / sweep_name(config.sweep)
    _expect_result(folder, config.sweep)
    publish(folder)


def _expect_name(config: DictConfig) -> None:
    """Refuse to draw nothing in particular, and say what there is to draw.

    Raises:
        InputError: no result is named.
    """
    if OmegaConf.is_missing(config, "sweep"):
        names = result_names(Path(config.results_dir))
        there = f"name one: {', '.join(names)}" if names else f"there are none yet in {config.results_dir}"
        raise InputError("sweep", "", "names no result", there)


def _expect_result(folder: Path, sweep: str) -> None:
    """Tell a slip from a sweep that has not been run.

    Raises:
        InputError: the folder holds no result, and its name is that of no sweep that comes with the package.
    """
    if "/" in sweep and folder.name in result_names(Path(sweep).parent):
        hint = f"give its name and results_dir={Path(sweep).parent}"
        raise InputError("sweep", sweep, f"is the folder of the result {folder.name}", hint)
    results = result_names(folder.parent)
    if "/" in sweep and not sweep.endswith(FILE_ENDINGS) and folder.name not in results:
        there = f"is a path, and there is no {folder}"
        raise InputError("sweep", sweep, there, f"give a name: smupar plot {folder.name} results_dir=DIR")
    known = sorted({*results, *shipped_sweeps()})
    if folder.name in known:
        return
    hint = did_you_mean(folder.name, known, f"there are {', '.join(results) or 'none yet'}")
    raise InputError("sweep", folder.name, f"has no results in {folder}", hint)


def publish(folder: Path) -> None:
    """Write tables, figures and the pages of a result from what is stored of it, and print the outcome.

    Raises:
        InputError: the folder holds no result, or no finished run of it.
    """
    manifest = read_manifest(folder)
    if manifest.kind == COORDINATES:
        checks = stored(manifest, CoordinateStore(folder))
        about, outcome = provenance.of_coordinates(manifest, checks), outcome_of_check(manifest, checks)
    else:
        runs = stored(manifest, RunStore(folder))
        about, outcome = provenance.of_sweep(manifest, runs), outcome_of(manifest, runs)
    publishing.publish(folder, about, outcome)
    console.outcome(outcome)
    console.terminal().print(f"\nwrote {folder / 'report.html'}")


def stored(manifest: Manifest, store: Store[R]) -> list[R]:
    """Finished runs of a result, at least one.

    Raises:
        InputError: there is none.
    """
    # a folder may hold more than its sweep asked for, as from a wider one before
    wanted = set(manifest.keys)
    records = [record for record in store if record.key in wanted]
    if not records:
        command = COORDINATES if manifest.kind == COORDINATES else "sweep"
        raise InputError("sweep", manifest.name, "has no finished run", f"run: smupar {command} {manifest.name}")
    return records
