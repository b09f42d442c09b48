"""A timing is doubted for its spread, and beside layers that have no less to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import torch

from smupar_transfer.sparsity import Timing, Workload
from smupar_transfer.sparsity.autotune.doubt import OUT_OF_LINE, doubt, is_old

WORK = Workload(64, 32, nonzero=512, full=False, tokens=256, threads=1)


def timings(spread: float = 0.0, **seconds: float) -> dict[str, Timing]:
    date = datetime.now(UTC).isoformat()
    return {name: Timing(value, 0.5, 4.0, spread, date) for name, value in seconds.items()}


def beside(work: Workload, **seconds: float) -> dict[str, dict[str, Timing]]:
    return {str(work): timings(**seconds)}


def test_alone_and_narrow_it_is_not_doubted() -> None:
    mine = timings(masked=1.0, native=3.0)
    assert doubt(WORK, mine, {}) == doubt(WORK, mine, {str(WORK): mine, "no workload": mine}) == ""


def test_a_large_spread_is_doubted() -> None:
    assert doubt(WORK, {**timings(masked=1.0), **timings(0.3, native=1.0)}, {}) == "spread of 30%"


@pytest.mark.parametrize("nonzero", [256, 1024])
@pytest.mark.parametrize(("times", "doubted"), [(1.05, True), (0.95, False)])
def test_dense_products_take_as_long_at_any_density(nonzero: int, times: float, doubted: bool) -> None:
    known = beside(replace(WORK, nonzero=nonzero), masked=1.0)
    assert bool(doubt(WORK, timings(masked=times * OUT_OF_LINE), known)) == doubted


@pytest.mark.parametrize(("nonzero", "doubted"), [(256, False), (1024, True)])
def test_sparse_ones_take_no_longer_than_those_of_more_weights(nonzero: int, doubted: bool) -> None:
    known = beside(replace(WORK, nonzero=nonzero), native=1.0)
    assert bool(doubt(WORK, timings(native=2.0), known)) == doubted


@pytest.mark.parametrize(
    "changes",
    [{"fan_in": 64}, {"tokens": 128}, {"threads": 2}, {"precision": torch.bfloat16}, {"dtype": torch.float64}],
)
def test_only_layers_alike_are_compared(changes: dict[str, Any]) -> None:
    known = beside(replace(WORK, nonzero=1024, **changes), masked=1.0)
    assert doubt(WORK, timings(masked=100.0), known) == ""
    assert doubt(WORK, timings(masked=100.0), beside(replace(WORK, nonzero=1024), masked=1.0))


def test_age_is_that_of_the_oldest() -> None:
    now = datetime.now(UTC)
    ages = {
        name: Timing(1.0, 0.0, 0.0, 0.0, (now - timedelta(hours=hours)).isoformat())
        for name, hours in (("masked", 2.0), ("csr", 0.5))
    }
    assert is_old(ages)
    assert not is_old({"csr": ages["csr"]})
