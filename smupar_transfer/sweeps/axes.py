"""Axes of the grids in sweep files: values, powers of two, and random points."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smupar_transfer.theory import InputError

RANDOM = "random"
"""The key of a grid under which random points stand, in place of a configuration key."""
LARGEST_LOG2 = 1000
"""2 to the power of more, or of less than minus that, is no number that a computer holds."""
MOST_RUNS = 100_000
"""The most runs of a sweep; what comes to more is a slip of the pen."""


@dataclass(frozen=True)
class GridAxis:
    """Values of a key: listed, or powers of two from ``first`` to ``last`` in steps of ``step`` octaves."""

    values: list[Any] = field(default_factory=list)
    first: float = 0.0
    last: float = 0.0
    step: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        # whole but for rounding: whatever else was refused as the axis was parsed
        return len(self.values) or round((self.last - self.first) / self.step) + 1

    def expand(self) -> list[Any]:
        """All values, in order."""
        if self.values:
            return list(self.values)
        # from the index: added up, steps of a tenth would miss the octaves, and with them the keys of finished runs
        return [2.0 ** (self.first + index * self.step) for index in range(self.size)]


@dataclass(frozen=True)
class RandomPoints:
    """Points in several keys at once, uniform in log2; the first ones of a larger ``count`` are those of a smaller.

    Attributes:
        count: The number of points.
        seed: The seed of the random numbers.
        space: Key to first and last log2.
    """

    count: int
    seed: int
    space: Mapping[str, tuple[float, float]]

    @property
    def size(self) -> int:
        """Number of points."""
        return self.count

    def expand(self) -> list[dict[str, float]]:
        """All points, values rounded to four digits."""
        source = random.Random(self.seed)
        ordered = sorted(self.space.items())  # the order of keys in a file means nothing
        return [
            # four digits, so that a value copied from a table is the value that was trained
            {key: float(f"{2.0 ** source.uniform(first, last):.4g}") for key, (first, last) in ordered}
            for _ in range(self.count)
        ]


Grid = Mapping[str, GridAxis | RandomPoints]


def keys_of(grid: Grid) -> list[str]:
    """All keys of the configuration that a grid sets, in order; one that it sets twice is there twice."""
    return [key for name, axis in grid.items() for key in (axis.space if isinstance(axis, RandomPoints) else (name,))]


def size_of(grid: Grid) -> int:
    """Number of points of a grid, counted without making them."""
    return math.prod(axis.size for axis in grid.values())


def expand_grid(grid: Grid) -> Iterator[dict[str, Any]]:
    """The product of the axes of a grid, in order; the first axis changes slowest."""
    columns = [
        axis.expand() if isinstance(axis, RandomPoints) else [{key: value} for value in axis.expand()]
        for key, axis in grid.items()
    ]
    for parts in itertools.product(*columns):
        yield {key: value for part in parts for key, value in part.items()}


def parse_grids(value: Any, path: Path) -> list[Grid]:
    """The ``grids`` of a sweep file.

    Raises:
        InputError: it is no list of mappings from keys to axes, or a grid sets a key twice.
    """
    if not isinstance(value, list) or not value or not all(isinstance(grid, dict) for grid in value):
        raise InputError("grids", value, f"in {path} is not a list of mappings from keys to axes")
    grids: list[Grid] = [
        {str(key): _random(axis, path) if key == RANDOM else _axis(axis, str(key), path) for key, axis in grid.items()}
        for grid in value
    ]
    for grid in grids:
        keys = keys_of(grid)
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(key, RANDOM, f"in {path} is an axis of the same grid too", "leave it out of one")
    return grids


def _axis(value: Any, key: str, path: Path) -> GridAxis:
    if isinstance(value, list) and value and all(isinstance(item, str | int | float | None) for item in value):
        for item in value:
            if isinstance(item, float) and not math.isfinite(item):
                raise InputError(key, item, f"in {path} is not finite")
        return GridAxis(values=value)
    octaves = parse_octaves(value, key, path)
    if octaves is None:
        raise InputError(key, value, f"in {path} is neither a list nor log2: {{first, last, step}}")
    return octaves


def parse_octaves(value: Any, key: str, path: Path) -> GridAxis | None:
    """The axis that ``log2: {first, last, step}`` describes; None if it does not.

    Raises:
        InputError: steps do not lead from first to last, or a value is no number that a computer holds.
    """
    numbers = _numbers(value, {"first", "last", "step"})
    if numbers is None or numbers["step"] <= 0 or numbers["last"] < numbers["first"]:
        return None
    _refuse_extremes(numbers, key, path)
    steps = (numbers["last"] - numbers["first"]) / numbers["step"]
    # before anything is expanded: a step of 1e-9 would fill the memory first
    if steps >= MOST_RUNS:
        raise InputError(key, value, f"in {path} has more than {MOST_RUNS:,} values", "take a larger step")
    if not is_whole(steps):
        below, above = (numbers["first"] + round_(steps) * numbers["step"] for round_ in (math.floor, math.ceil))
        hint = f"last: {below:g} or {above:g}"
        raise InputError(key, value, f"in {path} has no whole number of steps from first to last", hint)
    return GridAxis(first=numbers["first"], last=numbers["last"], step=numbers["step"])


def _numbers(value: Any, names: set[str]) -> dict[str, float] | None:
    if not isinstance(value, dict) or set(value) != {"log2"}:
        return None
    bounds = value["log2"]
    if not isinstance(bounds, dict) or set(bounds) != names:
        return None
    return bounds if all(is_number(item) for item in bounds.values()) else None


def _refuse_extremes(bounds: Mapping[str, float], key: str, path: Path) -> None:
    for name in ("first", "last"):
        if abs(bounds[name]) > LARGEST_LOG2:
            hint = "these are powers of two: first: -10 is 2^-10"
            raise InputError(key, f"2^{bounds[name]:g}", f"in {path} is no number that a computer holds", hint)


def is_number(value: Any) -> bool:
    """Whether a value of a file is a finite number, and no truth value."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # whole numbers may exceed what fits into a float


def is_whole_number(value: Any) -> bool:
    """Whether a value of a file is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_whole(value: float) -> bool:
    """Whether a number is whole but for rounding: 0.3 / 0.1 is."""
    return abs(value - round(value)) < 1e-9


def _random(value: Any, path: Path) -> RandomPoints:
    shape = "{count: 32, seed: 0, space: {KEY: {log2: {first, last}}}}"
    if not isinstance(value, dict) or set(value) != {"count", "seed", "space"}:
        raise InputError(RANDOM, value, f"in {path} is not {shape}")
    if not (is_whole_number(value["count"]) and value["count"] > 0 and is_whole_number(value["seed"])):
        raise InputError(RANDOM, value, f"in {path} needs a positive whole count and a whole seed")
    space = value["space"]
    if not isinstance(space, dict) or not space:
        raise InputError(RANDOM, space, f"in {path} has no space: {shape}")
    ranges = {}
    for key, item in space.items():
        bounds = _numbers(item, {"first", "last"})
        if bounds is None or bounds["last"] < bounds["first"]:
            raise InputError(str(key), item, f"in {path} is not log2: {{first, last}}")
        _refuse_extremes(bounds, str(key), path)
        ranges[str(key)] = (float(bounds["first"]), float(bounds["last"]))
    return RandomPoints(value["count"], value["seed"], ranges)
