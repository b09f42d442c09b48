"""What a sweep under ``results/`` is: its question, its runs, the command that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from smupar_transfer.records.design import AXES, CLAIMS, SWEPT_BY_KIND, Design
from smupar_transfer.records.files import from_plain, to_plain, write_atomically
from smupar_transfer.records.jsons import load_json
from smupar_transfer.records.reading import LARGEST_PAGE, read_text
from smupar_transfer.records.spec import SCHEMA_VERSION
from smupar_transfer.theory import HYPERPARAMETERS, InputError, shown_text

MANIFEST_FILE = "sweep.json"
REMARKS_FILE = "remarks.txt"
"""A person's own words about a result, a remark a line; every page of the result ends its notes with them."""


@dataclass(frozen=True)
class Manifest:
    """What one sweep asked, and which runs it asked for.

    Attributes:
        name: The name of the sweep.
        question: What the sweep file asks.
        expected: What the sweep file expects; empty if it expects nothing.
        command: The command line that was given.
        keys: The keys of its runs, those not yet run included.
        proxy_log2_learning_rate: The log2 of the base learning rate that was tuned on the proxy; None if that is not
            known.
        proxy_hparams: Name to value of all base hyperparameters that were tuned on the proxy; empty if not known.
        kind: The kind of question, as in ``sweeps.sweep.Sweep``.
        swept: The hyperparameters whose optimum is looked for, as in the sweep file.
        axis: The scale along which the optimum may move, as in the sweep file.
        tied: What moves along with the axis, as in the sweep file.
        reference: The parametrization that others are compared with, as in the sweep file; None for kinds without one.
        full_grid: The number of runs of the whole grid, where ``keys`` are those that an adaptive sweep needed of it;
            else None.
        claim: By what the outcome is judged, as in the sweep file. Before it had that field, every sweep tested the
            claims of the SuPar paper.
        added_seeds: Parametrization to the seeds that a coordinate check ran beside those of its file, to decide it.
    """

    name: str
    question: str
    expected: str
    command: str
    keys: tuple[str, ...]
    proxy_log2_learning_rate: float | None = None
    proxy_hparams: dict[str, float] = field(default_factory=dict)
    kind: str = "stability"
    swept: tuple[str, ...] = ("learning_rate",)
    axis: str = "sparsity"
    tied: tuple[str, ...] = ()
    reference: str | None = None
    full_grid: int | None = None
    claim: str | None = "supar"
    added_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def design(self) -> Design:
        """What the sweep looks for, and along which scale."""
        return Design(self.kind, self.swept, self.axis, self.tied)

    @property
    def saved(self) -> str:
        """How much an adaptive sweep spared, in a sentence; empty for others."""
        if self.full_grid is None:
            return ""
        spared = self.full_grid - len(self.keys)
        return f"Adaptive: {len(self.keys):,} of the full grid's {self.full_grid:,} runs; {spared:,} were not needed."


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``sweep.json``."""
    write_atomically(
        folder / MANIFEST_FILE,
        json.dumps({"schema": SCHEMA_VERSION, **to_plain(manifest)}, indent=1, ensure_ascii=False) + "\n",
    )


def read_manifest(folder: Path) -> Manifest:
    """Read ``sweep.json``.

    Raises:
        InputError: the folder holds no sweep, or a damaged one.
    """
    path = folder / MANIFEST_FILE
    if not path.exists():
        raise InputError("sweep", folder.name, f"has no results in {folder}", f"run: smupar sweep {folder.name}")
    text = read_text(path, "sweep", largest=LARGEST_PAGE)
    try:
        content = load_json(text)
    except ValueError as error:
        raise InputError("sweep", str(path), f"is damaged: {error}", "run the sweep again") from error
    # fields that later versions added have defaults, so that the number changes only where a meaning does
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA_VERSION:
        raise InputError("sweep", str(path), f"is not of schema {SCHEMA_VERSION}", "run the sweep again")
    manifest = from_plain(content, Manifest, "sweep", path)
    _check(manifest, path)
    return manifest


def _check(manifest: Manifest, path: Path) -> None:
    """Refuse words that no analysis knows; a sweep file with them was refused before it was run.

    Raises:
        InputError: there are some.
    """
    words = {
        "kind": ([manifest.kind], SWEPT_BY_KIND),
        "swept": (manifest.swept, HYPERPARAMETERS),
        "axis": ([manifest.axis], AXES),
        "tied": (manifest.tied, AXES),
        "claim": ([manifest.claim] if manifest.claim else [], CLAIMS),
    }
    unknown = {name: word for name, (given, known) in words.items() for word in given if word not in known}
    needed = SWEPT_BY_KIND.get(manifest.kind)
    if unknown:
        problem = f"has {' and '.join(f'{name}={shown_text(word)}' for name, word in unknown.items())}: unknown"
    elif needed is not None and len(manifest.swept) != needed:
        problem = f"sweeps {len(manifest.swept)} hyperparameters, of which kind {manifest.kind} looks at {needed}"
    elif manifest.axis in (*manifest.swept, *manifest.tied):
        problem = f"has the axis {manifest.axis} in swept or tied as well"
    elif Path(manifest.name).name != manifest.name:
        problem = f"has the name {shown_text(manifest.name)}, a path"
    elif manifest.full_grid is not None and manifest.full_grid < 0:
        problem = f"has a grid of {manifest.full_grid} runs"
    else:
        return
    raise InputError("sweep", str(path), problem, "run the sweep again")


def result_names(folder: Path) -> list[str]:
    """Names of the results in a folder, sorted; none if there is no such folder."""
    return sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
