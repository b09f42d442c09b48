"""How small may the proxy be before the target pays for it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.theory import PARAMETRIZATIONS
from smupar_transfer.verification.asked import HYPERPARAMETER_WORDS, design_of
from smupar_transfer.verification.cells import cells, runs_table
from smupar_transfer.verification.design import Design
from smupar_transfer.verification.figures.stability import draw_proxy_sizes
from smupar_transfer.verification.figures.tracks import Ticks, Track
from smupar_transfer.verification.kinds.verdicts import LARGEST_REGRET, judged
from smupar_transfer.verification.outcome import Outcome, Picture, Table
from smupar_transfer.verification.proxy_size import ProxySize, proxy_size_table, proxy_sizes
from smupar_transfer.verification.wording import bracketed, fixed, percent, span, with_error


def outcome(manifest: Manifest, records: Sequence[RunRecord]) -> Outcome:
    """Of the finished runs of a sweep, at least one."""
    design = design_of(manifest)
    found = proxy_sizes(cells(runs_table(records), design))
    return Outcome(
        sentence=sentence(found),
        claim=f"under SμPar, proxies of base width and more cost the target at most {LARGEST_REGRET} % of its loss",
        verdict=verdict(found),
        notes=(),
        tables=(_table(found, design),),
        pictures=(
            Picture(
                manifest.name,
                "Left: what it costs the target to use the proxy's optimum, with 95 % intervals. Right: FLOPs of the "
                "whole search on the proxy, over those of training the target once.",
                draw_proxy_sizes(regret_tracks(found), cost_tracks(found), ticks_of_sizes(found)),
            ),
        ),
    )


def sentence(found: Sequence[ProxySize]) -> str:
    """The smallest proxy from which on none costs more than ``LARGEST_REGRET``, with numbers."""
    if not found:
        return "There is no proxy and target that both trained yet."
    return " ".join(_of_target(members) for members in _by_target(found))


def _by_target(found: Sequence[ProxySize]) -> list[list[ProxySize]]:
    own: dict[int, list[ProxySize]] = {}
    for one in found:
        own.setdefault(id(one.target), []).append(one)
    return [sorted(members, key=lambda one: one.proxy.width) for members in own.values()]


def _of_target(members: Sequence[ProxySize]) -> str:
    target = members[0].target
    title = PARAMETRIZATIONS[target.parametrization].title
    whole = f"{title}, target of width {target.width} at sparsity {target.sparsity:g}"
    failing = [index for index, one in enumerate(members) if not one.regret.percent <= LARGEST_REGRET]
    kept = members[failing[-1] + 1 :] if failing else members
    if not kept:
        last = members[-1]
        return f"{whole}: even the proxy of width {last.proxy.width} costs it {_cost(last)}."
    smallest, lost = kept[0], members[failing[-1]] if failing else None
    rest = "" if lost is None else f"; one of width {lost.proxy.width} costs {_cost(lost)}"
    return (
        f"{whole}: a proxy of width {smallest.proxy.width} costs it {_cost(smallest)}, after a search for "
        f"{percent(100 * smallest.search_flops, 0)} of the target's FLOPs{rest}."
    )


def _cost(one: ProxySize) -> str:
    scale = _per_nat(one)
    return f"{percent(one.regret.percent)}{bracketed(one.low * scale, one.high * scale)}"


def _per_nat(one: ProxySize) -> float:
    """Percent per nat."""
    return 100 / one.best_loss


def verdict(found: Sequence[ProxySize]) -> str:
    """Whether SuPar's proxies of base width and more cost the target at most ``LARGEST_REGRET``."""
    large = [
        one
        for one in found
        if one.proxy.parametrization == "smupar" and one.proxy.width >= float(one.proxy.settings["base_width"])
    ]
    return judged(
        [one.low * _per_nat(one) > LARGEST_REGRET or one.regret.percent == math.inf for one in large],
        [one.regret.percent <= LARGEST_REGRET and not math.isnan(one.high) for one in large],
        [one.high * _per_nat(one) <= LARGEST_REGRET for one in large],
    )


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
            places, values, low, high = zip(*finite, strict=True)
            lost = tuple(entry[0] for entry in points if entry[1] == math.inf)
            tracks.append(
                Track(
                    name=name,
                    title=PARAMETRIZATIONS[name].title,
                    variant=_apart(members[0], targets),
                    places=places,
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
        note="Regret: loss of the target at the proxy's optimum less the best of the target's own grid, with standard "
        "error over paired seeds; its 95 % interval allows for the error of the proxy's optimum as well. Search: "
        "FLOPs of training every value of the proxy once, over those of training the target once.",
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
