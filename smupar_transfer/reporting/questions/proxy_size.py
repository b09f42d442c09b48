"""How small may the proxy be before the target pays for it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from smupar_transfer.records import Design, Manifest, RunRecord
from smupar_transfer.reporting.figures.stability import draw_proxy_sizes
from smupar_transfer.reporting.figures.tracks import Ticks, Track
from smupar_transfer.reporting.number_format import bracketed, fixed, percent, span, with_error
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.questions.verdicts import (
    DOES_NOT_HOLD,
    HOLDS,
    LARGEST_REGRET,
    LIKELY,
    OPEN,
    SEVERITY,
    judged,
    worst,
)
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS
from smupar_transfer.statistics import cells, runs_table
from smupar_transfer.statistics.proxy_size import ProxySize, proxy_size_table, proxy_sizes
from smupar_transfer.theory import PARAMETRIZATIONS


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    design = manifest.design
    found = proxy_sizes(cells(runs_table(records), design))
    return Outcome(
        sentence=sentence(found),
        summary=summary(found),
        claim=f"under SμPar, proxies of base width and more cost the target at most {LARGEST_REGRET} % of its loss",
        verdict=verdict(found),
        notes=(),
        tables=(_table(found, design),),
        pictures=(
            Picture(
                manifest.name,
                "On the left what it costs the target to use the proxy's optimum as it is, with 95 % intervals; on the "
                "right the FLOPs of the whole search on the proxy, over those of training the target once.",
                draw_proxy_sizes(regret_tracks(found), cost_tracks(found), ticks_of_sizes(found)),
            ),
        ),
    )


def sentence(found: Sequence[ProxySize]) -> str:
    """The verdict in plain words, with the regret of the proxy that decides it."""
    if not found:
        return "There is no proxy and target that both trained yet."
    large = _large(found)
    if not large:
        return "There is no proxy of base width or more under SμPar yet."
    said = verdict(found)
    decides = max(large, key=lambda one: (SEVERITY.index(within(one)), one.regret.percent))
    words = {
        HOLDS: "Under SμPar every proxy of base width and more is large enough",
        LIKELY: "Under SμPar every proxy of base width and more is likely large enough",
        OPEN: "It is open whether under SμPar every proxy of base width and more is large enough",
        DOES_NOT_HOLD: "Under SμPar not every proxy of base width and more is large enough",
    }[said]
    allowed = f"where {LARGEST_REGRET} % are allowed"
    return f"{words}: that of width {decides.proxy.width} costs the target {_cost(decides)} of its loss, {allowed}."


def _large(found: Sequence[ProxySize]) -> list[ProxySize]:
    """SuPar's proxies of base width and more, which the claim is about."""
    return [
        one
        for one in found
        if one.proxy.parametrization == "smupar" and one.proxy.width >= float(one.proxy.settings["base_width"])
    ]


def within(one: ProxySize) -> str:
    """The verdict on the claim that a proxy costs its target at most ``LARGEST_REGRET``."""
    scale = _per_nat(one)
    return judged(
        [one.low * scale > LARGEST_REGRET or one.regret.percent == math.inf],
        [one.regret.percent <= LARGEST_REGRET and not math.isnan(one.high)],
        [one.high * scale <= LARGEST_REGRET],
    )


ENOUGH = {HOLDS: "large enough", LIKELY: "likely large enough", OPEN: "open", DOES_NOT_HOLD: "too small"}


def summary(found: Sequence[ProxySize]) -> Summary:
    """A row a proxy: what its optimum costs the target, and what its search costs."""
    targets = _by_target(found)
    ordered = [one for members in targets for one in members]
    chosen = [smallest_good for members in targets if (smallest_good := _smallest_good(members)) is not None]
    bold = [row for row, one in enumerate(ordered) if any(one is smallest_good for smallest_good in chosen)]
    whose = f" The target is {_target(ordered[0])}." if len(targets) == 1 else ""
    return Summary(
        columns=("proxy", "regret of the target", "search (of the target's FLOPs)", "verdict"),
        rows=tuple(
            (
                f"width {one.proxy.width}" + ("" if whose else f" for {_target(one)}"),
                _cost(one),
                percent(100 * one.search_flops, 0),
                ENOUGH[within(one)],
            )
            for one in ordered
        ),
        best=frozenset((row, column) for row in bold for column in (0, 1)),
        note=f"A proxy is large enough if the whole 95 % interval of the regret keeps to {LARGEST_REGRET} %. Bold is "
        f"the smallest proxy from which on, by its estimate, none costs more.{whose}",
    )


def _target(one: ProxySize) -> str:
    target = one.target
    return f"{PARAMETRIZATIONS[target.parametrization].title}, width {target.width}, sparsity {target.sparsity:g}"


def _smallest_good(members: Sequence[ProxySize]) -> ProxySize | None:
    """Of the proxies of a target, by width, the smallest from which on none costs more than ``LARGEST_REGRET``."""
    failing = [index for index, one in enumerate(members) if not one.regret.percent <= LARGEST_REGRET]
    kept = members[failing[-1] + 1 :] if failing else members
    return kept[0] if kept else None


def _by_target(found: Sequence[ProxySize]) -> list[list[ProxySize]]:
    own: dict[int, list[ProxySize]] = {}
    for one in found:
        own.setdefault(id(one.target), []).append(one)
    return [sorted(members, key=lambda one: one.proxy.width) for members in own.values()]


def _cost(one: ProxySize) -> str:
    scale = _per_nat(one)
    return f"{percent(one.regret.percent)}{bracketed(one.low * scale, one.high * scale)}"


def _per_nat(one: ProxySize) -> float:
    """Percent per nat."""
    return 100 / one.best_loss


def verdict(found: Sequence[ProxySize]) -> str:
    """Whether SuPar's proxies of base width and more cost the target at most ``LARGEST_REGRET``."""
    return worst(map(within, _large(found)))


def regret_tracks(found: Sequence[ProxySize]) -> list[Track]:
    """Regret in percent over the proxy's width, with 95 % intervals; a track per target."""

    def point(one: ProxySize) -> tuple[float, float, float]:
        scale = _per_nat(one)
        return one.regret.percent, one.low * scale, one.high * scale

    return _tracks(found, point)


def cost_tracks(found: Sequence[ProxySize]) -> list[Track]:
    """FLOPs of the search in percent of one training of the target."""
    return _tracks(found, lambda one: (100 * one.search_flops, math.nan, math.nan))


def _tracks(found: Sequence[ProxySize], point: Callable[[ProxySize], tuple[float, float, float]]) -> list[Track]:
    tracks: list[Track] = []
    targets = _by_target(found)
    for members in targets:
        name = members[0].target.parametrization
        points = [(math.log2(one.proxy.width), *point(one)) for one in members]
        finite = [entry for entry in points if math.isfinite(entry[1])]
        if finite:
            positions, values, low, high = zip(*finite, strict=True)
            lost = tuple(entry[0] for entry in points if entry[1] == math.inf)
            tracks.append(
                Track(
                    name=name,
                    title=PARAMETRIZATIONS[name].title,
                    variant=_apart(members[0], targets),
                    positions=positions,
                    values=values,
                    low=low,
                    high=high,
                    exact=(True,) * len(finite),
                    lost=lost,
                )
            )
    return tracks


def _apart(one: ProxySize, targets: Sequence[Sequence[ProxySize]]) -> str:
    """What tells a target from others of its parametrization; empty if there are none."""
    rivals = [members for members in targets if members[0].target.parametrization == one.target.parametrization]
    return f"width {one.target.width}, s = {one.target.sparsity:g}" if len(rivals) > 1 else ""


def ticks_of_sizes(found: Sequence[ProxySize]) -> Ticks:
    """Widths of the proxies."""
    widths = sorted({one.proxy.width for one in found})
    return Ticks(tuple(map(math.log2, widths)), tuple(map(str, widths)), "width of the dense proxy", reverse=False)


def _table(found: Sequence[ProxySize], design: Design) -> Table:
    _, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    return Table(
        name="proxy_size",
        title="Every proxy of the target",
        note="Regret is the loss of the target at the proxy's optimum less the best of the target's own grid, with "
        "its standard error over paired seeds; its 95 % interval allows for the error of the proxy's optimum as "
        "well. Search is the FLOPs of training every value of the proxy once, over those of training the target once.",
        frame=proxy_size_table(found),
        columns=(
            "",
            "proxy width",
            f"log2 {symbol}*",
            "found by",
            "regret (nats)",
            "95 % interval",
            "regret",
            "search",
        ),
        rows=tuple(
            (
                PARAMETRIZATIONS[one.proxy.parametrization].title,
                f"{one.proxy.width}",
                fixed(one.optimum.log2_value, 2),
                str(one.optimum.status),
                with_error(one.regret.nats, one.regret.standard_error),
                span(one.low, one.high, 4),
                percent(one.regret.percent),
                percent(100 * one.search_flops, 0),
            )
            for one in found
        ),
    )
