"""Writing and printing the outcome of a coordinate check, without torch."""

from __future__ import annotations

from pathlib import Path

from smupar_transfer.app import show
from smupar_transfer.records import CoordinateRecord, CoordinateStore, Manifest, read_manifest
from smupar_transfer.theory import InputError
from smupar_transfer.verification import provenance, publishing
from smupar_transfer.verification.coordinates import outcome


def stored_check(folder: Path) -> tuple[Manifest, list[CoordinateRecord]]:
    """What a folder holds of a check: the manifest, and the records of its runs.

    Raises:
        InputError: the folder holds no sweep, or no finished run of it.
    """
    manifest = read_manifest(folder)
    wanted = set(manifest.keys)
    records = [record for record in CoordinateStore(folder) if record.key in wanted]
    if not records:
        raise InputError("sweep", manifest.name, "has no finished run", f"run: smupar coordinates {manifest.name}")
    return manifest, records


def publish_coordinates(folder: Path) -> None:
    """Write tables, figures and the pages of a check from what is stored of it, and print the outcome.

    Raises:
        InputError: the folder holds no sweep, or no finished run of it.
    """
    manifest, records = stored_check(folder)
    result = outcome(manifest, records)
    publishing.publish(folder, provenance.of_coordinates(manifest, records), result)
    show.outcome(result)
    show.console().print(f"\nwrote {folder / 'report.html'}")
