"""Does the optimum stay put? Cells, drifts and regrets of a sweep as tables, figures and a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smupar_transfer.records import Design
from smupar_transfer.reporting.figure_data import (
    learning_curves,
    loss_panels,
    loss_range,
    optimum_tracks,
    regret_tracks,
    ticks_of,
)
from smupar_transfer.reporting.figures.curves import draw_learning_curves
from smupar_transfer.reporting.figures.stability import draw_loss_curves, draw_optimum_tracks, draw_regret
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, joined, least, loss, percent
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, smallest
from smupar_transfer.reporting.questions.verdicts import BOLD, BOUND, STAYS, said_of
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.reporting.tables import cell_table, family_table
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS, position_label
from smupar_transfer.statistics import CellSummary, FamilySummary
from smupar_transfer.statistics.cell import shared_words
from smupar_transfer.statistics.drift_verdicts import (
    LARGEST_DRIFT,
    SEVERITY,
    STAYING,
    held_by_theory,
    staying,
    worst,
)


@question("stability")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    design, summaries, family_summaries = findings.design, findings.summaries, findings.families
    return Outcome(
        sentence=sentence(family_summaries, design),
        summary=summary(family_summaries, summaries, design),
        claim=claim(family_summaries),
        verdict=verdict(family_summaries),
        notes=_notes(summaries, design),
        tables=(family_table(family_summaries, design), cell_table(summaries, design)),
    )


def sentence(family_summaries: Sequence[FamilySummary], design: Design) -> str:
    """The verdict in plain words, with the drift of the family that decides it."""
    if not family_summaries:
        return f"There is no family of runs with two places along {design.axis} yet."
    name, _ = HYPERPARAMETER_WORDS[design.swept[0]]
    held = [summary for summary in family_summaries if held_by_theory(summary.family.cells[0])]
    if not held:
        return f"No runs here say whether SμPar's optimal {name} stays put."
    # of all with the worst verdict that which drifts farthest: no sentence may sound better than its verdict
    decides = max(held, key=lambda summary: (SEVERITY.index(staying(summary)), summary.drift.value))
    first, last = (position_label(decides.family.cells[end], design) for end in (0, -1))
    what = f"SμPar's optimal {name}", f"from {design.axis} {first} to {last}"
    variant = f"with {decides.family.variant} it" if len(held) > 1 else "it"
    return said_of(staying(decides), *what, f"{variant} drifts by {_amount(decides)}")


def _amount(summary: FamilySummary) -> str:
    bound = "at least " if summary.at_least else ""
    return f"{bound}{summary.drift.value:.2f} octaves{bracketed(summary.drift.low, summary.drift.high)}"


def summary(family_summaries: Sequence[FamilySummary], summaries: Sequence[CellSummary], design: Design) -> Summary:
    """A row a family: how far its optimum drifts, what that costs, and how good it is where it is hardest."""
    name, _ = HYPERPARAMETER_WORDS[design.swept[0]]
    of_cell = {id(cell_summary.cell): cell_summary for cell_summary in summaries}
    last = [of_cell[id(family_summary.family.cells[-1])] for family_summary in family_summaries]
    positions = {position_label(cell_summary.cell, design) for cell_summary in last}
    # families may end at different places, as where one diverged further out
    where = f"{design.axis} {positions.pop()}" if len(positions) == 1 else f"the last {design.axis} of each"
    best = smallest(1, [own.drift.value for own in family_summaries], [not own.at_least for own in family_summaries])
    regrets = [family_summary.largest_zero_shot_regret for family_summary in family_summaries]
    best |= smallest(2, regrets, [not family_summary.regret_at_least for family_summary in family_summaries])
    best |= smallest(3, [cell_summary.optimum.loss for cell_summary in last])
    shared = shared_words(family_summary.family for family_summary in family_summaries)
    note = (
        f"Drift is how far the optimal {name} moves, with its 95 % interval; the regret is the largest along the "
        f"way, the loss that of the best {name} at {where}. {_rule(family_summaries)} {BOLD} {BOUND}"
    )
    return Summary(
        columns=("", "drift (octaves)", "largest regret", "best loss (nats)", "verdict"),
        rows=tuple(
            (
                own.family.label,
                least(not own.at_least, f"{own.drift.value:.2f}") + bracketed(own.drift.low, own.drift.high),
                least(not own.regret_at_least, percent(own.largest_zero_shot_regret)),
                loss(end.optimum.loss),
                STAYING[staying(own)],
            )
            for own, end in zip(family_summaries, last, strict=True)
        ),
        best=best,
        note=note + (f" Where nothing else is said: {shared}." if shared else ""),
    )


def _rule(family_summaries: Sequence[FamilySummary]) -> str:
    """What verdicts go by; a drift whose interval alone would leave it open is explained where there is one."""
    apart = any(summary.surely > LARGEST_DRIFT >= summary.drift.low for summary in family_summaries)
    return (
        f"An optimum stays put if the whole interval of its drift keeps to {LARGEST_DRIFT} octaves, and moves if none "
        f"of it does{', or if the intervals of two optima lie farther apart than that' if apart else ''}."
    )


def claim(family_summaries: Sequence[FamilySummary]) -> str:
    """What the theory predicts for these families."""
    own = [summary.family.cells[0] for summary in family_summaries if summary.family.parametrization == "smupar"]
    return STAYS if all(map(held_by_theory, own)) else f"{STAYS}, unless weight decay is coupled"


def verdict(family_summaries: Sequence[FamilySummary]) -> str:
    """Whether the optimum stays put within ``LARGEST_DRIFT`` where the theory predicts that it does."""
    return worst(staying(summary) for summary in family_summaries if held_by_theory(summary.family.cells[0]))


def _notes(summaries: Sequence[CellSummary], design: Design) -> tuple[str, ...]:
    lost = [
        f"{summary.family.label} at {design.axis} {position_label(summary.cell, design)}"
        for summary in summaries
        if _lost(summary)
    ]
    return (f"No run trained under {joined(lost)}.",) if lost else ()


def _lost(summary: CellSummary) -> bool:
    return math.isnan(summary.optimum.log2_value)


@register_figure("stability")
def loss_curves(findings: Findings) -> Picture:
    """Loss against the swept hyperparameter, a panel a family; the figure that stands for the sweep has its name."""
    word, symbol = HYPERPARAMETER_WORDS[findings.design.swept[0]]
    panels, ticks = loss_panels(findings.summaries, findings.design), ticks_of(findings.summaries, findings.design)
    return Picture(
        findings.manifest.name,
        f"Loss against {word}: means over seeds with standard errors. Open points have fewer seeds than others. "
        f"Stars are optima, open where they are bounds. The dotted line is the {word} that was tuned on the proxy.",
        draw_loss_curves(panels, *loss_range(panels), f"log2 base {word} {symbol}", ticks.label),
    )


@register_figure("stability")
def optima_over_scale(findings: Findings) -> Picture:
    """The optimum along the axis, a track a family."""
    word, _ = HYPERPARAMETER_WORDS[findings.design.swept[0]]
    ticks = ticks_of(findings.summaries, findings.design)
    return Picture(
        "optimum",
        f"The optimal {word} with 95 % intervals. Open markers are bounds, arrows are intervals without an end. "
        "Dotted lines show where it would be if it stayed put.",
        draw_optimum_tracks(optimum_tracks(findings.summaries), ticks, f"log2 of the optimal base {word}"),
    )


@register_figure("stability")
def regret_over_scale(findings: Findings) -> Picture | None:
    """Zero-shot regret along the axis; nothing where no proxy is known."""
    word, _ = HYPERPARAMETER_WORDS[findings.design.swept[0]]
    regrets = regret_tracks(findings.summaries)
    words = (
        f"What it costs to use the proxy's {word} as it is. Bars are a standard error each way, which a single "
        "seed does not give. Open markers are lower bounds, crosses runs that diverged. The axis is linear up to "
        "1 % and logarithmic beyond."
    )
    ticks = ticks_of(findings.summaries, findings.design)
    return Picture("regret", words, draw_regret(regrets, ticks)) if regrets else None


@register_figure("stability")
def training_at_the_optimum(findings: Findings) -> Picture | None:
    """Learning curves at the best point of every cell; nothing where runs have too few validations."""
    word, _ = HYPERPARAMETER_WORDS[findings.design.swept[0]]
    trained = learning_curves(findings.summaries, findings.records, findings.runs, findings.design)
    words = (
        f"Validation loss during training, at the {word} of the grid that is nearest to the optimum: means over seeds."
    )
    legend = ticks_of(findings.summaries, findings.design).label
    return Picture("learning", words, draw_learning_curves(trained, legend)) if trained else None
