"""What an analysis hands to those who write pages."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from smupar_transfer.reporting.card import TONES
from smupar_transfer.reporting.outcome import smallest
from smupar_transfer.statistics.drift_verdicts import DOES_NOT_HOLD, HOLDS
from tests.reporting.results import an_outcome


@pytest.mark.parametrize(
    ("values", "exact", "rows"),
    [
        ([3.0, 1.0, 2.0], None, {1}),
        ([1.0, 1.0, 2.0], None, {0, 1}),
        ([math.nan, 2.0, math.inf], None, {1}),
        ([math.nan, math.inf], None, set()),
        ([1.0], None, set()),
        ([], None, set()),
        ([1.0, 2.0], [True, False], {0}),
        ([1.0, 2.0], [False, True], set()),
    ],
)
def test_the_smallest_is_the_best_unless_it_is_a_bound(
    values: list[float], exact: list[bool] | None, rows: set[int]
) -> None:
    assert smallest(4, values, exact) == {(row, 4) for row in rows}


def test_what_claims_nothing_is_judged_by_nothing() -> None:
    assert an_outcome().judgement == "Claim: SμPar stays put. Verdict: holds."
    assert replace(an_outcome(), claim="").judgement == ""


def test_looks_are_those_of_verdicts() -> None:
    assert (TONES[HOLDS], TONES[DOES_NOT_HOLD]) == ("good", "bad")
