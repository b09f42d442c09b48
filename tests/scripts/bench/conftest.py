"""Measurements made up of known milliseconds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.cells import Cell, Measurement, Result, State
from bench.parts import PARTS

# Milliseconds a step of a throw-away prototype at width 1024, 4 x 256 tokens: dense ways do not depend on sparsity.
PROTOTYPE = {
    0.5: {"textbook": 2190, "dense": 1860, "dense_bf16": 980, "csr": 4000, "auto": 1248},
    0.75: {"textbook": 2190, "dense": 1860, "dense_bf16": 980, "csr": 3000, "auto": 863},
    0.875: {"textbook": 2190, "dense": 1860, "dense_bf16": 980, "csr": 1960, "auto": 481},
    0.984: {"textbook": 2190, "dense": 1860, "dense_bf16": 980, "csr": 623, "auto": 262},
}


def make_result(cell: Cell, milliseconds: Mapping[str, float], state: Mapping[str, int] | None = None) -> Result:
    """Two steps of each variant: one 10 % faster and one 10 % slower than given."""
    variants = {}
    for index, (name, middle) in enumerate(milliseconds.items()):
        size = (state or {}).get(name, 1000 * (index + 1))
        seconds = (0.9e-3 * middle, 1.1e-3 * middle)
        split = {part: 1e-3 * middle * (number + 1) / 28 for number, part in enumerate(PARTS)}
        variants[name] = Measurement(seconds, 2**20 * (index + 1), State(size, size, 2 * size, size), split)
    return Result(cell, "a machine", {"python": "3", "torch": "2"}, variants)


@pytest.fixture
def results() -> list[Result]:
    """The prototype's cells, on one thread."""
    return [make_result(Cell(1024, sparsity, 4, 256, 1), taken) for sparsity, taken in PROTOTYPE.items()]
