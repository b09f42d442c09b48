"""From raw seconds to the numbers that are shown. No torch, no drawing."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench.cells import Measurement, Result

RIVALS = ("dense", "dense_bf16")


@dataclass(frozen=True)
class Spread:
    """A median and its quartiles."""

    low: float
    middle: float
    high: float


def spread(values: list[float]) -> Spread:
    """Of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def milliseconds(measured: Measurement) -> Spread:
    """Of a step, over the turns."""
    return spread([1e3 * seconds for seconds in measured.seconds])


def tokens_per_second(result: Result, variant: str) -> float:
    """At the median turn."""
    return result.cell.batch * result.cell.time / statistics.median(result.variants[variant].seconds)


def speed_up(result: Result, variant: str, rival: str) -> Spread | None:
    """How many times as fast as the rival: ratios of turns of the same round; None if either was not measured."""
    if variant not in result.variants or rival not in result.variants:
        return None
    pairs = zip(result.variants[rival].seconds, result.variants[variant].seconds, strict=True)
    return spread([slow / fast for slow, fast in pairs])


def state_ratio(result: Result, variant: str) -> float | None:
    """Bytes the sparsified layers keep under the textbook way, over those under a variant."""
    if variant not in result.variants:
        return None
    return result.variants["textbook"].state.total / result.variants[variant].state.total


@dataclass(frozen=True)
class Setting:
    """What a figure and a table hold fixed."""

    tokens: str
    threads: int


def in_words(threads: int) -> str:
    """A number of threads."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def settings(results: list[Result]) -> list[Setting]:
    """Those that were measured, by tokens a step, then threads."""
    shapes = {(result.cell.batch * result.cell.time, result.cell.tokens, result.cell.threads) for result in results}
    return [Setting(tokens, threads) for _, tokens, threads in sorted(shapes)]


def of_setting(results: list[Result], setting: Setting) -> list[Result]:
    """Cells of a setting, by width, then sparsity."""
    chosen = [each for each in results if Setting(each.cell.tokens, each.cell.threads) == setting]
    return sorted(chosen, key=lambda each: (each.cell.width, each.cell.sparsity))


def widths(results: list[Result]) -> list[int]:
    """Those that were measured."""
    return sorted({result.cell.width for result in results})


def variants(results: list[Result]) -> list[str]:
    """Those that were measured in any cell, in the order of measuring."""
    return list(dict.fromkeys(name for result in results for name in result.variants))


@dataclass(frozen=True)
class Curve:
    """Speed-up over the textbook way of one variant at one width, by rising sparsity."""

    variant: str
    width: int
    sparsities: tuple[float, ...]
    speed_ups: tuple[Spread, ...]


def curves(results: list[Result]) -> list[Curve]:
    """Of cells of one setting: a curve for each width and variant."""
    every_curve = []
    for width in widths(results):
        for name in variants(results):
            points = [
                (result.cell.sparsity, ratio)
                for result in results
                if result.cell.width == width and (ratio := speed_up(result, name, "textbook")) is not None
            ]
            if points:
                every_curve.append(Curve(name, width, *zip(*sorted(points, key=lambda point: point[0]), strict=True)))
    return every_curve


@dataclass(frozen=True)
class Crossover:
    """Where a variant overtakes a rival.

    Attributes:
        variant, rival, width: which.
        sparsity: from which on it is ahead up to the sparsest cell; None if it is not ahead there.
        is_bound: it is ahead at every cell, and ``sparsity`` is the densest.
        speed_up: of the variant over the textbook way there.
    """

    variant: str
    rival: str
    width: int
    sparsity: float | None
    is_bound: bool
    speed_up: float | None


def crossover(results: list[Result], variant: str, rival: str, width: int) -> Crossover | None:
    """Interpolated in the logarithms of density and ratio; None where not both were measured.

    Args:
        results: of one setting.
        variant, rival, width: which.
    """
    points = []
    for result in sorted((each for each in results if each.cell.width == width), key=lambda each: each.cell.sparsity):
        ahead, over = speed_up(result, variant, rival), speed_up(result, variant, "textbook")
        if ahead is not None and over is not None:
            points.append((result.cell.sparsity, math.log(ahead.middle), math.log(over.middle)))
    if not points:
        return None
    if points[-1][1] <= 0:
        return Crossover(variant, rival, width, None, False, None)
    behind = [index for index, point in enumerate(points) if point[1] <= 0]
    if not behind:
        return Crossover(variant, rival, width, points[0][0], True, math.exp(points[0][2]))
    (s0, before, over0), (s1, after, over1) = points[behind[-1]], points[behind[-1] + 1]
    part = -before / (after - before)
    density = (1 - s0) * ((1 - s1) / (1 - s0)) ** part
    return Crossover(variant, rival, width, 1 - density, False, math.exp(over0 + part * (over1 - over0)))


def crossovers(results: list[Result]) -> list[Crossover]:
    """Of cells of one setting: of every variant whose cost depends on density over every rival, at every width."""
    names = [name for name in variants(results) if name not in ("textbook", "masked", *RIVALS)]
    candidates = [
        crossover(results, name, rival, width) for width in widths(results) for rival in RIVALS for name in names
    ]
    return [each for each in candidates if each is not None]


def sparse_variant(results: list[Result]) -> str | None:
    """The variant whose step is shown part by part: what a person gets who asks for nothing, else the next best."""
    return next((name for name in ("auto", "native", "csr") if name in variants(results)), None)


def shares(measured: Measurement) -> dict[str, float]:
    """Parts of a step as fractions of the whole."""
    whole = sum(measured.split.values())
    return {part: seconds / whole for part, seconds in measured.split.items()}


def part_milliseconds(measured: Measurement) -> dict[str, float]:
    """Of the median step, by the shares of steps that had clocks in them, which take longer."""
    return {part: share * milliseconds(measured).middle for part, share in shares(measured).items()}
