"""Records and cells to draw and to write about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smupar_transfer.records import Manifest, RunRecord
from tests.statistics.conftest import make_cell, make_check, make_record, under_sgd

__all__ = ["make_cell", "make_check", "make_record", "under_sgd"]

MakeRecord = Callable[..., RunRecord]
MakeManifest = Callable[..., Manifest]
Parabolas = Callable[..., list[RunRecord]]


@pytest.fixture(scope="session")
def make_manifest() -> MakeManifest:
    """Of a sweep of these records."""

    def made(records: list[RunRecord], **asked: Any) -> Manifest:
        keys = tuple(record.key for record in records)
        return Manifest("a_sweep", "Does it move?", "It does.", "smupar sweep a_sweep", keys, -5.0, **asked)

    return made


@pytest.fixture(scope="session")
def parabolas(make_record: MakeRecord) -> Parabolas:
    """Runs whose losses are parabolas around given optima, by (parametrization, sparsity, width); a seed adds 0.01."""

    def made(
        optima: dict[tuple[str, float, int], float], seeds: tuple[int, ...] = (0, 1), top: float = 99.0
    ) -> list[RunRecord]:
        return [
            make_record(
                name,
                sparsity,
                rate,
                2.0 + 0.1 * (rate - optimum) ** 2 + 0.01 * seed if rate <= top else None,
                seed,
                width,
            )
            for (name, sparsity, width), optimum in optima.items()
            for rate in range(-8, -1)
            for seed in seeds
        ]

    return made
