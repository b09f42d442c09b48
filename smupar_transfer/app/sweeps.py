"""Sweep files: one YAML per question under ``sweeps/``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import paths
from smupar_transfer.app.axes import (
    RANDOM,
    Axis,
    Grid,
    RandomPoints,
    expand_grid,
    is_number,
    is_whole,
    parse_grids,
    parse_octaves,
)
from smupar_transfer.app.hints import close_words, did_you_mean
from smupar_transfer.records import FileKind, from_plain, load_yaml, read_text, refuse_other
from smupar_transfer.theory import PARAMETRIZATIONS, BaseHyperparameters, InputError, shown_text

COORDINATES = "coordinates"
"""The kind of coordinate checks, and the command that makes them."""
KINDS = {"stability": 1, "contours": 2, "gain": 1, "proxy_size": 1, "search": None, COORDINATES: None}
"""Of analysis, with the number of hyperparameters that each looks at; None for any."""
SEARCHED = ("stability", "proxy_size")
"""Kinds that look for an optimum along one axis, which an adaptive grid may search."""
AXES = ("sparsity", "width", "base_width", "depth", "tokens")
SEED = "seed"


@dataclass(frozen=True)
class Adaptive:
    """The axis of a sweep along which every cell runs no more than it takes to find its optimum.

    Attributes:
        key: of the configuration. log2: its full grid.
        coarse: octaves between the points that every cell starts with, with its first seed.
        reach: octaves on either side of the running optimum in which every point is run, with all seeds.
        carried: run the points beside what the proxy's cell says, with all seeds, too: zero-shot regret has an error.
    """

    key: str
    log2: Axis
    coarse: float
    reach: float
    carried: bool = False


@dataclass(frozen=True)
class Sweep:
    """One question and the runs that answer it.

    Attributes:
        name: of the file, of the folder under ``results/`` and of its figures.
        question, expected: in a sentence each. cost: what the runs take, in a sentence.
        overrides: configuration that all runs share, as on the command line.
        grids: each a product of axes; the runs are their union, times the full grid of ``adaptive`` where there is one.
        runs: how many that makes; checked.
        kind: of analysis. swept: hyperparameters whose optimum is looked for. axis: of scale, along which it may move.
        tied: other columns that move along with the axis.
        reference: parametrization that others are compared with, for the kinds that need one.
    """

    name: str
    question: str
    expected: str
    cost: str
    overrides: tuple[str, ...]
    grids: list[Grid]
    runs: int
    kind: str = "stability"
    swept: tuple[str, ...] = ("learning_rate",)
    axis: str = "sparsity"
    tied: tuple[str, ...] = ()
    reference: str | None = None
    adaptive: Adaptive | None = None

    def points(self) -> Iterator[dict[str, Any]]:
        """Configuration keys and values of every run of the full grid, without repetition."""
        along = {} if self.adaptive is None else {self.adaptive.key: self.adaptive.log2}
        seen = set()
        for grid in self.grids:
            for point in expand_grid({**grid, **along}):
                identity = tuple(sorted(point.items()))
                if identity not in seen:
                    seen.add(identity)
                    yield point

    def cells(self) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
        """Points of the grids without their seeds, and the seeds of each."""
        found: dict[tuple[Any, ...], list[int]] = {}
        for grid in self.grids:
            for point in expand_grid(grid):
                seed = point.pop(SEED)
                seeds = found.setdefault(tuple(sorted(point.items())), [])
                seeds.extend([seed] if seed not in seeds else [])
        for cell, seeds in found.items():
            yield dict(cell), tuple(seeds)


def narrowed(sweep: Sweep, config: DictConfig, words: Iterable[str]) -> Sweep:
    """The sweep with a single value, that of ``config``, on every axis that a person fixed by hand.

    Args:
        sweep: as its file has it.
        config: composed from the sweep's own settings and the words.
        words: that a person gave, such as ``parametrization=mup`` or ``seed=0``.

    Raises:
        InputError: the key of an adaptive grid, or of random points, is among them.
    """
    given = [word.partition("=")[0].lstrip("+~") for word in words]

    def is_fixed(key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in given)

    axes = [axis for grid in sweep.grids for axis in grid.values()]
    searched = {key for axis in axes if isinstance(axis, RandomPoints) for key in axis.space}
    searched |= {sweep.adaptive.key} if sweep.adaptive else set()
    for key in sorted(filter(is_fixed, searched)):
        raise InputError(key, OmegaConf.select(config, key), f"is what {sweep.name} searches over", "leave it out")
    grids: list[Grid] = [
        {
            key: Axis(values=[OmegaConf.select(config, key)]) if is_fixed(key) and key != RANDOM else axis
            for key, axis in grid.items()
        }
        for grid in sweep.grids
    ]
    return replace(sweep, grids=grids)


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
        if name:
            refuse_other(Path(name), FileKind.SWEEP)
        raise InputError("sweep", name, "is no sweep", "give the name of one, or a path that ends in .yaml")
    folders = [Path(config_dir), paths.SWEEPS] if config_dir else [paths.SWEEPS]
    for folder in folders:
        found = sorted(path for path in folder.rglob(f"{name}.yaml") if path.parent.name != "tuning")
        if found:
            return found[0]
    known = sorted(shipped_sweeps())
    if Path(name).exists() and not close_words(name, known):
        refuse_other(Path(name), FileKind.SWEEP)
        raise InputError("sweep", name, "is no sweep file", f"the name of one ends in {FILE_ENDINGS[0]}")
    raise InputError("sweep", name, "is no sweep", did_you_mean(name, known, f"there are {', '.join(known)}"))


def shipped_sweeps() -> dict[str, Path]:
    """Name and file of every sweep that comes with the package."""
    return {path.stem: path for path in sorted(paths.SWEEPS.rglob("*.yaml")) if path.parent.name != "tuning"}


def load_sweep(name: str, config_dir: str | None = None) -> Sweep:
    """Read and check a sweep file.

    Raises:
        InputError: there is no such file, a key is unknown or missing, or the number of runs is not the stated one.
    """
    path = find_sweep(name, config_dir)
    refuse_other(path, FileKind.SWEEP)
    text = read_text(path, "sweep")
    load_yaml(text, "sweep", path)  # refuses what would be too much for OmegaConf, which copies every alias
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except Exception as error:  # an interpolation that leads nowhere, most often
        reason = shown_text(" ".join(str(error).split()))
        raise InputError("sweep", str(path), f"is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError("sweep", str(path), "is not a mapping")
    plain = {str(key): value for key, value in content.items()}
    grids = parse_grids(plain.get("grids"), path)
    adaptive = _adaptive(plain["adaptive"], grids, path) if "adaptive" in plain else None
    sweep = from_plain({**plain, "name": path.stem, "grids": [], "adaptive": None}, Sweep, "sweep", path)
    sweep = replace(sweep, grids=grids, adaptive=adaptive)
    _check_analysis(sweep, path)
    count = sum(1 for _ in sweep.points())
    if count != sweep.runs:
        raise InputError("runs", sweep.runs, f"{path} expands to {count} runs", "state that number")
    return sweep


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
        if key in grid:
            raise InputError("adaptive.key", key, f"in {path} is an axis of grids too", "leave it out there")
        if SEED not in grid:
            raise InputError("grids", sorted(grid), f"in {path} has no seed", "an adaptive sweep lists seeds")
    return Adaptive(key, log2, float(value["coarse"]), float(value["reach"]), carried)


def _check_analysis(sweep: Sweep, path: Path) -> None:
    """Refuse words that no analysis knows before anything is trained."""
    swept = tuple(item.name for item in fields(BaseHyperparameters))
    checks: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        ("kind", (sweep.kind,), tuple(KINDS)),
        ("swept", sweep.swept, swept),
        ("axis", (sweep.axis,), AXES),
        ("tied", sweep.tied, AXES),
        ("reference", () if sweep.reference is None else (sweep.reference,), tuple(PARAMETRIZATIONS)),
    ]
    for key, words, known in checks:
        for word in words:
            if word not in known:
                hint = did_you_mean(word, known, f"there are {', '.join(known)}")
                raise InputError(key, word, f"in {path} is unknown", hint)
    if sweep.kind == "gain" and sweep.reference is None:
        raise InputError("reference", "", f"in {path} must be given", "kind gain compares with a parametrization")
    _check_swept(sweep, path)
    if sweep.axis in sweep.tied:
        raise InputError("tied", sweep.axis, f"in {path} is the axis itself", "leave it out there")
    if sweep.adaptive is not None:
        _check_adaptive(sweep.adaptive, sweep, path)


def _check_swept(sweep: Sweep, path: Path) -> None:
    """Refuse more or fewer hyperparameters than the analysis looks at, and words that are said twice."""
    for key, words in (("swept", sweep.swept), ("tied", sweep.tied)):
        if len(set(words)) < len(words):
            raise InputError(key, list(words), f"in {path} names something twice", "name each once")
    count = KINDS[sweep.kind]
    if not sweep.swept or (count is not None and len(sweep.swept) != count):
        examples = ["learning_rate", "init_std"][: count or 2]
        hint = f"name {count or 'one or more'}, as in swept: [{', '.join(examples)}]"
        raise InputError("swept", list(sweep.swept), f"in {path} is not what kind {sweep.kind} looks at", hint)


def _check_adaptive(adaptive: Adaptive, sweep: Sweep, path: Path) -> None:
    """Refuse a search along what the analysis does not look at."""
    if sweep.kind not in SEARCHED:
        hint = f"kinds {', '.join(SEARCHED)} may search"
        raise InputError("adaptive", adaptive.key, f"in {path} is not for kind {sweep.kind}", hint)
    if adaptive.key not in [f"hparams.{name}" for name in sweep.swept[:1]]:
        hint = f"swept={list(sweep.swept)}; both name one hyperparameter"
        raise InputError("adaptive.key", adaptive.key, f"in {path} is not what is swept", hint)
    if adaptive.carried and sweep.kind != "stability":
        hint = f"kind {sweep.kind} has no regret"
        raise InputError("adaptive.carried", True, f"in {path} is for kind stability", hint)


def sweep_overrides(name: str, config_dir: str | None = None) -> list[str]:
    """What a sweep sets for all of its runs, as words of a command line."""
    return list(load_sweep(name, config_dir).overrides)


def at_point(config: DictConfig, point: dict[str, Any]) -> DictConfig:
    """The configuration of one run of a sweep.

    Raises:
        omegaconf.errors.ConfigKeyError: a key of the sweep does not exist.
    """
    run = config.copy()
    for key, value in point.items():
        OmegaConf.update(run, key, value, merge=True)
    return run
