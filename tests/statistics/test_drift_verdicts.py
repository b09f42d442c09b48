"""What counts as expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.statistics import Cell
from smupar_transfer.statistics.drift_verdicts import held_by_theory, judged


@pytest.mark.parametrize(
    ("against", "in_favour", "verdict"),
    [
        ([False, False], [True, True], "holds"),
        ([False, True], [True, False], "does not hold"),
        ([False, False], [True, False], "open"),
        ([], [], "open"),
    ],
)
def test_one_refutes_and_all_support(against: list[bool], in_favour: list[bool], verdict: str) -> None:
    assert judged(against, in_favour) == verdict


@pytest.mark.parametrize(
    ("against", "in_favour", "surely", "verdict"),
    [
        ([False, False], [True, True], [True, True], "holds"),
        ([False, False], [True, True], [True, False], "holds by its estimate, not by its interval"),
        ([False, False], [True, False], [True, True], "open"),
        ([True, False], [True, True], [True, True], "does not hold"),
    ],
)
def test_an_interval_that_reaches_beyond_is_told(
    against: list[bool], in_favour: list[bool], surely: list[bool], verdict: str
) -> None:
    assert judged(against, in_favour, surely) == verdict


@pytest.mark.parametrize(
    ("name", "decay", "form", "held"),
    [
        ("smupar", 0.0, "coupled", True),
        ("smupar", 0.1, "independent", True),
        ("smupar", 0.1, "coupled", False),
        ("mup", 0.0, "independent", False),
        ("sp", 0.0, "independent", False),
    ],
)
def test_the_theory_holds_supar_alone(
    make_cell: Callable[..., Cell], name: str, decay: float, form: str, held: bool
) -> None:
    cell = make_cell([[2.1, 2.0, 2.1]], parametrization=name, weight_decay=decay, weight_decay_form=form)
    assert held_by_theory(cell) is held
