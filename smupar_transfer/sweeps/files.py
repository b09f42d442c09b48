"""Sweep files: one YAML per question, under ``sweeps/`` or a person's own; found, read and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf  # as a reader of YAML, for its ${interpolations}

from smupar_transfer.records import LARGEST_BY_HAND, FileKind, from_plain, load_yaml, read_text, refuse_other
from smupar_transfer.sweeps import shipped
from smupar_transfer.sweeps.axes import (
    Grid,
    is_number,
    is_whole,
    keys_of,
    parse_grids,
    parse_octaves,
)
from smupar_transfer.sweeps.sweep import COORDINATES, SEED, Adaptive, Sweep, check_definition
from smupar_transfer.theory import InputError, close_words, did_you_mean, shown_text

FILE_ENDINGS = (".yaml", ".yml")


def sweep_name(sweep: str) -> str:
    """Name of a sweep's folder under ``results/``, from its name or its file."""
    return Path(sweep).stem if sweep.endswith(FILE_ENDINGS) else sweep


def shipped_sweeps() -> dict[str, Path]:
    """Name and file of every sweep that comes with the package."""
    return {path.stem: path for path in _sweeps_in(shipped.SWEEPS)}


def sweeps_for(command: str) -> list[str]:
    """Names of shipped sweeps that a command takes; `sweep` takes no coordinate checks, `coordinates` nothing else."""
    # by folder: help and completion would otherwise read and check every file
    checks = {name for name, path in shipped_sweeps().items() if path.parent.name == COORDINATES}
    if command == COORDINATES:
        return sorted(checks)
    return [name for name in shipped_sweeps() if command != "sweep" or name not in checks]


def _sweeps_in(folder: Path) -> list[Path]:
    paths = [path for ending in FILE_ENDINGS for path in folder.rglob(f"*{ending}")]
    return sorted(path for path in paths if path.parent.name not in shipped.OPTION_FOLDERS)


def find_sweep(name: str, config_dir: str | None = None) -> Path:
    """The file of a sweep: a path to a YAML file, or a name in the person's own folder or under ``sweeps/``.

    Raises:
        InputError: there is none, or the folder has several.
    """
    if name.endswith(FILE_ENDINGS):
        stem = Path(name).stem
        if stem in shipped_sweeps() and not Path(name).exists():
            raise InputError("sweep", name, "there is no such file", f"did you mean {stem}, without an ending?")
        return Path(name)
    if not re.fullmatch(r"[\w.-]+", name):
        if name:
            refuse_other(Path(name), FileKind.SWEEP)
        hint = "give the name of one, or a path that ends in .yaml"
        # the folder of its result, which shells complete with a slash
        last = Path(name).name
        raise InputError("sweep", name, "is no sweep", f"did you mean {last}?" if last in shipped_sweeps() else hint)
    known: set[str] = set()
    for folder in [Path(config_dir), shipped.SWEEPS] if config_dir else [shipped.SWEEPS]:
        sweeps = _sweeps_in(folder)
        named = [path for path in sweeps if path.stem == name]
        if len(named) > 1:
            raise InputError("sweep", name, f"is the name of {' and '.join(map(str, named))}", "give the path of one")
        if named:
            return named[0]
        known |= {path.stem for path in sweeps}
    # a name close to that of a sweep is a slip, also where a file of that name happens to lie here
    if Path(name).exists() and not close_words(name, sorted(known)):
        refuse_other(Path(name), FileKind.SWEEP)
        raise InputError("sweep", name, "is no sweep file", f"the name of one ends in {FILE_ENDINGS[0]}")
    hint = did_you_mean(name, sorted(known), f"there are {', '.join(sorted(known))}")
    raise InputError("sweep", name, "is no sweep", hint)


def own_file(name: str, config_dir: str | None = None) -> Path | None:
    """The file of a sweep that does not come with the package; None if it does.

    Raises:
        InputError: see ``find_sweep``.
    """
    path = find_sweep(name, config_dir)
    return None if path in shipped_sweeps().values() else path


def load_sweep(name: str, config_dir: str | None = None) -> Sweep:
    """Read and check a sweep file.

    Raises:
        InputError: there is no such file, a field is unknown, missing or of a wrong type, or ``check_definition``
            refuses what they say together.
    """
    path = find_sweep(name, config_dir)
    plain = _fields(path)
    grids = parse_grids(plain.get("grids"), path)
    adaptive = _adaptive(plain["adaptive"], grids, path) if "adaptive" in plain else None
    sweep = from_plain({**plain, "name": path.stem, "grids": [], "adaptive": None}, Sweep, "sweep", path)
    sweep = replace(sweep, grids=grids, adaptive=adaptive)
    check_definition(sweep, path)
    return sweep


def _fields(path: Path) -> dict[str, Any]:
    """What a sweep file holds, by field; fields that no sweep has are refused."""
    refuse_other(path, FileKind.SWEEP)
    text = read_text(path, "sweep", largest=LARGEST_BY_HAND)
    load_yaml(text, "sweep", path)  # refuses what would be too much for OmegaConf, which copies every alias
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except Exception as error:  # an interpolation that leads nowhere, most often
        reason = shown_text(" ".join(str(error).split()))
        raise InputError("sweep", str(path), f"is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError("sweep", str(path), "is not a mapping")
    plain = {str(key): value for key, value in content.items()}
    known = [item.name for item in fields(Sweep) if item.name != "name"]
    for key in plain:
        if key not in known:
            hint = "its name is that of the file" if key == "name" else f"there are {', '.join(known)}"
            raise InputError("sweep", str(path), f"{key}: unknown field", did_you_mean(key, known, hint))
    return plain


def _adaptive(value: Any, grids: Sequence[Grid], path: Path) -> Adaptive:
    names = {item.name: item.default is MISSING for item in fields(Adaptive)}
    needed = [name for name, is_needed in names.items() if is_needed]
    if not isinstance(value, dict) or not set(needed) <= set(value) <= set(names):
        strangers = sorted(map(str, set(value) - set(names))) if isinstance(value, dict) else []
        hint = f"{', '.join(strangers)}: unknown" if strangers else ""
        raise InputError(
            "adaptive", value, f"in {path} is not a mapping of {', '.join(needed)} and, if need be, carried", hint
        )
    carried = value.get("carried", False)
    if not isinstance(carried, bool):
        raise InputError("adaptive.carried", carried, f"in {path} is neither true nor false")
    key, log2 = value["key"], parse_octaves({"log2": value["log2"]}, "adaptive", path)
    if not isinstance(key, str):
        raise InputError("adaptive.key", key, f"in {path} is no key of the configuration")
    if log2 is None:
        raise InputError("adaptive.log2", value["log2"], f"in {path} is not {{first, last, step}}")
    for name in ("coarse", "reach"):
        if not is_number(value[name]) or not is_whole(value[name] / log2.step) or value[name] < log2.step / 2:
            raise InputError(f"adaptive.{name}", value[name], f"in {path} is no multiple of step={log2.step:g}")
    for grid in grids:
        if key in keys_of(grid):
            raise InputError("adaptive.key", key, f"in {path} is an axis of grids too", "leave it out there")
        if SEED not in grid:
            raise InputError("grids", sorted(grid), f"in {path} has no seed", "an adaptive sweep lists seeds")
    return Adaptive(key, log2, float(value["coarse"]), float(value["reach"]), carried)


def sweep_overrides(name: str, config_dir: str | None = None) -> list[str]:
    """What a sweep sets for all of its runs, as words of a command line."""
    return list(load_sweep(name, config_dir).overrides)
