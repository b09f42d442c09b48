"""Useful transfer: which loss is reached for how much compute, tuning a proxy or the target itself?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.asked import design_of
from smupar_transfer.verification.cells import runs_table
from smupar_transfer.verification.figures.compute import ComputeCurve, draw_compute_curves
from smupar_transfer.verification.kinds.verdicts import judged
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.search import SearchCurve, interval, search_curves, search_table
from smupar_transfer.verification.wording import bracketed, fixed, signed, span

WAYS = {"transfer": "tuned on the proxy", "direct": "tuned directly"}


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    curves = search_curves(runs_table(records), design_of(manifest).swept)
    return Outcome(
        sentence=sentence(curves),
        claim="for the same compute, tuning the proxy reaches a lower loss under SμPar than tuning the target itself",
        verdict=verdict(curves),
        notes=(),
        tables=(_table(curves),),
        pictures=(
            Picture(
                manifest.name,
                "Expected loss of the target against compute, of random search over the same points; bands are 95 % "
                "intervals. The search on the proxy includes one training of the target at its winner.",
                draw_compute_curves(drawn_curves(curves)),
            ),
        ),
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
    return float(direct.cost[reached[0]]) if len(reached) else None


def at_cost(direct: SearchCurve, cost: float) -> int:
    """Index of the longest direct search for at most ``cost``."""
    return max(0, int(np.searchsorted(direct.cost, cost + 1e-9)) - 1)


def sentence(curves: Sequence[SearchCurve]) -> str:
    """What the whole search on the proxy reaches, and what direct search needs for it."""
    parts = []
    for transfer, direct in pairs(curves):
        needed = equal_loss(transfer, direct)
        nats, low, high = difference(transfer, direct)
        than = f"more than {direct.cost[-1]:.0f}" if needed is None else f"{needed:.0f}"
        parts.append(
            f"{PARAMETRIZATIONS[transfer.parametrization].title}: {transfer.draws[-1]} runs of the proxy and one of "
            f"the target, {transfer.cost[-1]:.1f} trainings of the target in all, reach {transfer.loss[-1]:.3f} nats"
            f"{bracketed(float(transfer.low[-1]), float(transfer.high[-1]), 3)}; tuning directly reaches "
            f"{transfer.loss[-1] - nats:.3f} for as much (transfer less direct: {signed(nats, 3)}"
            f"{bracketed(low, high, 3)}) and needs {than} trainings for the same"
        )
    return ". ".join(parts) + "." if parts else "There is no parametrization with proxy and target yet."


def verdict(curves: Sequence[SearchCurve]) -> str:
    """Whether under SuPar transfer reaches a lower loss at equal compute: the transfer is useful."""
    found = [difference(*pair) for pair in pairs(curves) if pair[0].parametrization == "smupar"]
    return judged([low > 0 for _, low, _ in found], [nats < 0 for nats, _, _ in found], [h < 0 for _, _, h in found])


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
        note="Expected loss of the target (nats) after a random search of so many draws, with 95 % interval over the "
        "points; compute in trainings of the target, counting the weights that exist.",
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
            if count & (count - 1) == 0 or count == curve.draws[-1]
        ),
    )
