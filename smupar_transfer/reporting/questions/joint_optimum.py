"""Is the joint optimum of two hyperparameters where it was?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smupar_transfer.records import Design
from smupar_transfer.reporting.figures.contours import Contours, draw_contours
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, fixed, loss, signed, span
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table, smallest
from smupar_transfer.reporting.questions.verdicts import BOLD, STAYS, said_of
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS, position_label, proxy_log2
from smupar_transfer.statistics import Status
from smupar_transfer.statistics.cell import apart
from smupar_transfer.statistics.drift_verdicts import LARGEST_DRIFT, SEVERITY, STAYING, held_by_theory, judged, worst
from smupar_transfer.statistics.joint_optimum import (
    JointOptimum,
    Surface,
    joint_optima,
    joint_table,
    surface_table,
    surfaces,
)
from smupar_transfer.statistics.labels import label

RANGE = 0.8  # nats above the best loss that contours show
LEVELS = 17
"""Of the contours, the best loss and the end of ``RANGE`` included."""


@dataclass(frozen=True, eq=False)
class Surfaces:
    """A family of surfaces, from the proxy's end of the axis on."""

    label: str
    cells: tuple[Surface, ...]


def by_family(surfaces: Sequence[Surface], design: Design) -> list[Surfaces]:
    """The families of a sweep, in the order of its surfaces."""
    members: dict[str, list[Surface]] = {}
    for surface, settings in zip(surfaces, apart(surfaces, design), strict=True):
        members.setdefault(label(surface.parametrization, settings), []).append(surface)
    # density falls away from the proxy, other scales grow
    outwards = -1 if design.axis == "sparsity" else 1
    return [
        Surfaces(name, tuple(sorted(own, key=lambda surface: outwards * surface.position(design.axis))))
        for name, own in members.items()
    ]


@dataclass(frozen=True, eq=False)
class Move:
    """How far the joint optimum of a family moved from its first cell to that where it lies farthest away.

    Attributes:
        family: The family that moved.
        octaves: How far it moved along both hyperparameters, signed.
        least: The octaves along one of them, from the first cell to any, that the intervals leave; NaN without
            intervals.
        most: The octaves along one of them, from the first cell to any, that the intervals allow; NaN without
            intervals.
        exact: Whether all optima of the family came from fits with intervals.
    """

    family: Surfaces
    octaves: tuple[float, float]
    least: float
    most: float
    exact: bool

    @property
    def farthest(self) -> float:
        """Octaves along the hyperparameter along which it moved farther."""
        return max(map(abs, self.octaves))


def _estimated(findings: Findings) -> tuple[list[Surface], dict[int, JointOptimum]]:
    """The surfaces of a sweep, and the optimum of each by its identity."""
    every_surface = surfaces(findings.runs, findings.design)
    # by identity: surfaces hold arrays, which have no hash
    return every_surface, dict(zip(map(id, every_surface), joint_optima(every_surface), strict=True))


@question("contours")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    design, (every_surface, optima) = findings.design, findings.once(_estimated)
    ordered = by_family(every_surface, design)
    moves = [move for family in ordered if (move := moved(family, optima)) is not None]
    return Outcome(
        sentence=sentence(moves, design),
        summary=summary(moves, optima, design),
        claim=f"{STAYS}, along either hyperparameter",
        verdict=worst(staying(move) for move in moves if _held(move)),
        notes=(),
        tables=(
            _optimum_table(ordered, optima, design),
            Table("contours", "", "", surface_table(every_surface, design), (), ()),
        ),
    )


@register_figure("contours")
def contours(findings: Findings) -> Picture:
    """Loss over both hyperparameters, a panel a cell."""
    design, (every_surface, optima) = findings.design, findings.once(_estimated)
    rate, other = (proxy_log2(findings.manifest, name) for name in design.swept)
    proxy = None if rate is None or other is None else (rate, other)
    panels = contour_panels(by_family(every_surface, design), optima, design, proxy)
    (first, x), (second, y) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    return Picture(
        findings.manifest.name,
        f"Loss over {first} and {second}, mean over seeds. The star is the optimum, open where it is a "
        "bound, with its 95 % region as a dashed line; the cross is what was tuned on the proxy; dots are "
        "runs. Grey is what lies above the scale, or diverged.",
        draw_contours(panels, contour_levels(panels), f"log2 base {first} {x}", f"log2 base {second} {y}"),
    )


def _held(move: Move) -> bool:
    return held_by_theory(move.family.cells[0])


def moved(family: Surfaces, optima: dict[int, JointOptimum]) -> Move | None:
    """From the first cell of a family to the one whose optimum lies farthest from it; None if there are not two."""
    every = [optima[id(surface)] for surface in family.cells]
    trained = [optimum for optimum in every if optimum.status is not Status.NOTHING]
    if len(trained) < 2:
        return None
    first, *others = trained

    def steps(other: JointOptimum) -> tuple[float, float]:
        return other.log2_values[0] - first.log2_values[0], other.log2_values[1] - first.log2_values[1]

    farthest = max(others, key=lambda other: max(map(abs, steps(other))))
    ways = [pair for other in others for pair in ((other, first), (first, other))]
    # by how much an interval lies beyond the first one, in either direction
    apart = [np.subtract(to.low, start.high) for to, start in ways if not math.isnan(to.low[0] + start.high[0])]
    least = np.max(apart) if apart else math.nan
    most = np.max([np.subtract(to.high, start.low) for to, start in ways])
    exact = all(optimum.status is Status.FIT and math.isfinite(optimum.high[0]) for optimum in trained)
    return Move(family, steps(farthest), float(least), float(most), exact)


def staying(move: Move) -> str:
    """The verdict on the claim that a joint optimum stays within ``LARGEST_DRIFT`` along either hyperparameter."""
    return judged(
        [move.least > LARGEST_DRIFT],
        [move.exact and move.farthest <= LARGEST_DRIFT],
        [move.most <= LARGEST_DRIFT],
    )


def sentence(moves: Sequence[Move], design: Design) -> str:
    """The verdict in plain words, with the drift of the family that decides it."""
    if not moves:
        return f"There is no family of runs with two places along {design.axis} yet."
    (first, _), (second, _) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    subject = f"SμPar's joint optimum of {first} and {second}"
    held = [move for move in moves if _held(move)]
    if not held:
        return f"No runs here say whether {subject} stays put."
    # of all with the worst verdict that which moves farthest: no sentence may sound better than its verdict
    decides = max(held, key=lambda move: (SEVERITY.index(staying(move)), move.farthest))
    start, end = (position_label(decides.family.cells[at], design) for at in (0, -1))
    whose = "it" if len(held) == 1 else f"{decides.family.label}'s"
    return said_of(
        staying(decides),
        subject,
        f"from {design.axis} {start} to {end}",
        f"{whose} drifts by {_drift(decides, ' octaves')}",
    )


def _drift(move: Move, unit: str = "") -> str:
    # below 0 the intervals overlap, and it may not have moved at all
    low = math.nan if math.isnan(move.least) else max(0.0, move.least)
    return f"{'' if move.exact else 'about '}{move.farthest:.2f}{unit}{bracketed(low, move.most)}"


def summary(moves: Sequence[Move], optima: dict[int, JointOptimum], design: Design) -> Summary:
    """A row a family: how far its joint optimum drifts, along each hyperparameter, and how good it is at the end."""
    (first, x), (second, y) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    losses = [optima[id(move.family.cells[-1])].loss for move in moves]
    best = smallest(1, [move.farthest for move in moves], [move.exact for move in moves])
    return Summary(
        columns=("", "drift (octaves)", f"along {x}", f"along {y}", "best loss (nats)", "verdict"),
        rows=tuple(
            (
                move.family.label,
                _drift(move),
                *(signed(way, 2) for way in move.octaves),
                loss(best_loss),
                STAYING[staying(move)],
            )
            for move, best_loss in zip(moves, losses, strict=True)
        ),
        best=best | smallest(4, losses),
        note=f"Drift is how far the joint optimum of {first} and {second} moves from the first {design.axis} to that "
        "at which it lies farthest away, along the hyperparameter along which it moves farther, with its 95 % "
        f"interval; the loss is the best at the last {design.axis}. {BOLD}",
    )


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
            # matplotlib would draw a path through NaN in pieces: no region rather than half of one
            region = optimum.ellipse()
            means = np.where(np.isfinite(surface.mean_losses), surface.mean_losses, np.nan)
            panels.append(
                Contours(
                    title=f"{family.label}, {design.axis} {position_label(surface, design)}",
                    x=tuple(surface.log2_values[0]),
                    y=tuple(surface.log2_values[1]),
                    # turned: a row of the figure is a value of the second hyperparameter
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
    losses = [value for panel in panels for row in panel.losses for value in row if math.isfinite(value)]
    best = min(losses, default=0.0)
    # near its minimum a loss grows with the square of the distance: so contours lie evenly apart
    return [best + RANGE * (index / (LEVELS - 1)) ** 2 for index in range(LEVELS)]


def _optimum_table(ordered: Sequence[Surfaces], optima: dict[int, JointOptimum], design: Design) -> Table:
    surfaces = [surface for family in ordered for surface in family.cells]
    (_, x), (_, y) = (HYPERPARAMETER_WORDS[name] for name in design.swept)
    return Table(
        name="joint_optimum",
        title="Joint optimum of every cell",
        note="An optimum is found by a fit, the minimum of a quadratic through the bottom of the mean losses, with a "
        "95 % interval for each coordinate by itself; or it lies at the edge, where it is the best point of the grid "
        "and a bound.",
        frame=joint_table(surfaces, [optima[id(surface)] for surface in surfaces], design),
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
            (family.label, position_label(surface, design), *_joint_row(optima[id(surface)]))
            for family in ordered
            for surface in family.cells
        ),
    )


def _joint_row(optimum: JointOptimum) -> tuple[str, ...]:
    sides = [
        (fixed(at, 2), span(low, high))
        for at, low, high in zip(optimum.log2_values, optimum.low, optimum.high, strict=True)
    ]
    return (*sides[0], *sides[1], str(optimum.status), loss(optimum.loss))
