"""Measurements made up of known milliseconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.cells import Cell, Measurement, Result, State
from bench.parts import PARTS

# Milliseconds a step of a throw-away prototype at width 1024, 4 x 256 tokens: dense ways do not depend on sparsity.
DENSE = {"textbook": 2190.0, "dense": 1860.0, "dense_bf16": 980.0}
SPARSE = {0.5: (4000.0, 1248.0), 0.75: (3000.0, 863.0), 0.875: (1960.0, 481.0), 0.984: (623.0, 262.0)}
WEIGHTS = 10_000_000

Make = Callable[..., Result]


def _make_result(cell: Cell, milliseconds: dict[str, float], wobble: float = 0.1) -> Result:
    """Three steps a variant: one as given, one faster, one slower; state of 20 bytes a weight."""
    variants = {}
    for name, middle in milliseconds.items():
        seconds = tuple(1e-3 * middle * factor for factor in (1 - wobble, 1.0, 1 + wobble))
        size = round(WEIGHTS * (1 - cell.sparsity)) if name == "auto" else WEIGHTS
        split = {part: 1e-3 * middle * (number + 1) / 28 for number, part in enumerate(PARTS)}
        variants[name] = Measurement(seconds, 100 * 2**20, State(4 * size, 4 * size, 8 * size, 4 * size), split)
    return Result(cell, "a machine", {"python": "3", "torch": "2"}, variants)


@pytest.fixture
def make_result() -> Make:
    return _make_result


@pytest.fixture
def results() -> list[Result]:
    """The prototype's cells, on one thread."""
    return [
        _make_result(Cell(1024, sparsity, 4, 256, 1), {**DENSE, "csr": csr, "auto": auto})
        for sparsity, (csr, auto) in SPARSE.items()
    ]
