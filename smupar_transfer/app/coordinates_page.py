"""Writing and printing the outcome of a coordinate check, without torch."""

from __future__ import annotations

from pathlib import Path

from smupar_transfer.app import show
from smupar_transfer.records import CoordinateRecord, CoordinateStore, Manifest, read_manifest, write_atomically
from smupar_transfer.theory import InputError
from smupar_transfer.verification.coordinates import outcome, render_coordinates_page
from smupar_transfer.verification.figures.style import save


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
    """Write tables, figures and the page of a check from what is stored of it, and print the outcome.

    Raises:
        InputError: the folder holds no sweep, or no finished run of it.
    """
    manifest, records = stored_check(folder)
    result = outcome(manifest, records)
    for table in result.tables:
        write_atomically(folder / f"{table.name}.csv", table.frame.to_csv(index=False, float_format="%.6g"))
        if table.rows:
            show.console().print(show.table(table.title, table.columns, table.rows), "")
    for picture in result.pictures:
        save(picture.figure, folder / picture.name)
    write_atomically(folder / "README.md", render_coordinates_page(manifest, records, result))
    show.console().print(f"{result.sentence}\n{result.verdict}\n\nwrote {folder}")
