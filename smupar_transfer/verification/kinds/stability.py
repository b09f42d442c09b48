"""Does the optimum stay put? Cells, drifts and regrets of a sweep as tables, figures and a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.asked import HYPERPARAMETER_WORDS, design_of, place_label, proxy_log2
from smupar_transfer.verification.cells import cells, runs_table, with_shared
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.drawn import (
    learning_curves,
    loss_panels,
    loss_range,
    optimum_tracks,
    regret_tracks,
    ticks_of,
)
from smupar_transfer.verification.family import FamilySummary, largest_known, summarise_families
from smupar_transfer.verification.figures.curves import draw_learning_curves
from smupar_transfer.verification.figures.stability import draw_loss_curves, draw_optimum_tracks, draw_regret
from smupar_transfer.verification.kinds.verdicts import LARGEST_DRIFT, STAYS, held_by_theory, judged
from smupar_transfer.verification.outcome import Outcome, Picture
from smupar_transfer.verification.stability import CellSummary, summarise
from smupar_transfer.verification.tables import cell_table, family_table
from smupar_transfer.verification.wording import bracketed, joined, percent

SPOKEN = 8
"""Families that a sentence names one by one."""


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    design = design_of(manifest)
    summaries = summarise(cells(runs_table(records), design), design, proxy_log2(manifest, design.swept[0]))
    found = summarise_families(summaries)
    return Outcome(
        sentence=sentence(found, design),
        claim=claim(found),
        verdict=verdict(found),
        notes=_notes(summaries, design),
        tables=(family_table(found, design), cell_table(summaries, design)),
        pictures=_pictures(manifest.name, summaries, design, records),
    )


def sentence(found: Sequence[FamilySummary], design: Design) -> str:
    """What came out, in one sentence with numbers."""
    if not found:
        return f"There is no family of runs with two places along {design.axis} yet."
    name, _ = HYPERPARAMETER_WORDS[design.swept[0]]
    ends = [[place_label(cell, design) for cell in (one.family.cells[0], one.family.cells[-1])] for one in found]
    reach = (
        f"From {design.axis} {ends[0][0]} to {ends[0][1]}" if ends.count(ends[0]) == len(ends) else "Within a family"
    )
    told = [_moved(one) for one in found] if len(found) <= SPOKEN else _by_parametrization(found)
    moved = f"{reach} the optimal {name} moved: {'; '.join(told)}."
    return with_shared(moved, (one.family for one in found))


def _by_parametrization(found: Sequence[FamilySummary]) -> list[str]:
    """The drifts of each parametrization, from least to most over its families; SuPar's one by one."""
    told: list[str] = []
    said = False  # which variants there are, of which the first parametrization tells
    for name in dict.fromkeys(one.family.parametrization for one in found):
        own = [one for one in found if one.family.parametrization == name]
        if name == "smupar" or len(own) == 1:
            told += map(_moved, own)
            continue
        least, most = (pick(own, key=lambda one: one.drift.value) for pick in (min, max))
        reach = f"{least.drift.value:.2f} to {most.drift.value:.2f} octaves"
        bound = "at least " if any(one.at_least for one in own) else ""
        variants = f" over {joined([one.family.variant for one in own])}" if not said else ""
        said = True
        told.append(f"{PARAMETRIZATIONS[name].title} {bound}{reach}{variants}{_cost(own)}")
    return told


def _moved(one: FamilySummary) -> str:
    amount = (
        f"{'at least ' if one.at_least else ''}{one.drift.value:.2f} octaves{bracketed(one.drift.low, one.drift.high)}"
    )
    return f"{one.family.label} {amount}{_cost([one])}"


def _cost(members: Sequence[FamilySummary]) -> str:
    """The largest zero-shot regret of these families, with a space before it; nothing if none is known."""
    regret = largest_known(one.largest_zero_shot_regret for one in members)
    if math.isnan(regret):
        return ""
    bound = " or more" if any(one.regret_at_least for one in members) else ""
    return f" (regret up to {percent(regret)}{bound})" if math.isfinite(regret) else " (carried over, a run diverged)"


def claim(found: Sequence[FamilySummary]) -> str:
    """What the theory says of these families."""
    own = [one.family.cells[0] for one in found if one.family.parametrization == "smupar"]
    return STAYS if all(map(held_by_theory, own)) else f"{STAYS}, unless weight decay is coupled"


def verdict(found: Sequence[FamilySummary]) -> str:
    """Whether the optimum stays put within ``LARGEST_DRIFT`` where the theory says that it does."""
    held = [one for one in found if held_by_theory(one.family.cells[0])]
    return judged(
        [one.drift.low > LARGEST_DRIFT or one.surely > LARGEST_DRIFT for one in held],
        [one.exact and one.drift.value <= LARGEST_DRIFT for one in held],
        [one.drift.high <= LARGEST_DRIFT for one in held],
    )


def _notes(summaries: Sequence[CellSummary], design: Design) -> tuple[str, ...]:
    lost = [f"{one.family.label} at {design.axis} {place_label(one.cell, design)}" for one in summaries if _lost(one)]
    return (f"No run trained under {joined(lost)}.",) if lost else ()


def _lost(one: CellSummary) -> bool:
    return math.isnan(one.optimum.log2_value)


def _pictures(
    name: str, summaries: Sequence[CellSummary], design: Design, records: Sequence[RunRecord]
) -> tuple[Picture, ...]:
    word, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    panels, ticks = loss_panels(summaries, design), ticks_of(summaries, design)
    swept = f"log2 base {word} {symbol}"
    curves = draw_loss_curves(panels, *loss_range(panels), swept, ticks.label)
    pictures = [
        Picture(
            name,
            f"Loss against {word}, mean over seeds with standard errors; open points: of fewer seeds than others. "
            f"Stars: optima, open where they are bounds. Dotted: {word} from the proxy.",
            curves,
        ),
        Picture(
            "optimum",
            f"Optimal {word} with 95 % intervals; open markers are bounds, arrows intervals without an end. Dotted: "
            "where it would be if it stayed put.",
            draw_optimum_tracks(optimum_tracks(summaries), ticks, f"log2 of the optimal base {word}"),
        ),
    ]
    if regrets := regret_tracks(summaries):
        words = (
            f"What it costs to use the proxy's {word} as it is; bars are a standard error each way, "
            "which a single seed does not give; open markers are lower bounds. Linear up to 1 %, logarithmic beyond. "
            "Crosses: diverged."
        )
        pictures.append(Picture("regret", words, draw_regret(regrets, ticks)))
    if trained := learning_curves(summaries, records, design):
        words = f"Validation loss while training, at the {word} of the grid nearest to the optimum; mean over seeds."
        pictures.append(Picture("learning", words, draw_learning_curves(trained, ticks.label)))
    return tuple(pictures)
