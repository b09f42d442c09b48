"""Sweep files: one YAML per question under ``sweeps/``."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import paths
from smupar_transfer.records import from_plain, read_text
from smupar_transfer.theory import InputError


@dataclass(frozen=True)
class Axis:
    """Values of a key: listed, or powers of two from ``first`` to ``last`` in steps of ``step`` octaves."""

    values: list[Any] = field(default_factory=list)
    first: float = 0.0
    last: float = 0.0
    step: float = 0.0

    def expand(self) -> list[Any]:
        """All values, in order."""
        if self.values:
            return list(self.values)
        count = round((self.last - self.first) / self.step) + 1
        return [2.0 ** (self.first + index * self.step) for index in range(count)]


@dataclass(frozen=True)
class Sweep:
    """One question and the runs that answer it.

    Attributes:
        name: of the file, of the folder under ``results/`` and of its figures.
        question, expected: in a sentence each. cost: what the runs take, in a sentence.
        overrides: configuration that all runs share, as on the command line.
        grids: each a product of axes; the runs are their union.
        runs: how many that makes; checked.
        kind: what is done with the runs. axis: along which something is to stay put.
    """

    name: str
    question: str
    expected: str
    cost: str
    overrides: list[str]
    grids: list[dict[str, Axis]]
    runs: int
    kind: str = "stability"
    axis: str = "sparsity"

    def points(self) -> Iterator[dict[str, Any]]:
        """Configuration keys and values of every run, without repetition."""
        seen = set()
        for grid in self.grids:
            axes = {key: axis.expand() for key, axis in grid.items()}
            for values in itertools.product(*axes.values()):
                point = dict(zip(axes, values, strict=True))
                identity = tuple(sorted(point.items()))
                if identity not in seen:
                    seen.add(identity)
                    yield point


FILE_ENDINGS = (".yaml", ".yml")


def sweep_name(sweep: str) -> str:
    """Name of a sweep's folder under ``results/``, from its name or its file."""
    return Path(sweep).stem if sweep.endswith(FILE_ENDINGS) else sweep


def find_sweep(name: str, config_dir: str | None = None) -> Path:
    """The file of a sweep: a path to a YAML file, or a name under ``sweeps/`` or the person's own folder.

    Raises:
        InputError: there is none.
    """
    if name.endswith(FILE_ENDINGS):
        return Path(name)
    if not re.fullmatch(r"[\w.-]+", name):
        raise InputError("sweep", name, "is no sweep", "give the name of one, or a path that ends in .yaml")
    folders = [Path(config_dir), paths.SWEEPS] if config_dir else [paths.SWEEPS]
    for folder in folders:
        found = sorted(path for path in folder.rglob(f"{name}.yaml") if path.parent.name != "tuning")
        if found:
            return found[0]
    known = sorted(shipped_sweeps())
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    raise InputError("sweep", name, "is no sweep", hint)


def shipped_sweeps() -> dict[str, Path]:
    """Name and file of every sweep that comes with the package."""
    return {path.stem: path for path in sorted(paths.SWEEPS.rglob("*.yaml")) if path.parent.name != "tuning"}


def load_sweep(name: str, config_dir: str | None = None) -> Sweep:
    """Read and check a sweep file.

    Raises:
        InputError: there is no such file, a key is unknown or missing, or the number of runs is not the stated one.
    """
    path = find_sweep(name, config_dir)
    text = read_text(path, "sweep")
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except Exception as error:  # YAML and OmegaConf have no common base class
        raise InputError("sweep", str(path), f"is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError("sweep", str(path), "is not a mapping")
    grids = _grids(content.get("grids"), path)
    plain = {**{str(key): value for key, value in content.items()}, "name": path.stem, "grids": []}
    sweep = from_plain(plain, Sweep, f"sweep={path}")
    sweep = Sweep(**{**vars(sweep), "grids": grids})
    count = sum(1 for _ in sweep.points())
    if count != sweep.runs:
        raise InputError("runs", sweep.runs, f"{path} expands to {count} runs", "state that number")
    return sweep


def _grids(value: Any, path: Path) -> list[dict[str, Axis]]:
    if not isinstance(value, list) or not all(isinstance(grid, dict) for grid in value):
        raise InputError("grids", value, f"in {path} is not a list of mappings from keys to axes")
    return [{str(key): _axis(axis, str(key), path) for key, axis in grid.items()} for grid in value]


def _axis(value: Any, key: str, path: Path) -> Axis:
    if isinstance(value, list) and value and all(isinstance(item, str | int | float) for item in value):
        return Axis(values=value)
    if isinstance(value, dict) and set(value) == {"log2"}:
        bounds = value["log2"]
        numbers = isinstance(bounds, dict) and all(isinstance(item, int | float) for item in bounds.values())
        if numbers and set(bounds) == {"first", "last", "step"} and bounds["step"] > 0:
            return Axis(first=bounds["first"], last=bounds["last"], step=bounds["step"])
    raise InputError(key, value, f"in {path} is neither a list nor log2: {{first, last, step}}")


def sweep_overrides(name: str, config_dir: str | None = None) -> list[str]:
    """What a sweep sets for all of its runs, as words of a command line."""
    return load_sweep(name, config_dir).overrides


def at_point(config: DictConfig, point: dict[str, Any]) -> DictConfig:
    """The configuration of one run of a sweep.

    Raises:
        omegaconf.errors.ConfigKeyError: a key of the sweep does not exist.
    """
    run = config.copy()
    for key, value in point.items():
        OmegaConf.update(run, key, value, merge=True)
    return run
