"""What do transferred hyperparameters gain without any tuning?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from smupar_transfer.records import Design
from smupar_transfer.reporting.figures.stability import draw_gain
from smupar_transfer.reporting.figures.tracks import Ticks, Track
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, loss, signed, span, with_error
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table, smallest
from smupar_transfer.reporting.questions.verdicts import BOLD
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.reporting.vocabulary import AXIS_WORDS, position_label
from smupar_transfer.statistics import families
from smupar_transfer.statistics.cell import shared_words
from smupar_transfer.statistics.drift_verdicts import DOES_NOT_HOLD, HOLDS, OPEN, judged, worst
from smupar_transfer.statistics.zero_shot_gain import Gain, gain_table, gains
from smupar_transfer.theory import PARAMETRIZATIONS


def _reference(findings: Findings) -> str:
    return findings.manifest.reference or "sp"


def _gains(findings: Findings) -> list[Gain]:
    return gains(families(findings.cells, findings.design), _reference(findings))


@question("gain")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    design, reference, every_gain = findings.design, _reference(findings), findings.once(_gains)
    title = PARAMETRIZATIONS[reference].title
    return Outcome(
        sentence=sentence(every_gain, design, reference),
        summary=summary(every_gain, design, reference),
        claim=f"without tuning, sparse networks reach a lower loss under SμPar than under {title}",
        verdict=verdict(every_gain),
        notes=(),
        tables=(_table(every_gain, design, reference),),
    )


@register_figure("gain")
def loss_and_difference(findings: Findings) -> Picture:
    """Loss at transferred hyperparameters, and its difference to the reference."""
    reference, every_gain = _reference(findings), findings.once(_gains)
    title, ticks = PARAMETRIZATIONS[reference].title, ticks_of_gain(every_gain, findings.design)
    return Picture(
        findings.manifest.name,
        f"On the left the loss at transferred hyperparameters, on the right its difference to {title}, with "
        "seeds paired. Bars are standard errors, crosses are runs that diverged.",
        draw_gain(loss_tracks(every_gain), gain_tracks(every_gain, reference), ticks, title),
    )


def _compared(gains: Sequence[Gain], reference: str) -> list[list[Gain]]:
    """Families other than the reference, each from its first position to its last."""
    own: dict[int, list[Gain]] = {}
    for gain in gains:
        if gain.cell.parametrization != reference:
            own.setdefault(id(gain.family), []).append(gain)
    return list(own.values())


def _sparse(gains: Sequence[Gain]) -> list[Gain]:
    """Those of SuPar where hidden weights are sparse, which the claim is about."""
    return [gain for gain in gains if gain.cell.parametrization == "smupar" and gain.cell.sparsity > 0]


def judged_gain(gain: Gain) -> str:
    """The verdict on the claim that the loss at one position is lower than the reference's."""
    # infinite where one of the two diverged, which leaves no interval to judge by
    return judged([gain.low > 0 or gain.nats == math.inf], [gain.high < 0 or gain.nats == -math.inf])


def sentence(gains: Sequence[Gain], design: Design, reference: str) -> str:
    """The verdict in plain words, with the difference at the position that decides it."""
    sparse = [gain for gain in _sparse(gains) if not math.isnan(gain.nats)]
    title = PARAMETRIZATIONS[reference].title
    if not sparse:
        return f"There is no sparse network of SμPar's yet that can be compared with {title}'s."
    said = worst(map(judged_gain, _sparse(gains)))
    deciding = [gain for gain in sparse if judged_gain(gain) == said] or sparse
    # where it holds everywhere, the position farthest from the proxy; else the one where it fails most
    where = deciding[-1] if said == HOLDS else max(deciding, key=lambda gain: gain.nats)
    lead = {
        HOLDS: f"Without any tuning SμPar reaches a lower loss than {title} at every sparsity",
        OPEN: f"It is open whether SμPar, without any tuning, reaches a lower loss than {title} at every sparsity",
        DOES_NOT_HOLD: f"Without any tuning SμPar does not reach a lower loss than {title} at every sparsity",
    }[said]
    return f"{lead}: at {design.axis} {position_label(where.cell, design)} it {_difference(where)}."


def _difference(gain: Gain) -> str:
    if math.isinf(gain.nats):
        return "trains where the reference diverges" if gain.nats < 0 else "diverges"
    low, high = _percents(gain)
    # a difference that is said as "less" turns around, and its ends change places
    turned = (-high, -low) if gain.nats < 0 else (low, high)
    word = "less" if gain.nats < 0 else "more"
    return f"has {abs(gain.percent):.1f} % {word} loss{bracketed(*turned, 1)}"


def _percents(gain: Gain) -> tuple[float, float]:
    """The interval of the difference in percent of the reference's loss."""
    # the same factor that the difference has, as the losses of the reference are not at hand
    scale = abs(gain.percent / gain.nats) if gain.nats else 0.0
    return gain.low * scale, gain.high * scale


def summary(gains: Sequence[Gain], design: Design, reference: str) -> Summary:
    """A row a family, where it lies farthest from the proxy: its loss, and the difference to the reference."""
    title = PARAMETRIZATIONS[reference].title
    own: dict[int, list[Gain]] = {}
    for gain in gains:
        own.setdefault(id(gain.family), []).append(gain)
    last = [members[-1] for members in own.values()]
    shared = shared_words(gain.family for gain in gains)
    return Summary(
        columns=("", design.axis, "loss (nats)", f"difference to {title} (%)", "verdict"),
        rows=tuple(
            (
                gain.family.label,
                position_label(gain.cell, design),
                loss(gain.loss),
                "-" if gain.cell.parametrization == reference else _signed_percent(gain),
                "reference" if gain.cell.parametrization == reference else _counted(members),
            )
            for gain, members in zip(last, own.values(), strict=True)
        ),
        # losses at different places are not compared
        best=smallest(2, [gain.loss for gain in last]) if len({gain.position for gain in last}) == 1 else frozenset(),
        note="Loss and difference are those at the place named; the difference has its 95 % interval over seeds, and "
        "negative is better. A loss counts as lower or higher where that whole interval lies on one side of 0. "
        + BOLD
        + (f" Where nothing else is said: {shared}." if shared else ""),
    )


def _signed_percent(gain: Gain) -> str:
    if math.isinf(gain.nats):
        return "diverged" if gain.nats > 0 else "reference diverged"
    return signed(gain.percent, 1) + bracketed(*_percents(gain), 1)


def _counted(members: Sequence[Gain]) -> str:
    """At how many of its sparse positions a family is better, and at how many worse."""
    sparse = [judged_gain(gain) for gain in members if gain.cell.sparsity > 0 and not math.isnan(gain.nats)]
    if not sparse:
        return "nothing to compare"
    better, worse = sparse.count(HOLDS), sparse.count(DOES_NOT_HOLD)
    return f"lower at {better}, higher at {worse} of {len(sparse)} sparse places"


def verdict(gains: Sequence[Gain]) -> str:
    """Whether SuPar's loss lies below the reference's wherever hidden weights are sparse."""
    return worst(map(judged_gain, _sparse(gains)))


def loss_tracks(gains: Sequence[Gain]) -> list[Track]:
    """Mean loss of every family along the axis, with standard errors."""
    return _tracks(gains, lambda gain: (gain.loss, gain.standard_error))


def gain_tracks(gains: Sequence[Gain], reference: str) -> list[Track]:
    """Difference to the reference in percent, of every other family."""
    compared = [gain for members in _compared(gains, reference) for gain in members]
    return _tracks(compared, lambda gain: (gain.percent, gain.percent_error))


def _tracks(gains: Sequence[Gain], point: Callable[[Gain], tuple[float, float]]) -> list[Track]:
    tracks: list[Track] = []
    # no parametrization has an empty name: none is left out here
    for members in _compared(gains, reference=""):
        points = [(math.log2(gain.position), *point(gain)) for gain in members]
        finite = [entry for entry in points if math.isfinite(entry[1])]
        name = members[0].cell.parametrization
        tracks.append(
            Track(
                name=name,
                title=PARAMETRIZATIONS[name].title,
                variant=members[0].family.variant,
                positions=tuple(position for position, _, _ in finite),
                values=tuple(value for _, value, _ in finite),
                low=tuple(value - error for _, value, error in finite),
                high=tuple(value + error for _, value, error in finite),
                exact=(True,) * len(finite),
                lost=tuple(position for position, value, _ in points if value == math.inf),
            )
        )
    return [track for track in tracks if track.positions or track.lost]


def ticks_of_gain(gains: Sequence[Gain], design: Design) -> Ticks:
    """The axis of scale."""
    positions = {math.log2(gain.position): position_label(gain.cell, design) for gain in gains}
    ordered = sorted(positions)
    words = tuple(positions[position] for position in ordered)
    return Ticks(tuple(ordered), words, AXIS_WORDS[design.axis], design.axis == "sparsity")


def _table(gains: Sequence[Gain], design: Design, reference: str) -> Table:
    return Table(
        name="gain",
        title=f"Loss without tuning, and its difference to {PARAMETRIZATIONS[reference].title}",
        note="Losses are means over seeds with standard errors. The difference is paired by seed and has its 95 % "
        "interval in nats; negative is better.",
        frame=gain_table(gains),
        columns=("", design.axis, "loss (nats)", "difference (nats)", "95 % interval", "difference (%)", "seeds"),
        rows=tuple(
            (
                gain.family.label,
                position_label(gain.cell, design),
                loss(gain.loss) + (f" ± {gain.standard_error:.4f}" if math.isfinite(gain.standard_error) else ""),
                *(("-",) * 3 if gain.cell.parametrization == reference else _difference_row(gain)),
                f"{len(gain.cell.seeds)}",
            )
            for gain in gains
        ),
    )


def _difference_row(gain: Gain) -> tuple[str, ...]:
    return with_error(gain.nats, gain.nats_error), span(gain.low, gain.high, 3), signed(gain.percent, 2)
