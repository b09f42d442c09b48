"""Is the joint optimum of two hyperparameters where it was?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.verification.asked import HYPERPARAMETER_WORDS, design_of, place_label, proxy_log2
from smupar_transfer.verification.cells import apart, runs_table
from smupar_transfer.verification.contours import (
    JointOptimum,
    Surface,
    joint_optima,
    joint_table,
    surface_table,
    surfaces,
)
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.figures.contours import Contours, draw_contours
from smupar_transfer.verification.fit import Status
from smupar_transfer.verification.kinds.verdicts import LARGEST_DRIFT, STAYS, held_by_theory, judged
from smupar_transfer.verification.labels import label
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.wording import fixed, loss, signed, span

RANGE = 0.8  # nats above the best loss that contours show
LEVELS = 17


@dataclass(frozen=True, eq=False)
class Surfaces:
    """A family of surfaces, from the proxy's end of the axis on."""

    label: str
    cells: tuple[Surface, ...]


def by_family(found: Sequence[Surface], design: Design) -> list[Surfaces]:
    """The families of a sweep, in the order of its surfaces."""
    members: dict[str, list[Surface]] = {}
    for surface, settings in zip(found, apart(found, design), strict=True):
        members.setdefault(label(surface.parametrization, settings), []).append(surface)
    outwards = -1 if design.axis == "sparsity" else 1
    return [
        Surfaces(name, tuple(sorted(own, key=lambda one: outwards * one.place(design.axis))))
        for name, own in members.items()
    ]


@dataclass(frozen=True, eq=False)
class Move:
    """How far the joint optimum of a family moved from its first cell to that where it lies farthest away.

    Attributes:
        octaves: along both hyperparameters, signed.
        least, most: octaves along one of them, from the first cell to any, that the intervals leave, and that they
            allow; NaN without intervals.
        exact: all optima of the family came from fits with intervals.
    """

    family: Surfaces
    octaves: tuple[float, float]
    least: float
    most: float
    exact: bool


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    design = design_of(manifest)
    found = surfaces(runs_table(records), design)
    optima = dict(zip(map(id, found), joint_optima(found), strict=True))
    ordered = by_family(found, design)
    moves = [move for family in ordered if (move := moved(family, optima)) is not None]
    rate, other = (proxy_log2(manifest, name) for name in design.swept)
    panels = contour_panels(ordered, optima, design, None if rate is None or other is None else (rate, other))
    (first, x), (second, y) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    return Outcome(
        sentence=sentence(moves, design),
        claim=f"{STAYS}, along either hyperparameter",
        verdict=judged(
            [move.least > LARGEST_DRIFT for move in moves if _held(move)],
            [move.exact and max(map(abs, move.octaves)) <= LARGEST_DRIFT for move in moves if _held(move)],
            [move.most <= LARGEST_DRIFT for move in moves if _held(move)],
        ),
        notes=(),
        tables=(
            _optimum_table(ordered, optima, design),
            Table("contours", "", "", surface_table(found, design), (), ()),
        ),
        pictures=(
            Picture(
                manifest.name,
                f"Loss over {first} and {second}, mean over seeds. Star: optimum, open where it is a bound, with its "
                "95 % region; cross: tuned on the proxy; dots: runs; grey: worse than the scale, or diverged.",
                draw_contours(panels, contour_levels(panels), f"log2 base {first} {x}", f"log2 base {second} {y}"),
            ),
        ),
    )


def _held(move: Move) -> bool:
    return held_by_theory(move.family.cells[0])


def moved(family: Surfaces, optima: dict[int, JointOptimum]) -> Move | None:
    """From the first cell of a family to the one whose optimum lies farthest from it; None if there are not two."""
    trained = [optima[id(one)] for one in family.cells if optima[id(one)].status is not Status.NOTHING]
    if len(trained) < 2:
        return None
    first, *others = trained

    def steps(other: JointOptimum) -> tuple[float, float]:
        return other.log2_values[0] - first.log2_values[0], other.log2_values[1] - first.log2_values[1]

    farthest = max(others, key=lambda other: max(map(abs, steps(other))))
    ways = [(one, other) for rest in others for one, other in ((rest, first), (first, rest))]
    apart = [np.subtract(one.low, other.high) for one, other in ways if not math.isnan(one.low[0] + other.high[0])]
    least = np.max(apart) if apart else math.nan
    most = np.max([np.subtract(one.high, other.low) for one, other in ways])
    exact = all(one.status is Status.FIT and math.isfinite(one.high[0]) for one in trained)
    return Move(family, steps(farthest), float(least), float(most), exact)


def sentence(moves: Sequence[Move], design: Design) -> str:
    """What came out, in one sentence with numbers."""
    if not moves:
        return f"There is no family of runs with two places along {design.axis} yet."
    (first, _), (second, _) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    parts = [
        f"{move.family.label} {'' if move.exact else 'by about '}{signed(move.octaves[0], 2)} and "
        f"{signed(move.octaves[1], 2)} octaves"
        for move in moves
    ]
    return f"Along {design.axis} the joint optimum of {first} and {second} moved: {'; '.join(parts)}."


def contour_panels(
    ordered: Sequence[Surfaces],
    optima: dict[int, JointOptimum],
    design: Design,
    proxy: tuple[float, float] | None,
) -> list[Contours]:
    """A panel per cell, family by family."""
    panels = []
    for family in ordered:
        for surface in family.cells:
            optimum = optima[id(surface)]
            region = optimum.ellipse()
            means = np.where(np.isfinite(surface.mean_losses), surface.mean_losses, np.nan)
            panels.append(
                Contours(
                    title=f"{family.label}, {design.axis} {place_label(surface, design)}",
                    x=tuple(surface.log2_values[0]),
                    y=tuple(surface.log2_values[1]),
                    losses=tuple(map(tuple, means.T)),
                    optimum=None if optimum.status is Status.NOTHING else optimum.log2_values,
                    exact=optimum.status is Status.FIT,
                    region=tuple(map(tuple, region)) if np.isfinite(region).all() else (),
                    proxy=proxy,
                )
            )
    return panels


def contour_levels(panels: Sequence[Contours]) -> list[float]:
    """From the best loss of all panels on, closer together where it is low."""
    losses = [one for panel in panels for row in panel.losses for one in row if math.isfinite(one)]
    best = min(losses, default=0.0)
    return [best + RANGE * (index / (LEVELS - 1)) ** 2 for index in range(LEVELS)]


def _optimum_table(ordered: Sequence[Surfaces], optima: dict[int, JointOptimum], design: Design) -> Table:
    found = [surface for family in ordered for surface in family.cells]
    (_, x), (_, y) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    return Table(
        name="joint_optimum",
        title="Joint optimum of every cell",
        note="Fit: minimum of a quadratic through the bottom of the mean losses, with 95 % intervals of each "
        "coordinate by itself. Edge: best point of the grid, at its end.",
        frame=joint_table(found, [optima[id(surface)] for surface in found], design),
        columns=(
            "",
            design.axis,
            f"log2 {x}*",
            "95 % interval",
            f"log2 {y}*",
            "95 % interval",
            "found by",
            "best loss",
        ),
        rows=tuple(
            (family.label, place_label(surface, design), *_joint_row(optima[id(surface)]))
            for family in ordered
            for surface in family.cells
        ),
    )


def _joint_row(one: JointOptimum) -> tuple[str, ...]:
    sides = [(fixed(at, 2), span(low, high)) for at, low, high in zip(one.log2_values, one.low, one.high, strict=True)]
    return (*sides[0], *sides[1], str(one.status), loss(one.loss))
