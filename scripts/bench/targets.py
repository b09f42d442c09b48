"""What sparse compute set out to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.cells import Result
from bench.numbers import Spread, speed_up, state_ratio

TOKENS = "4x256"

Measure = Callable[[Result], float | None]


@dataclass(frozen=True)
class Target:
    """A number that should be reached in every cell that it speaks of.

    Attributes:
        name: as people read it.
        at_least: the number.
        applies: whether it speaks of a cell.
        measure: the number in a cell; None where it was not measured.
    """

    name: str
    at_least: float
    applies: Callable[[Result], bool]
    measure: Measure


@dataclass(frozen=True)
class Outcome:
    """A target against the worst of its cells; ``measured`` is None if it has none."""

    target: Target
    threads: int
    measured: float | None

    @property
    def met(self) -> bool | None:
        """None if nothing was measured."""
        return None if self.measured is None else self.measured >= self.target.at_least


def _ratio(variant: str, rival: str, of: Callable[[Spread], float] = lambda spread: spread.middle) -> Measure:
    """The speed-up, ``of`` its median and quartiles over rounds; None if either was not measured."""

    def measure(result: Result) -> float | None:
        spread = speed_up(result, variant, rival)
        return None if spread is None else of(spread)

    return measure


def _at(width: int, sparsity: float) -> Callable[[Result], bool]:
    return lambda result: (result.cell.width, result.cell.sparsity, result.cell.tokens) == (width, sparsity, TOKENS)


def _faster(width: int, sparsity: float, at_least: float, variant: str = "auto") -> Target:
    name = f"`{variant}` over textbook, width {width}, s = {sparsity:g}"
    return Target(name, at_least, _at(width, sparsity), _ratio(variant, "textbook"))


TARGETS = (
    _faster(1024, 0.5, 1.8),
    _faster(1024, 0.75, 2.7),
    _faster(1024, 0.875, 5.0),
    _faster(1024, 0.9375, 7.0),
    _faster(1024, 0.984, 10.0),
    _faster(2048, 0.984, 12.0),
    _faster(512, 0.9375, 5.0),
    Target("`auto` over textbook, slowest of all cells", 1.0, lambda _: True, _ratio("auto", "textbook")),
    Target(
        "`auto` over `masked`, slowest of the cells with both, upper quartile",
        1.0,
        lambda _: True,
        _ratio("auto", "masked", lambda spread: spread.high),  # below 1, slower in three rounds of four
    ),
    Target(
        "`auto` over dense bf16, slowest from s = 0.75 on",
        1.0,
        lambda result: result.cell.sparsity >= 0.75 and result.cell.tokens == TOKENS,
        _ratio("auto", "dense_bf16"),
    ),
    _faster(1024, 0.984, 4.0, "csr"),
    Target(
        "state of sparsified layers, textbook over `auto`, s = 0.984",
        40.0,
        lambda result: result.cell.sparsity == 0.984,
        lambda result: state_ratio(result, "auto"),
    ),
)


def outcomes(results: list[Result], threads: int) -> list[Outcome]:
    """Every target against the cells of a number of threads."""
    judged = []
    for target in TARGETS:
        cells = [result for result in results if result.cell.threads == threads and target.applies(result)]
        values = [value for value in map(target.measure, cells) if value is not None]
        judged.append(Outcome(target, threads, min(values, default=None)))
    return judged
