"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from smupar_transfer.reporting import number_format

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (number_format.fixed(1.256, 2), "1.26"),
        (number_format.fixed(NAN, 2), "-"),
        (number_format.fixed(INF, 2), "-"),
        (number_format.signed(0.25, 2), "+0.25"),
        (number_format.signed(-0.25, 2), "-0.25"),
        (number_format.signed(-0.001, 2), "0.00"),
        (number_format.signed(NAN, 2), "-"),
        (number_format.percent(12.346), "12.35 %"),
        (number_format.percent(-0.5), "-0.50 %"),
        (number_format.percent(INF), "diverged"),
        (number_format.percent(NAN), "-"),
        (number_format.loss(2.0), "2.0000"),
        (number_format.loss(INF), "diverged"),
        (number_format.loss(NAN), "-"),
        (number_format.loss(None), "diverged"),
        (number_format.loss(0.12345), "0.1235"),
        (number_format.significant(None), "-"),
        (number_format.significant(NAN), "-"),
        (number_format.significant(1 / 3), "0.3333"),
        (number_format.significant(2.0**-6), "0.01562"),
        (number_format.significant(0), "0"),
        (number_format.significant(1 / 3, 2), "0.33"),
        (number_format.span(-1, 2), "-1.00 to 2.00"),
        (number_format.span(-INF, 2), "-∞ to 2.00"),
        (number_format.span(-1, INF), "-1.00 to ∞"),
        (number_format.span(NAN, 2), "-"),
        (number_format.bracketed(-1, 2), " [-1.00, 2.00]"),
        (number_format.bracketed(NAN, NAN), ""),
        (number_format.with_error(0.5, 0.25, 2), "0.50 ± 0.25"),
        (number_format.with_error(0.5, NAN, 2), "0.50"),
        (number_format.with_error(NAN, NAN), "-"),
        (number_format.duration(12), "12.0 s"),
        (number_format.duration(600), "10.0 min"),
        (number_format.duration(7200), "2.00 h"),
        (number_format.duration(7200, hour_digits=1), "2.0 h"),
        (number_format.joined(["a"]), "a"),
        (number_format.joined(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_are_said_as_expected(said: str, expected: str) -> None:
    assert said == expected
