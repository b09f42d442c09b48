"""How small may the proxy be before the target pays for it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from smupar_transfer.records import Design
from smupar_transfer.reporting.figures.stability import draw_proxy_sizes
from smupar_transfer.reporting.figures.tracks import Ticks, Track
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.number_format import bracketed, fixed, percent, span, with_error
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.questions.verdicts import LARGEST_REGRET
from smupar_transfer.reporting.registry import question, register_figure
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS
from smupar_transfer.statistics.drift_verdicts import DOES_NOT_HOLD, HOLDS, LIKELY, OPEN, SEVERITY, judged, worst
from smupar_transfer.statistics.proxy_size import ProxySize, proxy_size_table, proxy_sizes
from smupar_transfer.theory import PARAMETRIZATIONS


def _sizes(findings: Findings) -> list[ProxySize]:
    return proxy_sizes(findings.cells)


@question("proxy_size")
def outcome(findings: Findings) -> Outcome:
    """What came out."""
    sizes = findings.once(_sizes)
    return Outcome(
        sentence=sentence(sizes),
        summary=summary(sizes),
        claim=f"under SμPar, proxies of base width and more cost the target at most {LARGEST_REGRET} % of its loss",
        verdict=verdict(sizes),
        notes=(),
        tables=(_table(sizes, findings.design),),
    )


@register_figure("proxy_size")
def regret_and_cost(findings: Findings) -> Picture:
    """What each proxy costs the target, and what its search costs."""
    sizes = findings.once(_sizes)
    return Picture(
        findings.manifest.name,
        "On the left what it costs the target to use the proxy's optimum as it is, with 95 % intervals; on the "
        "right the FLOPs of the whole search on the proxy, over those of training the target once.",
        draw_proxy_sizes(regret_tracks(sizes), cost_tracks(sizes), ticks_of_sizes(sizes)),
    )


def sentence(sizes: Sequence[ProxySize]) -> str:
    """The verdict in plain words, with the regret of the proxy that decides it."""
    if not sizes:
        return "There is no proxy and target that both trained yet."
    large = _large(sizes)
    if not large:
        return "There is no proxy of base width or more under SμPar yet."
    said = verdict(sizes)
    # of all with the worst verdict that which costs most: no sentence may sound better than its verdict
    decides = max(large, key=lambda size: (SEVERITY.index(within(size)), size.regret.percent))
    words = {
        HOLDS: "Under SμPar every proxy of base width and more is large enough",
        LIKELY: "Under SμPar every proxy of base width and more is likely large enough",
        OPEN: "It is open whether under SμPar every proxy of base width and more is large enough",
        DOES_NOT_HOLD: "Under SμPar not every proxy of base width and more is large enough",
    }[said]
    allowed = f"where {LARGEST_REGRET} % are allowed"
    return f"{words}: that of width {decides.proxy.width} costs the target {_cost(decides)} of its loss, {allowed}."


def _large(sizes: Sequence[ProxySize]) -> list[ProxySize]:
    """SuPar's proxies of base width and more, which the claim is about."""
    return [
        size
        for size in sizes
        if size.proxy.parametrization == "smupar" and size.proxy.width >= float(size.proxy.settings["base_width"])
    ]


def within(size: ProxySize) -> str:
    """The verdict on the claim that a proxy costs its target at most ``LARGEST_REGRET``."""
    scale = _per_nat(size)
    return judged(
        # an interval without an end is NaN or infinite, and neither is below anything
        [size.low * scale > LARGEST_REGRET or size.regret.percent == math.inf],
        [size.regret.percent <= LARGEST_REGRET and not math.isnan(size.high)],
        [size.high * scale <= LARGEST_REGRET],
    )


ENOUGH = {HOLDS: "large enough", LIKELY: "likely large enough", OPEN: "open", DOES_NOT_HOLD: "too small"}


def summary(sizes: Sequence[ProxySize]) -> Summary:
    """A row a proxy: what its optimum costs the target, and what its search costs."""
    targets = _by_target(sizes)
    ordered = [size for members in targets for size in members]
    chosen = [smallest_good for members in targets if (smallest_good := _smallest_good(members)) is not None]
    bold = [row for row, size in enumerate(ordered) if any(size is smallest_good for smallest_good in chosen)]
    whose = f" The target is {_target(ordered[0])}." if len(targets) == 1 else ""
    return Summary(
        columns=("proxy", "regret of the target", "search (of the target's FLOPs)", "verdict"),
        rows=tuple(
            (
                f"width {size.proxy.width}" + ("" if whose else f" for {_target(size)}"),
                _cost(size),
                percent(100 * size.search_flops, 0),
                ENOUGH[within(size)],
            )
            for size in ordered
        ),
        best=frozenset((row, column) for row in bold for column in (0, 1)),
        note=f"A proxy is large enough if the whole 95 % interval of the regret keeps to {LARGEST_REGRET} %. Bold is "
        f"the smallest proxy from which on, by its estimate, none costs more.{whose}",
    )


def _target(size: ProxySize) -> str:
    target = size.target
    return f"{PARAMETRIZATIONS[target.parametrization].title}, width {target.width}, sparsity {target.sparsity:g}"


def _smallest_good(members: Sequence[ProxySize]) -> ProxySize | None:
    """Of the proxies of a target, by width, the smallest from which on none costs more than ``LARGEST_REGRET``."""
    # not "larger than": NaN, for a value outside of the grid of the target, fails as well
    failing = [index for index, size in enumerate(members) if not size.regret.percent <= LARGEST_REGRET]
    kept = members[failing[-1] + 1 :] if failing else members
    return kept[0] if kept else None


def _by_target(sizes: Sequence[ProxySize]) -> list[list[ProxySize]]:
    own: dict[int, list[ProxySize]] = {}
    for size in sizes:
        # by identity: cells hold arrays, which have no hash
        own.setdefault(id(size.target), []).append(size)
    return [sorted(members, key=lambda size: size.proxy.width) for members in own.values()]


def _cost(size: ProxySize) -> str:
    scale = _per_nat(size)
    return f"{percent(size.regret.percent)}{bracketed(size.low * scale, size.high * scale)}"


def _per_nat(size: ProxySize) -> float:
    """Percent per nat."""
    return 100 / size.best_loss


def verdict(sizes: Sequence[ProxySize]) -> str:
    """Whether SuPar's proxies of base width and more cost the target at most ``LARGEST_REGRET``."""
    return worst(map(within, _large(sizes)))


def regret_tracks(sizes: Sequence[ProxySize]) -> list[Track]:
    """Regret in percent over the proxy's width, with 95 % intervals; a track per target."""

    def point(size: ProxySize) -> tuple[float, float, float]:
        scale = _per_nat(size)
        return size.regret.percent, size.low * scale, size.high * scale

    return _tracks(sizes, point)


def cost_tracks(sizes: Sequence[ProxySize]) -> list[Track]:
    """FLOPs of the search in percent of one training of the target."""
    return _tracks(sizes, lambda size: (100 * size.search_flops, math.nan, math.nan))


def _tracks(sizes: Sequence[ProxySize], point: Callable[[ProxySize], tuple[float, float, float]]) -> list[Track]:
    tracks: list[Track] = []
    targets = _by_target(sizes)
    for members in targets:
        name = members[0].target.parametrization
        points = [(math.log2(size.proxy.width), *point(size)) for size in members]
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


def _apart(size: ProxySize, targets: Sequence[Sequence[ProxySize]]) -> str:
    """What tells a target from others of its parametrization; empty if there are none."""
    rivals = [members for members in targets if members[0].target.parametrization == size.target.parametrization]
    return f"width {size.target.width}, s = {size.target.sparsity:g}" if len(rivals) > 1 else ""


def ticks_of_sizes(sizes: Sequence[ProxySize]) -> Ticks:
    """Widths of the proxies."""
    widths = sorted({size.proxy.width for size in sizes})
    return Ticks(tuple(map(math.log2, widths)), tuple(map(str, widths)), "width of the dense proxy", reverse=False)


def _table(sizes: Sequence[ProxySize], design: Design) -> Table:
    _, symbol = HYPERPARAMETER_WORDS[design.swept[0]]
    return Table(
        name="proxy_size",
        title="Every proxy of the target",
        note="Regret is the loss of the target at the proxy's optimum less the best of the target's own grid, with "
        "its standard error over paired seeds; its 95 % interval allows for the error of the proxy's optimum as "
        "well. Search is the FLOPs of training every value of the proxy once, over those of training the target once.",
        frame=proxy_size_table(sizes),
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
                PARAMETRIZATIONS[size.proxy.parametrization].title,
                f"{size.proxy.width}",
                fixed(size.optimum.log2_value, 2),
                str(size.optimum.status),
                with_error(size.regret.nats, size.regret.standard_error),
                span(size.low, size.high, 4),
                percent(size.regret.percent),
                percent(100 * size.search_flops, 0),
            )
            for size in sizes
        ),
    )
