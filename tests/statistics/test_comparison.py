"""One target under several parametrizations."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.statistics.comparison import Comparison, best_log2_rate, compare

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def comparisons(make_record: MakeRecord) -> dict[str, Comparison]:
    records = [
        make_record("smupar", 0.9375, -5.0, 2.05),
        make_record("sp", 0.9375, -3.0, 2.2),
        make_record("sp", 0.9375, -5.0, 2.5),
        make_record("sp", 0.9375, -4.0, 2.0),
        make_record("mup", 0.9375, -5.0, None),
        make_record("mup", 0.9375, -6.0, 2.75),
    ]
    return {item.name: item for item in compare(records, -5.0)}


def test_parametrizations_come_in_the_order_of_the_theory(comparisons: dict[str, Comparison]) -> None:
    assert list(comparisons) == ["sp", "mup", "smupar"]
    assert [item.title for item in comparisons.values()] == ["SP", "μP", "SμPar"]


def test_zero_shot_is_compared_with_direct_tuning(comparisons: dict[str, Comparison]) -> None:
    sp = comparisons["sp"]
    assert (sp.zero_shot, sp.tuned, sp.tuned_log2_rate, sp.was_tuned) == (2.5, 2.0, -4.0, True)
    assert (sp.rates, sp.losses) == ((-5.0, -4.0, -3.0), (2.5, 2.0, 2.2))
    assert (sp.regret_percent, sp.regret_to_best_percent) == (25.0, 25.0)


def test_a_best_at_the_end_of_its_grid_is_told(make_record: MakeRecord) -> None:
    losses = {"sp": (2.5, 2.0, 2.2), "smupar": (2.0, 2.1, 2.2), "mup": (2.2, 2.1, 2.0)}
    records = [
        make_record(name, log2_rate=-6.0 + n, loss=loss) for name, row in losses.items() for n, loss in enumerate(row)
    ]
    assert {item.name: item.at_edge for item in compare(records, -5.0)} == {"sp": False, "mup": True, "smupar": True}
    beside = [(-6.0, 2.5), (-5.0, 2.0), (-4.0, None)]
    (walled,) = compare([make_record("sp", log2_rate=rate, loss=loss) for rate, loss in beside], -5.0)
    assert walled.at_edge, "beside a run that diverged"
    (alone,) = compare([make_record("sp", log2_rate=-5.0, loss=2.0)], -5.0)
    assert not alone.at_edge, "it was not tuned"


def test_a_single_run_was_not_tuned(comparisons: dict[str, Comparison]) -> None:
    smupar = comparisons["smupar"]
    assert (smupar.zero_shot, smupar.tuned, smupar.was_tuned, smupar.regret_percent) == (2.05, 2.05, False, None)
    assert smupar.regret_to_best_percent == pytest.approx(2.5), "the best of all is SP, tuned directly"


def test_a_zero_shot_run_that_diverged_has_no_regret(comparisons: dict[str, Comparison]) -> None:
    mup = comparisons["mup"]
    assert (mup.zero_shot, mup.tuned, mup.tuned_log2_rate) == (math.inf, 2.75, -6.0)
    assert (mup.regret_percent, mup.regret_to_best_percent) == (None, None)
    assert mup.losses == (2.75, math.inf)


def test_the_zero_shot_run_is_the_one_nearest_to_the_rate(make_record: MakeRecord) -> None:
    rate = math.log2(0.0123)
    records = [make_record(log2_rate=rate + octaves, loss=2.0 + abs(octaves - 1)) for octaves in (-1, 0, 1)]
    (item,) = compare(records, rate + 1e-12)
    assert (item.zero_shot, item.tuned) == (3.0, 2.0)
    assert item.tuned_log2_rate == pytest.approx(rate + 1)


def test_a_rate_that_was_tuned_dense_is_a_comparison_of_its_own(make_record: MakeRecord) -> None:
    records = [make_record("sp", 0.9375, rate, loss) for rate, loss in ((-5.0, 2.5), (-4.0, 2.0), (-3.0, 2.25))]
    sp, reused = compare([*records, make_record("smupar", 0.9375, -5.0, 1.8)], -5.0, {"sp": -3.0})[:2]
    assert (reused.title, reused.tuned_dense, sp.tuned_dense) == ("SP tuned dense, re-used", True, False)
    assert (reused.zero_shot, reused.tuned, reused.regret_percent) == (2.25, 2.0, 12.5)
    assert reused.regret_to_best_percent == pytest.approx(25.0)
    assert sp.zero_shot == 2.5


def test_the_best_rate_is_that_of_the_smallest_loss(make_record: MakeRecord) -> None:
    records = [make_record("sp", 0.0, rate, loss) for rate, loss in ((-5.0, 2.5), (-4.0, 2.0), (-3.0, None))]
    assert best_log2_rate(records) == -4.0
    assert best_log2_rate(records[2:]) is None, "it diverged"


def test_no_records_make_no_comparison() -> None:
    assert compare([], -5.0) == []
