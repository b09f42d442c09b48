"""Useful transfer: which loss is reached for how much compute, tuning a proxy or the target itself?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smupar_transfer.reporting.figures.compute import ComputeCurve, draw_compute_curves
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, fixed, signed, span
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.statistics.drift_verdicts import DOES_NOT_HOLD, HOLDS, LIKELY, OPEN, judged, worst
from smupar_transfer.statistics.search_cost import SearchCurve, at_cost, interval, search_curves, search_table
from smupar_transfer.theory import PARAMETRIZATIONS

WAYS = {"transfer": "tuned on the proxy", "direct": "tuned directly"}


def _curves(findings: Findings) -> list[SearchCurve]:
    return search_curves(findings.runs, findings.design.swept)


@question("search")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    curves = findings.once(_curves)
    return Outcome(
        sentence=sentence(curves),
        summary=summary(curves),
        claim="for the same compute, tuning the proxy reaches a lower loss under SμPar than tuning the target itself",
        verdict=verdict(curves),
        notes=(),
        tables=(_table(curves),),
    )


@register_figure("search")
def loss_for_compute(findings: Findings) -> Picture:
    """Loss of the target against everything spent, for both ways to tune."""
    return Picture(
        findings.manifest.name,
        "The expected loss of the target against compute, after a random search over the same points; bands "
        "are 95 % intervals. The search on the proxy includes one training of the target, at its winner.",
        draw_compute_curves(drawn_curves(findings.once(_curves))),
    )


def _title(curve: SearchCurve) -> str:
    return f"{PARAMETRIZATIONS[curve.parametrization].title}, {WAYS[curve.way]}"


def pairs(curves: Sequence[SearchCurve]) -> list[tuple[SearchCurve, SearchCurve]]:
    """Transfer and direct search of every parametrization that has both."""
    direct = {curve.parametrization: curve for curve in curves if curve.way == "direct"}
    transfers = [curve for curve in curves if curve.way == "transfer" and curve.parametrization in direct]
    return [(curve, direct[curve.parametrization]) for curve in transfers]


def equal_loss(transfer: SearchCurve, direct: SearchCurve) -> float | None:
    """Trainings of the target after which direct search is as good as the whole transfer; None if it never is."""
    reached = np.flatnonzero(direct.loss <= transfer.loss[-1])
    # the first of those that are as good: draws, and with them costs, increase
    return float(direct.cost[reached[0]]) if len(reached) else None


def sentence(curves: Sequence[SearchCurve]) -> str:
    """The verdict in plain words, with the difference of SuPar's two ways to tune."""
    own = [pair for pair in pairs(curves) if pair[0].parametrization == "smupar"]
    if not own:
        return "Under SμPar there is no proxy and target that were both searched yet."
    nats, low, high = difference(*own[0])
    amount = f"its loss is {abs(nats):.3f} nats {'lower' if nats < 0 else 'higher'}"
    words = {
        HOLDS: "For the same compute, tuning the proxy reaches a lower loss under SμPar than tuning the target itself",
        LIKELY: "For the same compute, tuning the proxy likely reaches a lower loss under SμPar than tuning the target",
        OPEN: "It is open whether, for the same compute, tuning the proxy reaches a lower loss under SμPar",
        DOES_NOT_HOLD: "For the same compute, tuning the proxy does not reach a lower loss under SμPar",
    }[verdict(curves)]
    return f"{words}: {amount} (difference{bracketed(low, high, 3)})."


BETTER = {HOLDS: "proxy", LIKELY: "likely proxy", OPEN: "open", DOES_NOT_HOLD: "target"}
"""Which of the two is better tuned."""


def summary(curves: Sequence[SearchCurve]) -> Summary:
    """A row a parametrization: what a search on the proxy and one on the target reach for the same compute."""
    both = pairs(curves)
    differences = [difference(*pair) for pair in both]
    reached = [float(transfer.loss[-1]) for transfer, _ in both]
    directly = [loss - nats for loss, (nats, _, _) in zip(reached, differences, strict=True)]
    return Summary(
        columns=(
            "",
            "compute",
            "loss, tuned on the proxy",
            "loss, tuned directly",
            "difference (nats)",
            "directly the same for",
            "better tuned",
        ),
        rows=tuple(
            (
                PARAMETRIZATIONS[transfer.parametrization].title,
                f"{transfer.cost[-1]:.1f}",
                fixed(loss, 3) + bracketed(float(transfer.low[-1]), float(transfer.high[-1]), 3),
                fixed(direct_loss, 3),
                signed(nats, 3) + bracketed(low, high, 3),
                _needed(transfer, direct),
                BETTER[judged_difference(nats, low, high)],
            )
            for (transfer, direct), loss, direct_loss, (nats, low, high) in zip(
                both, reached, directly, differences, strict=True
            )
        ),
        best=frozenset((row, 2 if reached[row] < directly[row] else 3) for row in range(len(both))),
        note="Compute is that of the whole search on the proxy and of one training at its winner, counted in "
        "trainings of the target, and tuning directly has as much; the last number is what tuning directly needs for "
        "the same loss. Losses are in nats, with 95 % intervals over the points that were drawn; bold is the better "
        "of the two by its estimate.",
    )


def _needed(transfer: SearchCurve, direct: SearchCurve) -> str:
    needed = equal_loss(transfer, direct)
    return f"more than {direct.cost[-1]:.0f}" if needed is None else f"{needed:.0f}"


def judged_difference(nats: float, low: float, high: float) -> str:
    """The verdict on the claim that the transfer reaches a lower loss at equal compute."""
    return judged([low > 0], [nats < 0], [high < 0])


def verdict(curves: Sequence[SearchCurve]) -> str:
    """Whether under SuPar transfer reaches a lower loss at equal compute: the transfer is useful."""
    own = [pair for pair in pairs(curves) if pair[0].parametrization == "smupar"]
    return worst(judged_difference(*difference(*pair)) for pair in own)


def difference(transfer: SearchCurve, direct: SearchCurve) -> tuple[float, float, float]:
    """Loss after the whole transfer less that of direct search for as much compute, nats, and its 95 % interval.

    Resamples of the points are paired: both ways search the same.
    """
    index = at_cost(direct, float(transfer.cost[-1]))
    low, high = interval(transfer.resampled[:, -1] - direct.resampled[:, index])
    return float(transfer.loss[-1] - direct.loss[index]), float(low), float(high)


def drawn_curves(curves: Sequence[SearchCurve]) -> list[ComputeCurve]:
    """A curve per parametrization and way to tune."""
    return [
        ComputeCurve(
            curve.parametrization,
            _title(curve),
            curve.way == "direct",
            *(tuple(map(float, values)) for values in (curve.cost, curve.loss, curve.low, curve.high)),
        )
        for curve in curves
    ]


def _table(curves: Sequence[SearchCurve]) -> Table:
    """Search lengths that are powers of two, and the last."""
    return Table(
        name="search",
        title="Loss reached for the compute spent",
        note="The expected loss of the target in nats, after a random search of so many draws, with its 95 % "
        "interval over the points. Compute is counted in trainings of the target, by the weights that exist.",
        frame=search_table(curves),
        columns=("", "draws", "compute", "loss", "95 % interval"),
        rows=tuple(
            (
                _title(curve),
                f"{count}",
                fixed(float(curve.cost[index]), 2),
                fixed(float(curve.loss[index]), 4),
                span(float(curve.low[index]), float(curve.high[index]), 4),
            )
            for curve in curves
            for index, count in enumerate(curve.draws)
            # costs double from one to the next, as the axis of the figure does
            if count & (count - 1) == 0 or count == curve.draws[-1]
        ),
    )
