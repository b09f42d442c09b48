"""May a command write into a folder? Not where pages, tables and figures of others would be lost without a word."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from smupar_transfer.records import MANIFEST_FILE, REMARKS_FILE, CoordinateStore, Manifest, RunStore, read_manifest
from smupar_transfer.sweeps.sweep import COORDINATES
from smupar_transfer.theory import InputError

OURS = {RunStore.file, RunStore.pending, CoordinateStore.file, CoordinateStore.pending, REMARKS_FILE}
"""What may lie in a folder before the first run: records that were copied there, and remarks."""

LEFT_BY = {"sweep": MANIFEST_FILE, "train": "record.json", "tune": "trials.csv", "demo": "demo.png"}
"""A file that each command leaves beside its page, and no other does."""


def refuse_other_page(folder: Path, command: str, key: str) -> None:
    """Refuse a folder that has the page of another command.

    Args:
        folder: The folder of the result.
        command: The command that shall write there.
        key: The configuration key that names the folder.

    Raises:
        InputError: the page would be lost; nothing was written.
    """
    for other, file in LEFT_BY.items():
        if other != command and (folder / file).exists():
            problem = f"{folder} holds a result of smupar {other}; its page would be lost"
            raise InputError(key, folder.name, problem, "choose another name, or another results_dir")


def refuse_to_replace(
    folder: Path,
    kind: str,
    stored: Collection[str],
    planned: Collection[str],
    possible: Callable[[], Collection[str]] = tuple,
) -> None:
    """Refuse a folder that holds finished runs of a sweep, or of a check, that are not among those to come.

    A sweep that goes on, or that has become larger, has all of them; one that was narrowed or changed has not.

    Args:
        folder: The folder of the result.
        kind: The kind of the sweep that shall write there.
        stored: The keys of the records in the folder.
        planned: The keys of the runs that the sweep is known to need.
        possible: All keys that it may come to need; asked only where ``planned`` is not enough.

    Raises:
        InputError: something would be lost; nothing was written.
    """
    if not (folder / MANIFEST_FILE).exists():
        _refuse_other_commands(folder)
        return
    earlier = _earlier(folder)
    if earlier is not None and (earlier.kind == COORDINATES) != (kind == COORDINATES):
        raise _lost(folder, "holds the result of another command", earlier)
    # without a manifest that can be read nobody knows which records the page shows: all of them count
    others = set(stored) if earlier is None else set(earlier.keys) & set(stored)
    others -= set(planned)
    # asked last, since it expands the full grid
    if others and (others := others - set(possible())):
        raise _lost(folder, f"holds {len(others):,} finished runs that are not part of this sweep", earlier)


def _earlier(folder: Path) -> Manifest | None:
    """What was run there; None if that is damaged, or of another version, and shall be written anew."""
    try:
        return read_manifest(folder)
    except InputError:
        return None


def _lost(folder: Path, problem: str, earlier: Manifest | None) -> InputError:
    made = "" if earlier is None else f" (made by: {earlier.command})"
    what = f"{folder} {problem}{made}; its tables and figures would be lost"
    return InputError("results_dir", str(folder.parent), what, _ways_out(folder))


def _refuse_other_commands(folder: Path) -> None:
    """Refuse a folder without a sweep that has more than records and remarks in it, such as that of a study."""
    names = sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))
    if strangers := [name for name in names if name not in OURS]:
        what = f"{folder} holds {strangers[0]}, which no sweep has written"
        raise InputError("results_dir", str(folder.parent), what, _ways_out(folder))


def _ways_out(folder: Path) -> str:
    return f"give another results_dir, or move {folder} away"
