"""What a file is: people give the file of one step where that of another belongs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from smupar_transfer.records.manifest import MANIFEST_FILE
from smupar_transfer.records.reading import regular
from smupar_transfer.records.store import PENDING_FOLDER
from smupar_transfer.theory import InputError

HEAD_BYTES = 2**16
"""Read of a file to tell what it is; a checkpoint may be larger than memory."""


class FileKind(StrEnum):
    """Files that people give to commands; the value is the configuration key that takes one, where there is one."""

    TUNED = "tuned"
    RECIPE = "recipe"
    SWEEP = "sweep"
    MANIFEST = "manifest"
    RECORDS = "records"
    CONFIGURATION = "configuration"
    DATABASE = "database"
    CHECKPOINT = "checkpoint"
    FOLDER = "folder"
    URL = "url"


KIND_WORDS = {
    FileKind.TUNED: "a tuned point",
    FileKind.RECIPE: "a recipe",
    FileKind.SWEEP: "a sweep file",
    FileKind.MANIFEST: "the description of a sweep's results",
    FileKind.RECORDS: "the records of finished runs",
    FileKind.CONFIGURATION: "a configuration",
    FileKind.DATABASE: "the database of a study",
    FileKind.CHECKPOINT: "a checkpoint",
    FileKind.FOLDER: "a folder",
    FileKind.URL: "the address of a database",
}

MADE_BY = {FileKind.TUNED: "`smupar tune` writes one", FileKind.RECIPE: "`smupar transfer` writes one"}
"""Where people get a file from that they do not have."""

_KEYS = (
    (FileKind.TUNED, {"hparams", "trials", "proxy"}),
    (FileKind.RECIPE, {"hparams", "roles", "base_width"}),
    (FileKind.MANIFEST, {"question", "command", "keys"}),
    (FileKind.SWEEP, {"question", "grids"}),
    (FileKind.RECORDS, {"key", "spec"}),
    (FileKind.CONFIGURATION, {"hparams", "model", "results_dir"}),
    (FileKind.CONFIGURATION, {"defaults"}),
)
"""Keys by which text files are told apart; the first row of which a file has all is what it is."""

# one slash: a path has only one left of the two or more in an address
_URL = re.compile(r"[a-z][a-z0-9+]+:/", re.IGNORECASE)
_BARE_KEY = re.compile(r"^([-\w]+):", re.MULTILINE)
_QUOTED_KEY = re.compile(r"\"([-\w]+)\":")


def identify(path: Path) -> FileKind | None:
    """What a path leads to, from the first bytes; None where that is not known, or there is nothing."""
    try:
        if path.is_dir():
            return FileKind.FOLDER
        with regular(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        # nothing of that name can be read, so that it may be an address; a file of such a name comes first
        return FileKind.URL if _URL.match(str(path)) else None
    # by content, not by name: people rename files, and a database or a checkpoint is no text to look for keys in
    if head.startswith(b"SQLite format 3\0"):
        return FileKind.DATABASE
    if head.startswith(b"PK\x03\x04"):  # torch.save writes a zip archive
        return FileKind.CHECKPOINT
    text = head.decode("utf-8", errors="replace")
    # JSON has all of its keys in quotes; those of YAML that count stand at the margin, bare.
    pattern = _QUOTED_KEY if text.lstrip().startswith("{") else _BARE_KEY
    names = set(pattern.findall(text))
    return next((kind for kind, keys in _KEYS if keys <= names), None)


def refuse_other(path: Path, key: FileKind) -> None:
    """Refuse a file that is known to be of another kind than a key takes; what is not known passes.

    Args:
        path: The file that a person gave.
        key: The configuration key: ``tuned``, ``recipe`` or ``sweep``.

    Raises:
        InputError: the file is of another kind; the message says which, and what to do with it.
    """
    kind = identify(path)
    if kind is None or kind is key:
        return
    raise InputError(key, str(path), f"is {KIND_WORDS[kind]}, not {KIND_WORDS[key]}", _way_out(kind, key, path))


def _way_out(kind: FileKind, key: FileKind, path: Path) -> str:
    """What a person can do with a file of another kind, or which file they may have meant."""
    ways: dict[FileKind, Callable[[], str]] = {
        FileKind.TUNED: lambda: f"run: smupar transfer {_word('tuned', path)}",
        FileKind.RECIPE: lambda: f"run: smupar train {_word('recipe', path)}",
        FileKind.SWEEP: lambda: f"run: smupar sweep {shlex.quote(str(path))}",
        FileKind.MANIFEST: lambda: f"run: {_plot(path.parent)}",
        FileKind.RECORDS: lambda: _of_records(path),
        FileKind.CONFIGURATION: lambda: "give its keys on the command line, or its folder as --config-dir",
        FileKind.DATABASE: lambda: _beside(path),
        FileKind.CHECKPOINT: lambda: "smupar train finds its checkpoints by itself: give the recipe again",
        FileKind.FOLDER: lambda: _inside(path, key),
        FileKind.URL: lambda: "smupar tune writes the best point to a file: give the path of that tuned.yaml",
    }
    return ways[kind]()


def _plot(folder: Path) -> str:
    """The command that draws a result again."""
    where = "" if str(folder.parent) == "results" else f" {_word('results_dir', folder.parent)}"
    return f"smupar plot {shlex.quote(folder.resolve().name)}{where}"


def _of_records(path: Path) -> str:
    folder = path.parent.parent if path.parent.name == PENDING_FOLDER else path.parent
    return f"run: {_plot(folder)}" if (folder / MANIFEST_FILE).exists() else "give what these runs were trained from"


def _beside(database: Path) -> str:
    """The tuned point that a study has left."""
    tuned = database.with_name("tuned.yaml")
    return f"give {_word('tuned', tuned)}" if tuned.exists() else "run smupar tune again, which writes tuned.yaml"


def _inside(folder: Path, key: FileKind) -> str:
    """The file of a folder that a key takes, or how a result is named."""
    if key is FileKind.SWEEP and (folder / MANIFEST_FILE).exists():
        return f"give the name of its sweep: {folder.resolve().name}"
    names = sorted(file.name for file in folder.glob("*.yaml") if identify(file) is key)
    return f"give {_word(key, folder / names[0])}" if names else "give the path of a file"


def _word(key: str, path: Path) -> str:
    return shlex.quote(f"{key}={path}")
