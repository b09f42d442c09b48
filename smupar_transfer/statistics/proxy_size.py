"""How small may the proxy be before the target pays for it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smupar_transfer.statistics.cell import SIZES, Cell
from smupar_transfer.statistics.cell_summary import best_losses
from smupar_transfer.statistics.optimum import Optimum, Status, estimate
from smupar_transfer.statistics.regret import Regret, losses_at, transferred_regret
from smupar_transfer.statistics.variance import CONFIDENCE, draws


@dataclass(frozen=True, eq=False)
class ProxySize:
    """One proxy of one target.

    Attributes:
        proxy: The cell of the proxy.
        target: The cell of the target, of the same parametrization and another size and sparsity.
        optimum: The optimum of the proxy.
        regret: The regret of the target at the proxy's optimum, against the best of the target's own grid.
        best_loss: The mean of the latter, nats.
        low: The lower end of the 95 % interval of the regret in nats: the proxy's optimum and the target's losses both
            vary as their standard errors say; NaN with one seed.
        high: The upper end of that interval, which has no end where runs of the target diverged; NaN with one seed.
        search_flops: The operations of training every value of the proxy once, over those of training the target once.
    """

    proxy: Cell
    target: Cell
    optimum: Optimum
    regret: Regret
    best_loss: float
    low: float
    high: float
    search_flops: float


def proxy_sizes(sweep: Sequence[Cell]) -> list[ProxySize]:
    """Every dense cell as a proxy of the widest (then sparsest) cell with the same parametrization and settings.

    Cells whose proxy trained at no value, and targets that did not, are left out.
    """
    optima = dict(zip(map(id, sweep), estimate(sweep), strict=True))
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in sweep:
        if optima[id(cell)].status is not Status.NOTHING:
            same = tuple(value for name, value in cell.settings.items() if name not in SIZES)
            groups.setdefault((cell.parametrization, *same), []).append(cell)
    sizes = []
    for members in groups.values():
        target = max(members, key=lambda cell: (cell.width, cell.sparsity))
        proxies = [cell for cell in members if cell.sparsity == 0 and cell.width < target.width]
        proxies.sort(key=lambda cell: (cell.width, cell.flops))
        sizes += [_proxy_size(proxy, target, optima[id(proxy)], optima[id(target)]) for proxy in proxies]
    return sizes


def _proxy_size(proxy: Cell, target: Cell, optimum: Optimum, best: Optimum) -> ProxySize:
    own = best_losses(target, best)
    low, high = _interval(target, optimum, own)
    return ProxySize(
        proxy=proxy,
        target=target,
        optimum=optimum,
        regret=transferred_regret(target, optimum.log2_value, own),
        best_loss=float(np.nanmean(own)),
        low=low,
        high=high,
        search_flops=len(proxy.log2_values) * proxy.flops / target.flops,
    )


def _interval(target: Cell, optimum: Optimum, own: np.ndarray) -> tuple[float, float]:
    seeds = int((~np.isnan(own)).sum())
    if seeds < 2 or not math.isfinite(optimum.standard_error):
        return math.nan, math.nan
    # by how many octaves the proxy errs, and, in standard errors, the luck of the seeds of the target
    errors = draws(
        np.array([optimum.standard_error, 1.0]), np.array([optimum.degrees_of_freedom, seeds - 1.0]), count=1000
    )
    regrets = []
    for moved, luck in errors:
        # beyond its grid nothing is known of the target
        at = min(max(optimum.log2_value + moved, target.log2_values[0]), target.log2_values[-1])
        difference = losses_at(target, float(at)) - own
        difference = difference[~np.isnan(difference)]
        if np.isinf(difference).any():
            regrets.append(math.inf)
        elif len(difference) > 1:
            regrets.append(float(difference.mean()) + luck * float(difference.std(ddof=1)) / math.sqrt(len(difference)))
    if not regrets:
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(regrets, [tail, 1 - tail], method="nearest")  # some are infinite: none is interpolated
    return float(low), float(high)


def proxy_size_table(sizes: Sequence[ProxySize]) -> pd.DataFrame:
    """``proxy_size.csv``: one row a proxy."""
    return pd.DataFrame(
        [
            {
                "parametrization": size.proxy.parametrization,
                "target_width": size.target.width,
                "target_sparsity": size.target.sparsity,
                "proxy_width": size.proxy.width,
                "proxy_depth": size.proxy.settings["depth"],
                "proxy_tokens": size.proxy.settings["tokens"],
                "log2_value": size.optimum.log2_value,
                "status": str(size.optimum.status),
                "regret_nats": size.regret.nats,
                "regret_percent": size.regret.percent,
                "regret_standard_error": size.regret.standard_error,
                "low": size.low,
                "high": size.high,
                "search_flops": size.search_flops,
            }
            for size in sizes
        ]
    )
