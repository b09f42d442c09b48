"""From a sweep, and the records that there are, to the runs that it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.sweeps.adaptive import CellSearch, GridPoint, beside, planned, typical
from smupar_transfer.sweeps.proxy_value import transferred_values
from smupar_transfer.sweeps.sweep import COORDINATES, HPARAMS, SEED, Adaptive, Sweep
from smupar_transfer.theory import BaseHyperparameters, InputError

Records = Mapping[str, RunRecord]
"""Records by key."""
MakeRun = Callable[[Mapping[str, Any]], RunSpec]
"""From configuration keys and values to a run."""
Tracked = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Hands on the items of a sequence, under a title, and may show how far they are."""


def _untracked(title: str, items: Sequence[Any]) -> Iterable[Any]:
    del title
    return items


class Planner:
    """Plans the runs of a sweep.

    Args:
        sweep: The sweep, with values as the configuration takes them.
        make: Makes the run of a point: of configuration keys and values.
        tuned: The base hyperparameters that all runs share where no axis varies them.
        tracked: Shows how far planning is, where that takes long; given a title and items, which it hands on.

    Raises:
        InputError: a run is impossible, or tables could not tell two runs apart.
    """

    def __init__(self, sweep: Sweep, make: MakeRun, tuned: BaseHyperparameters, tracked: Tracked = _untracked) -> None:
        self._sweep, self._tuned, self._specs = sweep, tuned, _Specs(make)
        self._cells: list[_Cell] = []
        self._fixed: list[RunSpec] = []
        self._transfers = sweep.adaptive is not None and sweep.adaptive.carried
        self._known: list[RunSpec] | None = None  # runs beside the proxy's value, once all searches are over
        if sweep.adaptive is None:
            points = list(sweep.points())
            self._fixed = [self._specs.at(point) for point in tracked("planning", points)]
            _refuse_alike(points, self._fixed, sweep)
        else:
            cells = tracked("planning", list(sweep.cells()))
            self._cells = [_Cell(self._specs, point, seeds, sweep.adaptive) for point, seeds in cells]
            points = [cell.point for cell in self._cells]
            # one run a cell is enough: those of a cell differ in seed and swept value, which tables tell
            _refuse_alike(points, [cell.at((0, cell.seeds[0])) for cell in self._cells], sweep)

    @property
    def bound(self) -> str:
        """What an adaptive sweep may come to, in words; nothing for others."""
        return f" expected of at most {self._sweep.count()}" if self._cells else ""

    def possible(self) -> set[str]:
        """Keys of all runs that there may come to be: those of the full grid."""
        if self._cells:
            return {self._specs.at(point).key for point in self._sweep.points()}
        return {run.key for run in self._fixed}

    def planned(self, records: Records) -> list[RunSpec]:
        """All runs that are needed as far as the records tell; they are all once each of them has a record."""
        searched = self._searched(records)
        runs = [run for runs in searched for run in runs]
        return list(dict.fromkeys([*self._fixed, *runs, *(self._transferred(searched, records) or [])]))

    def expected(self, records: Records) -> list[RunSpec]:
        """The planned runs, with a guess at what cells that are not finished will ask for."""
        runs = [run for cell in self._cells for run in cell.expected(records)]
        transferred = self._transferred(self._searched(records), records)
        if transferred is None:
            transferred = self._beside([self._otherwise()] * len(self._cells))
        return list(dict.fromkeys([*self._fixed, *runs, *transferred]))

    def _searched(self, records: Records) -> list[list[RunSpec]]:
        """What each cell's search has asked for so far."""
        return [cell.planned(records) for cell in self._cells]

    def _transferred(self, searched: Sequence[Sequence[RunSpec]], records: Records) -> list[RunSpec] | None:
        """Runs beside what the proxy predicts, none if nobody asked for them; None as long as a search goes on."""
        if not self._transfers:
            return []
        if self._known is None and all(run.key in records for runs in searched for run in runs):
            searches = [[records[run.key] for run in runs] for runs in searched]
            self._known = self._beside(transferred_values(searches, self._sweep.design, self._otherwise()))
        return self._known

    def _otherwise(self) -> float | None:
        """log2 of what was tuned before, for a sweep without a cell of the proxy; None if that was 0."""
        tuned: float = getattr(self._tuned, self._sweep.swept[0])
        return math.log2(tuned) if tuned > 0 else None

    def _beside(self, predictions: Sequence[float | None]) -> list[RunSpec]:
        """Runs of every cell beside what the proxy predicts for it, a value a cell."""
        pairs = zip(self._cells, predictions, strict=True)
        return [run for cell, value in pairs if value is not None for run in cell.beside(value)]


def _refuse_alike(points: Sequence[Mapping[str, Any]], runs: Sequence[RunSpec], sweep: Sweep) -> None:
    """Refuse runs that no table could tell apart, which would be found out after the last of them.

    Args:
        points: The points of the grids.
        runs: The run of each point.
        sweep: The sweep of these grids.
    """
    seen: dict[object, tuple[Mapping[str, Any], RunSpec]] = {}
    for point, run in zip(points, runs, strict=True):
        other, first = seen.setdefault(_told(run, sweep), (point, run))
        if first != run:
            keys = sorted(key for key in {*point, *other} if point.get(key) != other.get(key))
            hint = "write a sweep file for each of its values"
            raise InputError("grids", ", ".join(keys), f"in {sweep.name} is nothing that tables tell apart", hint)


def _told(run: RunSpec, sweep: Sweep) -> object:
    """What tables of a sweep say of a run."""
    if sweep.kind != COORDINATES:
        return run  # every field that varies is told
    return run.parametrization, run.seed, run.model.width if sweep.axis == "width" else run.sparsity.density


class _Specs:
    """Makes specifications of points; what differs in seed and base hyperparameters alone is composed once.

    Args:
        make: Makes the run of a point.
    """

    def __init__(self, make: MakeRun) -> None:
        self._make = make
        self._composed: dict[tuple[tuple[str, Any], ...], RunSpec] = {}

    def at(self, point: Mapping[str, Any]) -> RunSpec:
        """The run of a point: configuration keys and values, with values as the configuration takes them."""
        hparams = {key.removeprefix(HPARAMS): value for key, value in point.items() if key.startswith(HPARAMS)}
        rest = {key: value for key, value in point.items() if key != SEED and not key.startswith(HPARAMS)}
        like = tuple(sorted(rest.items()))
        if like not in self._composed:
            self._composed[like] = self._make(rest)
        spec = self._composed[like]
        return replace(spec, seed=point.get(SEED, spec.seed), hparams=replace(spec.hparams, **hparams))


@dataclass
class _Cell:
    """One cell of an adaptive sweep."""

    specs: _Specs
    point: dict[str, Any]
    seeds: tuple[int, ...]
    adaptive: Adaptive
    values: list[float] = field(init=False)
    search: CellSearch = field(init=False)
    runs: dict[GridPoint, RunSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = self.adaptive.log2.expand()
        step = self.adaptive.log2.step
        coarse, reach = round(self.adaptive.coarse / step), round(self.adaptive.reach / step)
        self.search = CellSearch(len(self.values), coarse, reach, self.seeds)

    def at(self, grid_point: GridPoint) -> RunSpec:
        if grid_point not in self.runs:
            own = {**self.point, self.adaptive.key: self.values[grid_point[0]], SEED: grid_point[1]}
            self.runs[grid_point] = self.specs.at(own)
        return self.runs[grid_point]

    def loss(self, grid_point: GridPoint, records: Records) -> float | None:
        record = records.get(self.at(grid_point).key)
        if record is None:
            return None
        # a run that diverged is known, and worse than any other; None would ask for it again
        return math.inf if record.diverged or record.validation_loss is None else record.validation_loss

    def grid_points(self, records: Records) -> list[GridPoint]:
        return planned(self.search, lambda grid_point: self.loss(grid_point, records))

    def planned(self, records: Records) -> list[RunSpec]:
        return [self.at(grid_point) for grid_point in self.grid_points(records)]

    def beside(self, log2_value: float) -> list[RunSpec]:
        """Runs at the points on either side of a value, with all seeds."""
        axis = self.adaptive.log2
        return [self.at(grid_point) for grid_point in beside(self.search, (log2_value - axis.first) / axis.step)]

    def expected(self, records: Records) -> list[RunSpec]:
        grid_points = self.grid_points(records)
        if any(self.loss(grid_point, records) is None for grid_point in grid_points):
            grid_points = list(dict.fromkeys([*grid_points, *typical(self.search)]))
        return [self.at(grid_point) for grid_point in grid_points]
