"""From a sweep, and the records that there are, to the runs that it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from smupar_transfer.app import specs
from smupar_transfer.app.base import require_source, resolve_base, with_base
from smupar_transfer.app.sweeps import SEED, Adaptive, Sweep, at_point
from smupar_transfer.records import RunRecord, RunSpec, Source
from smupar_transfer.verification.adaptive import Place, Search, beside, planned, typical
from smupar_transfer.verification.carried import carried_values
from smupar_transfer.verification.design import Design

Records = Mapping[str, RunRecord]


class Planner:
    """Plans the runs of a sweep.

    Args:
        config: what all runs share; a tuned point counts, and axes of the sweep win over it.
        sweep: the sweep.

    Raises:
        InputError: a run is impossible.
    """

    def __init__(self, config: DictConfig, sweep: Sweep) -> None:
        self._cells: list[_Cell] = []
        self._fixed: list[RunSpec] = []
        self._carries = sweep.adaptive is not None and sweep.adaptive.carried
        self._known: list[RunSpec] | None = None  # carried runs, once all searches are over
        self._sweep = sweep
        base = resolve_base(config)
        shared, axes = with_base(config, base), frozenset(key for grid in sweep.grids for key in grid)

        def make(point: Mapping[str, Any]) -> RunSpec:
            """The run at a point of the grid; what a point varies on purpose need not be as the proxy was tuned."""
            spec = specs.target_spec(at_point(shared, dict(point)))
            if base.tuned is not None:
                require_source(config, Source.of(base.tuned), spec, axes)
            return spec

        if sweep.adaptive is None:
            self._fixed = [make(point) for point in sweep.points()]
        else:
            self._cells = [_Cell(make, point, seeds, sweep.adaptive) for point, seeds in sweep.cells()]
        self._tuned = vars(base.hparams)

    def planned(self, records: Records) -> list[RunSpec]:
        """All runs that are needed as far as the records tell; they are all once each of them has a record."""
        searched = self._searched(records)
        runs = [run for runs in searched for run in runs]
        return list(dict.fromkeys([*self._fixed, *runs, *(self._carried(searched, records) or [])]))

    def expected(self, records: Records) -> list[RunSpec]:
        """The same with a guess at what cells that are not finished will ask for."""
        runs = [run for cell in self._cells for run in cell.expected(records)]
        carried = self._carried(self._searched(records), records)
        if carried is None:
            carried = self._beside([self._otherwise()] * len(self._cells))
        return list(dict.fromkeys([*self._fixed, *runs, *carried]))

    def _searched(self, records: Records) -> list[list[RunSpec]]:
        """What each cell's search has asked for so far."""
        return [cell.planned(records) for cell in self._cells]

    def _carried(self, searched: Sequence[Sequence[RunSpec]], records: Records) -> list[RunSpec] | None:
        """Runs beside what the proxy says, none if nobody asked for them; None as long as a search goes on."""
        if not self._carries:
            return []
        if self._known is None and all(run.key in records for runs in searched for run in runs):
            found = [[records[run.key] for run in runs] for runs in searched]
            sweep = self._sweep
            design = Design(sweep.kind, sweep.swept, sweep.axis, sweep.tied)
            self._known = self._beside(carried_values(found, design, self._otherwise()))
        return self._known

    def _otherwise(self) -> float | None:
        """log2 of what was tuned before, for a sweep without a cell of the proxy; None if that was 0."""
        tuned = self._tuned[self._sweep.swept[0]]
        return math.log2(tuned) if tuned > 0 else None

    def _beside(self, says: Sequence[float | None]) -> list[RunSpec]:
        """Runs of every cell beside what it is told, a value a cell."""
        pairs = zip(self._cells, says, strict=True)
        return [run for cell, value in pairs if value is not None for run in cell.beside(value)]


@dataclass
class _Cell:
    """One cell of an adaptive sweep."""

    make: Callable[[Mapping[str, Any]], RunSpec]
    point: dict[str, Any]
    seeds: tuple[int, ...]
    adaptive: Adaptive
    values: list[float] = field(init=False)
    search: Search = field(init=False)
    runs: dict[Place, RunSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = self.adaptive.log2.expand()
        step = self.adaptive.log2.step
        coarse, reach = round(self.adaptive.coarse / step), round(self.adaptive.reach / step)
        self.search = Search(len(self.values), coarse, reach, self.seeds)

    def at(self, place: Place) -> RunSpec:
        if place not in self.runs:
            own = {**self.point, self.adaptive.key: self.values[place[0]], SEED: place[1]}
            self.runs[place] = self.make(own)
        return self.runs[place]

    def loss(self, place: Place, records: Records) -> float | None:
        record = records.get(self.at(place).key)
        if record is None:
            return None
        return math.inf if record.diverged or record.validation_loss is None else record.validation_loss

    def places(self, records: Records) -> list[Place]:
        return planned(self.search, lambda place: self.loss(place, records))

    def planned(self, records: Records) -> list[RunSpec]:
        return [self.at(place) for place in self.places(records)]

    def beside(self, log2_value: float) -> list[RunSpec]:
        """At the points on either side of a value, with all seeds."""
        axis = self.adaptive.log2
        return [self.at(place) for place in beside(self.search, (log2_value - axis.first) / axis.step)]

    def expected(self, records: Records) -> list[RunSpec]:
        places = self.places(records)
        if any(self.loss(place, records) is None for place in places):
            places = list(dict.fromkeys([*places, *typical(self.search)]))
        return [self.at(place) for place in places]
