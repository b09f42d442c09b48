"""What do transferred hyperparameters gain without any tuning?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.asked import AXIS_WORDS, design_of, place_label
from smupar_transfer.verification.cells import cells, families, runs_table, with_shared
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.figures.stability import draw_gain
from smupar_transfer.verification.figures.tracks import Ticks, Track
from smupar_transfer.verification.gain import Gain, gain_table, gains
from smupar_transfer.verification.kinds.verdicts import judged
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.wording import bracketed, loss, signed, span, with_error


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    design = design_of(manifest)
    reference = manifest.reference or "sp"
    found = gains(families(cells(runs_table(records), design), design), reference)
    title = PARAMETRIZATIONS[reference].title
    return Outcome(
        sentence=sentence(found, design, reference),
        claim=f"without tuning, sparse networks reach a lower loss under SμPar than under {title}",
        verdict=verdict(found),
        notes=(),
        tables=(_table(found, design, reference),),
        pictures=(
            Picture(
                manifest.name,
                f"Left: loss at transferred hyperparameters. Right: difference to {title}, seeds paired. Bars are "
                "standard errors; crosses: diverged.",
                draw_gain(loss_tracks(found), gain_tracks(found, reference), ticks_of_gain(found, design), title),
            ),
        ),
    )


def _compared(found: Sequence[Gain], reference: str) -> list[list[Gain]]:
    """Families other than the reference, each from its first place to its last."""
    own: dict[int, list[Gain]] = {}
    for gain in found:
        if gain.cell.parametrization != reference:
            own.setdefault(id(gain.family), []).append(gain)
    return list(own.values())


def sentence(found: Sequence[Gain], design: Design, reference: str) -> str:
    """What came out where it differs most from the proxy, in one sentence with numbers."""
    last = [members[-1] for members in _compared(found, reference) if not math.isnan(members[-1].nats)]
    parts = [
        f"at {design.axis} {place_label(gain.cell, design)} {gain.family.label} {_difference(gain)}" for gain in last
    ]
    if not parts:
        return "There is nothing to compare yet."
    gained = f"Without tuning, against {PARAMETRIZATIONS[reference].title}: {'; '.join(parts)}."
    return with_shared(gained, (gain.family for gain in last))


def _difference(gain: Gain) -> str:
    if math.isinf(gain.nats):
        return "trained where the reference diverged" if gain.nats < 0 else "diverged"
    scale = abs(gain.percent / gain.nats) if gain.nats else 0.0
    turned, word = (-scale, "less") if gain.nats < 0 else (scale, "more")
    low, high = sorted((gain.low * turned, gain.high * turned))
    return f"has {abs(gain.percent):.1f} % {word} loss{bracketed(low, high, 1)}"


def verdict(found: Sequence[Gain]) -> str:
    """Whether SuPar's loss lies below the reference's wherever hidden weights are sparse."""
    sparse = [gain for gain in found if gain.cell.parametrization == "smupar" and gain.cell.sparsity > 0]
    return judged([gain.low > 0 or gain.nats == math.inf for gain in sparse], [_better(gain) for gain in sparse])


def _better(gain: Gain) -> bool:
    return gain.high < 0 or gain.nats == -math.inf


def loss_tracks(found: Sequence[Gain]) -> list[Track]:
    """Mean loss of every family along the axis, with standard errors."""
    return _tracks(found, lambda gain: (gain.loss, gain.standard_error))


def gain_tracks(found: Sequence[Gain], reference: str) -> list[Track]:
    """Difference to the reference in percent, of every other family."""
    compared = [gain for members in _compared(found, reference) for gain in members]
    return _tracks(compared, lambda gain: (gain.percent, gain.percent_error))


def _tracks(found: Sequence[Gain], point: Callable[[Gain], tuple[float, float]]) -> list[Track]:
    tracks: list[Track] = []
    for members in _compared(found, reference=""):
        points = [(math.log2(gain.place), *point(gain)) for gain in members]
        finite = [entry for entry in points if math.isfinite(entry[1])]
        name = members[0].cell.parametrization
        tracks.append(
            Track(
                name=name,
                title=PARAMETRIZATIONS[name].title,
                variant=members[0].family.variant,
                places=tuple(place for place, _, _ in finite),
                values=tuple(value for _, value, _ in finite),
                low=tuple(value - error for _, value, error in finite),
                high=tuple(value + error for _, value, error in finite),
                exact=(True,) * len(finite),
                lost=tuple(place for place, value, _ in points if value == math.inf),
            )
        )
    return [track for track in tracks if track.places or track.lost]


def ticks_of_gain(found: Sequence[Gain], design: Design) -> Ticks:
    """The axis of scale."""
    places = {math.log2(gain.place): place_label(gain.cell, design) for gain in found}
    ordered = sorted(places)
    words = tuple(places[place] for place in ordered)
    return Ticks(tuple(ordered), words, AXIS_WORDS[design.axis], design.axis == "sparsity")


def _table(found: Sequence[Gain], design: Design, reference: str) -> Table:
    return Table(
        name="gain",
        title=f"Loss without tuning, and its difference to {PARAMETRIZATIONS[reference].title}",
        note="Mean over seeds with standard errors; the difference is paired by seed, with its 95 % interval in nats. "
        "Negative is better.",
        frame=gain_table(found),
        columns=("", design.axis, "loss (nats)", "difference (nats)", "95 % interval", "difference (%)", "seeds"),
        rows=tuple(
            (
                gain.family.label,
                place_label(gain.cell, design),
                loss(gain.loss) + (f" ± {gain.standard_error:.4f}" if math.isfinite(gain.standard_error) else ""),
                *(("-",) * 3 if gain.cell.parametrization == reference else _difference_row(gain)),
                f"{len(gain.cell.seeds)}",
            )
            for gain in found
        ),
    )


def _difference_row(gain: Gain) -> tuple[str, ...]:
    return with_error(gain.nats, gain.nats_error), span(gain.low, gain.high, 3), signed(gain.percent, 2)
