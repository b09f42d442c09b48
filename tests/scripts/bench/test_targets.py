from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.cells import Cell, Result
from bench.targets import TARGETS, outcomes

Make = Callable[..., Result]


def _by_name(results: list[Result], threads: int = 1) -> dict[str, tuple[object, bool | None]]:
    return {outcome.target.name: (outcome.measured, outcome.met) for outcome in outcomes(results, threads)}


def test_targets_are_held_against_their_own_cells(results: list[Result]) -> None:
    by_name = _by_name(results)
    assert by_name["`auto` over textbook, width 1024, s = 0.5"] == (pytest.approx(2190 / 1248), False)
    assert by_name["`auto` over textbook, width 1024, s = 0.984"][0] == pytest.approx(2190 / 262)
    assert by_name["`auto` over textbook, width 1024, s = 0.9375"] == (None, None)
    assert by_name["`csr` over textbook, width 1024, s = 0.984"] == (pytest.approx(2190 / 623), False)
    assert by_name["state of sparsified layers, textbook over `auto`, s = 0.984"] == (pytest.approx(62.5), True)


def test_a_target_of_many_cells_is_as_good_as_its_worst(results: list[Result], make_result: Make) -> None:
    slowest, rival = "`auto` over textbook, slowest of all cells", "`auto` over dense bf16, slowest from s = 0.75 on"
    assert _by_name(results)[slowest] == (pytest.approx(2190 / 1248), True)
    assert _by_name(results)[rival] == (pytest.approx(980 / 863), True)  # at s = 0.5 it is behind, which is allowed
    worse = make_result(Cell(512, 0.75, 4, 256, 1), {"textbook": 9.0, "dense_bf16": 5.0, "auto": 10.0})
    assert _by_name([*results, worse])[slowest] == (pytest.approx(0.9), False)
    assert _by_name([*results, worse])[rival] == (pytest.approx(0.5), False)


def test_slower_than_masked_counts_beyond_noise_only(make_result: Make) -> None:
    name = "`auto` over `masked`, slowest of the cells with both, upper quartile"
    level = make_result(Cell(512, 0.25, 4, 256, 1), {"textbook": 1.0, "masked": 1.0, "auto": 1.0})

    def rounds(*auto: float) -> Result:
        taken = {"textbook": (1.0,) * len(auto), "masked": (1.0,) * len(auto), "auto": auto}
        return replace(
            level, variants={key: replace(level.variants[key], seconds=value) for key, value in taken.items()}
        )

    assert _by_name([rounds(1.1, 0.99, 1.03, 1.1, 0.98)])[name] == (pytest.approx(1 / 0.99), True)
    assert _by_name([rounds(1.1, 1.1, 1.1)])[name] == (pytest.approx(1 / 1.1), False)


def test_other_threads_are_other_cells(results: list[Result]) -> None:
    assert {met for _, met in _by_name(results, threads=2).values()} == {None}
    assert len(outcomes(results, 2)) == len(TARGETS)


def test_the_goals_themselves(make_result: Make) -> None:
    """Just reaching every number meets every target; a per mille less misses it."""
    goals = {(1024, 0.5): 1.8, (1024, 0.75): 2.7, (1024, 0.875): 5, (1024, 0.9375): 7, (1024, 0.984): 10}
    goals |= {(2048, 0.984): 12, (512, 0.9375): 5}

    def at(factor: float) -> list[Result]:
        return [
            make_result(
                Cell(width, sparsity, 4, 256, 1),
                {"textbook": factor * goal, "dense_bf16": 2, "masked": 2, "csr": goal / 4.0, "auto": 1.0},
            )
            for (width, sparsity), goal in goals.items()
        ]

    assert {outcome.met for outcome in outcomes(at(1.001), 1)} == {True}
    missed = [outcome.target.name for outcome in outcomes(at(0.999), 1) if not outcome.met]
    assert len(missed) == 8  # the seven above and csr
