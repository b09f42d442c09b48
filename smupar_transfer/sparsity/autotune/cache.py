"""Timings that outlive the process: one file a machine, written whole, measured by one process at a time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from smupar_transfer.records import LARGEST_PAGE, load_json, read_text, write_atomically
from smupar_transfer.sparsity.autotune.timing import Timing
from smupar_transfer.theory import InputError

Timings = dict[str, Timing]

PATIENCE_SECONDS = 60.0
"""With another process that measures; long after, it must be stuck."""


def remembered(
    path: Path,
    key: str,
    measure: Callable[[dict[str, Timings]], Timings],
    trusts: Callable[[dict[str, Timings]], bool] = lambda known: True,  # noqa: ARG005 - in this form it is asked
) -> Timings:
    """Timings of ``key`` from a file, which is added to where they are missing, or not trusted.

    Processes that miss at once wait for the first. A damaged file counts as empty. Where the file cannot be written,
    timings are measured all the same, and forgotten.

    Args:
        path: The file.
        key: What is asked for.
        measure: Measures it, given everything that the file holds.
        trusts: Whether what the file holds for ``key`` may be used, given everything that it holds.
    """
    known = read(path)
    if key in known and trusts(known):
        return known[key]
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, NotImplementedError):  # a folder, or a file system, that takes no lock
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(path.with_suffix(".lock"), timeout=PATIENCE_SECONDS))
        known = read(path)
        # read again: another process may have measured it while this one waited
        if not (key in known and trusts(known)):
            known[key] = measure(known)
            with contextlib.suppress(InputError):
                write_atomically(path, _text(known))
        return known[key]


def _text(known: dict[str, Timings]) -> str:
    plain = {key: {name: asdict(timing) for name, timing in row.items()} for key, row in sorted(known.items())}
    return json.dumps(plain, indent=1)


def read(path: Path) -> dict[str, Timings]:
    """All timings of a file; none where it is absent or damaged: what it held is measured again."""
    try:
        plain = load_json(read_text(path, "cache", largest=LARGEST_PAGE))
        return {key: {name: _timing(**fields) for name, fields in row.items()} for key, row in plain.items() if row}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _timing(products: float, update: float, structure: float, spread: float | None, measured: str) -> Timing:
    if not (products >= 0 and update >= 0 and structure >= 0 and (spread is None or spread >= 0)):
        raise ValueError("a timing is negative")
    if datetime.fromisoformat(measured).tzinfo is None:
        raise ValueError("a date without its zone")
    return Timing(products, update, structure, spread, measured)
