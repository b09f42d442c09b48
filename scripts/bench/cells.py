"""What is measured, and the file that holds what was: one line of JSON a cell, raw seconds of every turn included."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.records import from_plain, to_plain, write_atomically
from smupar_transfer.theory import InputError

FILE = "cells.jsonl"


@dataclass(frozen=True)
class Cell:
    """One network, one batch, one number of threads; ``batch`` sequences of ``time`` tokens are a step."""

    width: int
    sparsity: float
    batch: int
    time: int
    threads: int

    @property
    def tokens(self) -> str:
        """Tokens of a step, as on the command line."""
        return f"{self.batch}x{self.time}"


@dataclass(frozen=True)
class State:
    """Bytes that the sparsified layers keep from step to step; ``structure`` is masks and indices."""

    parameters: int
    gradients: int
    optimizer: int
    structure: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parameters + self.gradients + self.optimizer + self.structure


@dataclass(frozen=True)
class Measurement:
    """One variant in one cell.

    Attributes:
        seconds: of a step, in every measured turn, in order; turns of equal index of all variants came one after the
            other.
        peak_bytes: largest resident memory of the process, beyond what it had before it built the network.
        state: of the sparsified layers.
        split: seconds of a step by part; medians of steps with clocks in them, which are not among ``seconds``.
        peak_of_training: whether building, and calibration, are left out of ``peak_bytes``.
    """

    seconds: tuple[float, ...]
    peak_bytes: int
    state: State
    split: dict[str, float]
    peak_of_training: bool = False


@dataclass(frozen=True)
class Result:
    """All variants of one cell, measured in one run on one machine."""

    cell: Cell
    machine: str
    versions: dict[str, str]
    variants: dict[str, Measurement]


def folder_of(root: Path, machine: str) -> Path:
    """Where measurements of a machine lie: ``amd_epyc_family_25_model_17_2_cores``."""
    return root / re.sub(r"[^a-z0-9]+", "_", machine.lower()).strip("_")


def read_machines(root: Path) -> dict[Path, list[Result]]:
    """What every machine's folder under ``root`` holds; folders without measurements are left out.

    Raises:
        InputError: a file is not one of ours.
    """
    return {path.parent: read(path.parent) for path in sorted(root.glob(f"*/{FILE}"))}


def read(folder: Path) -> list[Result]:
    """What a folder holds, in the order of measuring; nothing if it holds nothing.

    Raises:
        InputError: the file is not one of ours.
    """
    path = folder / FILE
    if not path.exists():
        return []
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [from_plain(json.loads(line), Result, "--output", f"{path}, line {number}") for number, line in lines]


def keep(folder: Path, result: Result) -> None:
    """Add a cell to a folder, in place of an earlier measurement of it.

    Raises:
        InputError: the folder holds cells of another machine, or cannot be written.
    """
    before = read(folder)
    require_machine(before, result.machine, folder)
    kept = [other for other in before if other.cell != result.cell]
    lines = [json.dumps(to_plain(each)) + "\n" for each in [*kept, result]]
    write_atomically(folder / FILE, "".join(lines), "--output")


def require_machine(results: list[Result], machine: str, folder: Path) -> None:
    """Check that cells may stand in one table.

    Raises:
        InputError: some are of another machine.
    """
    for result in results:
        if result.machine != machine:
            raise InputError(
                "--output", str(folder), f"holds cells of another machine ({result.machine})", "choose another folder"
            )


def is_measured(cell: Cell, variants: tuple[str, ...], results: list[Result]) -> bool:
    """Whether one run has measured all these variants of a cell."""
    return any(result.cell == cell and set(variants) <= set(result.variants) for result in results)
