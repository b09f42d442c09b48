"""``smupar plot NAME``: redraw a sweep from its stored records, without torch."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import show
from smupar_transfer.app.coordinates_page import publish_coordinates
from smupar_transfer.app.sweeps import sweep_name
from smupar_transfer.records import RunStore, read_manifest
from smupar_transfer.theory import InputError
from smupar_transfer.verification import provenance, publishing
from smupar_transfer.verification.kinds import outcome_of


def run(config: DictConfig) -> None:
    """Draw and tabulate ``results/NAME`` again."""
    folder = Path(config.results_dir) / sweep_name(config.sweep)
    if read_manifest(folder).kind == "coordinates":
        publish_coordinates(folder)
        return
    publish(folder)


def publish(folder: Path) -> None:
    """Write tables, figures and the pages of a sweep from what is stored of it, and print the outcome.

    Raises:
        InputError: the folder holds no sweep, or no finished run of it.
    """
    manifest = read_manifest(folder)
    wanted = set(manifest.keys)
    records = [record for record in RunStore(folder) if record.key in wanted]
    if not records:
        raise InputError("sweep", manifest.name, "has no finished run", f"run: smupar sweep {manifest.name}")
    outcome = outcome_of(manifest, records)
    publishing.publish(folder, provenance.of_sweep(manifest, records), outcome)
    show.outcome(outcome)
    show.console().print(f"\nwrote {folder / 'report.html'}")
