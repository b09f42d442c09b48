"""What a sweep is: a question, the runs that answer it, how they are analysed; all of it checked beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smupar_transfer.records.design import AXES, CLAIMS, SWEPT_BY_KIND, Design
from smupar_transfer.sweeps.axes import MOST_RUNS, Grid, GridAxis, expand_grid, keys_of, size_of
from smupar_transfer.theory import HYPERPARAMETERS, PARAMETRIZATIONS, InputError, did_you_mean

COORDINATES = "coordinates"
"""The kind of coordinate checks, and the command that makes them."""
SEARCHED = ("stability", "proxy_size")
"""Kinds that look for an optimum along one axis, which an adaptive grid may search."""
OPTIMUM = (*SEARCHED, "contours")
"""Kinds that look for an optimum, so that what is swept has to vary."""
SEED = "seed"
HPARAMS = "hparams."
"""How the keys of base hyperparameters begin."""


def key_of(override: str) -> str:
    """``a.b`` of ``a.b=1``, ``+a.b=1``, ``++a.b=1`` and ``~a.b``."""
    return override.partition("=")[0].lstrip("+~")


@dataclass(frozen=True)
class Adaptive:
    """The axis of a sweep along which every cell runs no more than it takes to find its optimum.

    Attributes:
        key: The key of the configuration that is searched.
        log2: Its full grid.
        coarse: The octaves between the points that every cell starts with, with its first seed.
        reach: The octaves on either side of the running optimum in which every point is run, with all seeds.
        carried: Whether to run the points beside what the proxy's cell predicts, with all seeds, too: zero-shot regret
            then has an error.
    """

    key: str
    log2: GridAxis
    coarse: float
    reach: float
    carried: bool = False


@dataclass(frozen=True)
class Sweep:
    """One question and the runs that answer it: a sweep file under the names of its fields.

    Attributes:
        name: The name of the file, of the folder under ``results/`` and of its figures.
        question: What is asked, in a sentence.
        expected: What will come out, in a sentence written before the first run; may be empty.
        cost: What the runs take, in a sentence; may be empty.
        overrides: Configuration that all runs share, as on the command line.
        grids: Grids, each a product of axes; the runs are their union, times the full grid of ``adaptive`` where there
            is one.
        runs: How many runs that makes, checked; None if the file does not say.
        kind: The kind of analysis, one of ``SWEPT_BY_KIND``.
        swept: The hyperparameters whose optimum is looked for.
        axis: The scale along which the optimum may move; one of ``AXES``.
        tied: Other columns that move along with the axis.
        reference: The parametrization that others are compared with, for the kinds that need one.
        claim: By what the outcome is judged, one of ``CLAIMS``; None for no verdict.
        adaptive: The axis that is searched; None if all points of the grids are run.
    """

    name: str
    question: str
    expected: str = ""
    cost: str = ""
    overrides: tuple[str, ...] = ()
    grids: list[Grid] = field(default_factory=list)
    runs: int | None = None
    kind: str = "stability"
    swept: tuple[str, ...] = ("learning_rate",)
    axis: str = "sparsity"
    tied: tuple[str, ...] = ()
    reference: str | None = None
    claim: str | None = None
    adaptive: Adaptive | None = None

    @property
    def design(self) -> Design:
        """What the sweep looks for, and along which scale."""
        return Design(self.kind, self.swept, self.axis, self.tied)

    def points(self) -> Iterator[dict[str, Any]]:
        """Configuration keys and values of every run of the full grid, without repetition."""
        along = {} if self.adaptive is None else {self.adaptive.key: self.adaptive.log2}
        seen = set()
        for grid in self.grids:
            for point in expand_grid({**grid, **along}):
                # grids are a union: where two of them meet, the point is run once
                identity = tuple(sorted(point.items()))
                if identity not in seen:
                    seen.add(identity)
                    yield point

    def count(self) -> int:
        """Number of runs of the full grid."""
        return sum(1 for _ in self.points())

    def cells(self) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
        """Points of the grids without their seeds, and the seeds of each."""
        seeds_of: dict[tuple[Any, ...], list[int]] = {}
        for grid in self.grids:
            for point in expand_grid(grid):
                seed = point.pop(SEED)
                seeds = seeds_of.setdefault(tuple(sorted(point.items())), [])
                seeds.extend([seed] if seed not in seeds else [])
        for cell, seeds in seeds_of.items():
            yield dict(cell), tuple(seeds)


def check_definition(sweep: Sweep, path: Path) -> None:
    """Refuse what cannot be planned or analysed before anything is trained.

    Raises:
        InputError: a word is unknown, fields of the file contradict each other, or there are too many runs.
    """
    _check_words(sweep, path)
    _check_swept(sweep, path)
    if sweep.axis in sweep.tied:
        raise InputError("tied", sweep.axis, f"in {path} is the axis itself", "leave it out there")
    if sweep.adaptive is not None:
        _check_adaptive(sweep.adaptive, sweep, path)
    _check_varied(sweep, path)
    _check_overrides(sweep, path)
    _check_size(sweep, path)


def _check_words(sweep: Sweep, path: Path) -> None:
    """Refuse words that no analysis knows."""
    checks: list[tuple[str, tuple[str, ...], Sequence[str]]] = [
        ("kind", (sweep.kind,), tuple(SWEPT_BY_KIND)),
        ("swept", sweep.swept, HYPERPARAMETERS),
        ("axis", (sweep.axis,), AXES),
        ("tied", sweep.tied, AXES),
        ("reference", () if sweep.reference is None else (sweep.reference,), tuple(PARAMETRIZATIONS)),
        ("claim", () if sweep.claim is None else (sweep.claim,), CLAIMS),
    ]
    for key, words, known in checks:
        for word in words:
            if word not in known:
                hint = did_you_mean(word, known, f"there are {', '.join(known)}")
                raise InputError(key, word, f"in {path} is unknown", hint)
    # a word that would be read and do nothing is refused as well as one that is missing
    if sweep.kind == "gain" and sweep.reference is None:
        raise InputError("reference", "", f"in {path} must be given", "kind gain compares with a parametrization")
    if sweep.kind != "gain" and sweep.reference is not None:
        raise InputError("reference", sweep.reference, f"in {path} is for kind gain", "leave it out")
    if sweep.kind == COORDINATES and sweep.claim is not None:
        raise InputError("claim", sweep.claim, f"in {path} is not for kind {COORDINATES}", "leave it out")


def _check_swept(sweep: Sweep, path: Path) -> None:
    """Refuse more or fewer hyperparameters than the analysis looks at, and words that are said twice."""
    for key, words in (("swept", sweep.swept), ("tied", sweep.tied)):
        if len(set(words)) < len(words):
            raise InputError(key, list(words), f"in {path} names something twice", "name each once")
    count = SWEPT_BY_KIND[sweep.kind]
    if not sweep.swept or (count is not None and len(sweep.swept) != count):
        examples = ["learning_rate", "init_std"][: count or 2]
        hint = f"name {count or 'one or more'}, as in swept: [{', '.join(examples)}]"
        raise InputError("swept", list(sweep.swept), f"in {path} is not what kind {sweep.kind} looks at", hint)


def _check_adaptive(adaptive: Adaptive, sweep: Sweep, path: Path) -> None:
    """Refuse a search along what the analysis does not look at, and without seeds of its own."""
    if sweep.kind not in SEARCHED:
        hint = f"kinds {', '.join(SEARCHED)} may search"
        raise InputError("adaptive", adaptive.key, f"in {path} is not for kind {sweep.kind}", hint)
    if adaptive.key not in [f"{HPARAMS}{name}" for name in sweep.swept[:1]]:
        hint = f"swept={list(sweep.swept)}; both name one hyperparameter"
        raise InputError("adaptive.key", adaptive.key, f"in {path} is not what is swept", hint)
    if adaptive.carried and sweep.kind != "stability":
        hint = f"kind {sweep.kind} has no regret"
        raise InputError("adaptive.carried", True, f"in {path} is for kind stability", hint)


def _check_varied(sweep: Sweep, path: Path) -> None:
    """Refuse to look for an optimum of what is the same in all runs."""
    varied = {key for grid in sweep.grids for key in keys_of(grid)}
    varied |= {sweep.adaptive.key} if sweep.adaptive else set()
    for name in sweep.swept if sweep.kind in OPTIMUM else ():
        if f"{HPARAMS}{name}" not in varied:
            hint = f"grids need an axis {HPARAMS}{name}"
            raise InputError("swept", name, f"in {path} has the same value in all runs", hint)


def _check_overrides(sweep: Sweep, path: Path) -> None:
    """Refuse settings that would do nothing: no settings, given twice, or an axis of every grid as well."""
    keys = [key_of(word) for word in sweep.overrides]
    for key, word in zip(keys, sweep.overrides, strict=True):
        if not re.match(r"([+]{0,2}[\w@/.]+=|~[\w@/.]+)", word):
            raise InputError("overrides", word, f"in {path} is no setting", "write KEY=VALUE")
        if key == "sweep":
            raise InputError("overrides", word, f"in {path} names a sweep", "leave it out")
        if keys.count(key) > 1:
            raise InputError("overrides", word, f"in {path} is given twice", "keep one of them")
        # base hyperparameters count beside their axis: they are what was tuned on the proxy
        if not key.startswith(HPARAMS) and all(key in keys_of(grid) for grid in sweep.grids):
            raise InputError("overrides", word, f"in {path} is an axis of every grid too", "leave it out in overrides")


def _check_size(sweep: Sweep, path: Path) -> None:
    """Refuse too many runs, counted without making them, and a number that is not the stated one."""
    along = 1 if sweep.adaptive is None else sweep.adaptive.log2.size
    # from above, as points that grids share count twice: that many are not worth expanding to find out
    total = sum(size_of(grid) for grid in sweep.grids) * along
    if total > MOST_RUNS:
        hint = "take larger steps or fewer values"
        raise InputError("grids", f"{total:,} runs", f"in {path} are more than {MOST_RUNS:,}", hint)
    if sweep.runs is not None and (count := sweep.count()) != sweep.runs:
        raise InputError("runs", sweep.runs, f"{path} expands to {count} runs", "state that number")
