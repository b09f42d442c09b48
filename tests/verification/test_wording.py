"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from smupar_transfer.verification import wording

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.fixed(1.256, 2), "1.26"),
        (wording.fixed(NAN, 2), "-"),
        (wording.fixed(INF, 2), "-"),
        (wording.signed(0.25, 2), "+0.25"),
        (wording.signed(-0.25, 2), "-0.25"),
        (wording.signed(-0.001, 2), "0.00"),
        (wording.signed(NAN, 2), "-"),
        (wording.percent(12.346), "12.35 %"),
        (wording.percent(-0.5), "-0.50 %"),
        (wording.percent(INF), "diverged"),
        (wording.percent(NAN), "-"),
        (wording.loss(2.0), "2.0000"),
        (wording.loss(INF), "diverged"),
        (wording.loss(NAN), "-"),
        (wording.span(-1, 2), "-1.00 to 2.00"),
        (wording.span(-INF, 2), "-∞ to 2.00"),
        (wording.span(-1, INF), "-1.00 to ∞"),
        (wording.span(NAN, 2), "-"),
        (wording.bracketed(-1, 2), " [-1.00, 2.00]"),
        (wording.bracketed(NAN, NAN), ""),
        (wording.with_error(0.5, 0.25, 2), "0.50 ± 0.25"),
        (wording.with_error(0.5, NAN, 2), "0.50"),
        (wording.with_error(NAN, NAN), "-"),
        (wording.duration(12), "12.0 s"),
        (wording.duration(600), "10.0 min"),
        (wording.duration(7200), "2.00 h"),
        (wording.joined(["a"]), "a"),
        (wording.joined(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_are_said_as_expected(said: str, expected: str) -> None:
    assert said == expected
