"""Useful transfer: loss reached against compute spent, by tuning a proxy or by tuning the target itself.

Ghosh, Wu and Bietti (arXiv 2512.22768) call a transfer useful if, at equal compute, it reaches a lower loss than tuning
the target directly. Here both searches draw from the same random points, each of which was trained on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from smupar_transfer.statistics.cell import SIZES, Floats, setting_names
from smupar_transfer.statistics.variance import CONFIDENCE
from smupar_transfer.theory import PARAMETRIZATIONS, InputError

RESAMPLES = 1000
"""Of the points, for 95 % intervals: 25 of them lie beyond each end."""


@dataclass(frozen=True, eq=False)
class SearchCurve:
    """Loss of the target after a random search of 1, 2, ... draws.

    Attributes:
        parametrization: The name of the parametrization.
        way: How it is searched: ``transfer`` (on the proxy; the target is trained once at its winner) or ``direct`` (on
            the target).
        draws: The numbers of points drawn, with replacement, (lengths,).
        cost: The operations of it all over those of training the target once, counting the weights that exist,
            (lengths,).
        loss: The expected validation loss of the target, nats, (lengths,).
        resampled: A bootstrap of ``loss`` over the points, the same resamples both ways, (resamples, lengths).
    """

    parametrization: str
    way: str
    draws: tuple[int, ...]
    cost: Floats
    loss: Floats
    resampled: Floats

    @cached_property
    def low(self) -> Floats:
        """Lower end of the 95 % interval of ``loss``, (lengths,)."""
        return np.asarray(interval(self.resampled)[0])

    @cached_property
    def high(self) -> Floats:
        """Upper end of it, (lengths,)."""
        return np.asarray(interval(self.resampled)[1])


def interval(resampled: Floats) -> Floats:
    """95 % interval of what was resampled along the first axis, (2, ...)."""
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(resampled, [tail, 1 - tail], axis=0))


class HasCost(Protocol):
    """A search of several lengths, such as a ``SearchCurve``."""

    @property
    def cost(self) -> Floats:
        """What each length costs, increasing, (lengths,)."""


def at_cost(search: HasCost, cost: float) -> int:
    """Index of the longest search for at most ``cost``; that of the shortest if all cost more."""
    # costs are ratios of operations or times: equal ones may differ in the last bit
    return max(0, int(np.searchsorted(search.cost, cost + 1e-9)) - 1)


def bounded_losses(runs: pd.DataFrame) -> pd.Series:
    """The loss of every run; that of a uniform guess where it diverged, or ended above it."""
    return runs[["validation_loss", "chance_loss"]].min(axis=1)


def search_curves(runs: pd.DataFrame, swept: Sequence[str]) -> list[SearchCurve]:
    """Both curves of every parametrization; only ``direct`` of one that was trained on the target alone.

    Args:
        runs: The table of runs, as ``runs_table`` makes it. The costliest size of network is the target; a
            parametrization has one other, its proxy. Only points that both trained count. A run that diverged, or ended
            above it, has the loss of a uniform guess.
        swept: The names of the hyperparameters that make a point.

    Raises:
        InputError: there is one size only, a parametrization has several proxies, none of its points is in common, or
            its runs differ in something that is not swept.
    """
    costs = runs.groupby(list(SIZES))["flops_sparse"].median()
    if len(costs) < 2:
        raise InputError("sweep", len(costs), "sizes of network were trained, not a proxy and a target")
    every_curve = []
    for name in (name for name in PARAMETRIZATIONS if name in set(runs["parametrization"])):
        every = runs[runs["parametrization"] == name]
        _same_but_for(name, every, (*SIZES, *swept))
        own = [group for _, group in every.groupby(list(SIZES))]
        proxies = [group for group in own if float(group["flops_sparse"].median()) < costs.max()]
        if len(proxies) > 1:
            raise InputError("sweep", name, f"has {len(proxies)} sizes of proxy")
        if len(proxies) == len(own):
            continue
        target = max(own, key=lambda group: float(group["flops_sparse"].median()))
        proxy = proxies[0] if proxies else target
        both = pd.concat([_points(proxy, swept), _points(target, swept)], axis=1, join="inner").to_numpy()
        if len(both) == 0:
            raise InputError("sweep", name, "has no point that both proxy and target trained")
        ratio = float(proxy["flops_sparse"].median() / target["flops_sparse"].median())
        curves = _curves(name, both, ratio)
        every_curve += curves if proxies else [curve for curve in curves if curve.way == "direct"]
    return every_curve


def _same_but_for(parametrization: str, runs: pd.DataFrame, names: Sequence[str]) -> None:
    for setting in setting_names(runs):
        values = [] if setting in names else sorted(runs[setting].unique())
        if len(values) > 1:
            told = ", ".join(map(str, values))
            title = PARAMETRIZATIONS[parametrization].title
            hint = "sweep each by itself"
            raise InputError(
                "sweep", told, f"are {setting} of runs under {title} that this analysis takes for one", hint
            )


def _points(runs: pd.DataFrame, swept: Sequence[str]) -> pd.Series:
    # who searches learns from a run that diverged, too: that its point is no better than a guess
    return runs.assign(loss=bounded_losses(runs)).groupby(list(swept))["loss"].mean()


def _curves(name: str, both: Floats, ratio: float) -> list[SearchCurve]:
    count = len(both)
    lengths = np.arange(1, count + 1)
    rows = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))  # both ways the same: they are compared
    curves = []
    for way, column in (("transfer", 0), ("direct", 1)):
        expected = _expected(both[None, :, column], both[None, :, 1], lengths)[0]
        resampled = _expected(both[rows, column], both[rows, 1], lengths)
        once, each = (1.0, ratio) if way == "transfer" else (0.0, 1.0)  # a transfer trains the target once, at the end
        curves.append(
            SearchCurve(
                name,
                way,
                tuple(lengths.tolist()),
                np.asarray(once + each * lengths, dtype=np.float64),
                expected,
                resampled,
            )
        )
    return curves


def _expected(judged: Floats, losses: Floats, lengths: np.ndarray) -> Floats:
    """Expected loss of the point that is judged best of k draws, exactly, (resamples, lengths).

    Of n points in the order of ``judged`` the i-th (from 0) wins k draws with probability
    ((n - i) / n)**k - ((n - i - 1) / n)**k.
    """
    count = judged.shape[1]
    # stable: of points that were judged equal the first wins, on the proxy as on the target
    ordered = np.take_along_axis(losses, judged.argsort(axis=1, kind="stable"), axis=1)
    left = (np.arange(count, -1, -1) / count)[:, None] ** lengths
    return np.asarray(ordered @ (left[:-1] - left[1:]))


def search_table(curves: Sequence[SearchCurve]) -> pd.DataFrame:
    """``search.csv``: one row a curve and length of search."""
    return pd.DataFrame(
        [
            {
                "parametrization": curve.parametrization,
                "way": curve.way,
                "draws": count,
                "cost": cost,
                "loss": loss,
                "low": low,
                "high": high,
            }
            for curve in curves
            for count, cost, loss, low, high in zip(
                curve.draws, curve.cost, curve.loss, curve.low, curve.high, strict=True
            )
        ]
    )
