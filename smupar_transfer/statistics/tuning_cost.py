"""What tuning costs: a search on a small proxy and a transfer, against a search on the target itself.

The same random points are trained on proxies and on the target, under several seeds. A search is k of the points, drawn
without replacement; it judges by the losses under one seed. What it reached is the target's loss at its winner, the
mean of the *other* seeds: the loss that won is lower than what the point is worth, the more so the longer the search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from smupar_transfer.statistics.best_of_draws import best_sets
from smupar_transfer.statistics.cell import SIZES, Floats
from smupar_transfer.statistics.search_cost import at_cost, bounded_losses, interval
from smupar_transfer.statistics.variance import CONFIDENCE
from smupar_transfer.theory import InputError

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Of searches, in draws, as far as there are points; every second is a power of two."""
FINALISTS = (1, 3)
"""How many of a proxy's best points are trained on the target, of which the best is kept; fixed before any result."""
RESAMPLES = 400
"""Of points and seeds, for 95 % intervals: ten of them lie beyond each end."""


@dataclass(frozen=True, eq=False)
class WayToTune:
    """Loss of the target against what tuning cost, for searches of several lengths.

    Attributes:
        proxy_width: The width of the proxy that is searched; None where the target is.
        finalists: How many of the proxy's best points are trained on the target; 0 where the target is searched.
        draws: The lengths of search, (lengths,).
        seconds: The processor time of it all over that of training the target once, (lengths,); NaN if not known.
        operations: The same of floating-point operations, counting the weights that exist, (lengths,).
        loss: The expected validation loss of the target at the winner, nats, (lengths,).
        resampled: A bootstrap of ``loss`` over points and seeds, the same resamples for every way, (resamples,
            lengths).
    """

    proxy_width: int | None
    finalists: int
    draws: tuple[int, ...]
    seconds: Floats
    operations: Floats
    loss: Floats
    resampled: Floats

    @property
    def cost(self) -> Floats:
        """What it cost in trainings of the target, by processor time, or by operations where time is not known."""
        return self.seconds if np.isfinite(self.seconds).all() else self.operations

    @cached_property
    def band(self) -> Floats:
        """95 % interval of ``loss``, (2, lengths)."""
        return interval(self.resampled)


@dataclass(frozen=True)
class Saving:
    """What a transfer saves, for one length of its search.

    Attributes:
        factor: What direct search costs for the same loss over what the transfer costs; infinite if the longest direct
            search does not reach that loss.
        low: The lower end of its 95 % interval.
        high: The upper end.
        least: What the factor is at least where it is infinite: that of the longest direct search.
        difference: Loss after the transfer less that after the longest direct search for as much, nats.
        difference_low: The lower end of its 95 % interval.
        difference_high: The upper end.
    """

    factor: float
    low: float
    high: float
    least: float
    difference: float
    difference_low: float
    difference_high: float


def saving(transfer: WayToTune, direct: WayToTune, index: int) -> Saving:
    """Compare a transfer after ``transfer.draws[index]`` draws with direct search, resample by resample."""
    cost = float(transfer.cost[index])
    resampled = [
        _cost_to_reach(float(loss), direct.cost, curve) / cost
        for loss, curve in zip(transfer.resampled[:, index], direct.resampled, strict=True)
    ]
    # not interpolated between resamples: some of them are infinite
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="closest_observation")
    equal = at_cost(direct, cost)
    difference_low, difference_high = interval(transfer.resampled[:, index] - direct.resampled[:, equal])
    return Saving(
        factor=_cost_to_reach(float(transfer.loss[index]), direct.cost, direct.loss) / cost,
        low=float(low),
        high=float(high),
        least=float(direct.cost[-1]) / cost,
        difference=float(transfer.loss[index] - direct.loss[equal]),
        difference_low=float(difference_low),
        difference_high=float(difference_high),
    )


def _cost_to_reach(loss: float, costs: Floats, losses: Floats) -> float:
    """The cost after which a search has reached a loss, on lines over log cost between its lengths."""
    reached = np.flatnonzero(losses <= loss)
    if len(reached) == 0:
        return float("inf")
    last = int(reached[0])
    if last == 0:
        return float(costs[0])
    part = (losses[last - 1] - loss) / (losses[last - 1] - losses[last])
    return float(costs[last - 1] * (costs[last] / costs[last - 1]) ** part)


@dataclass(frozen=True)
class Proxy:
    """A proxy beside the target.

    Attributes:
        width: Its width.
        seconds_ratio: The processor time of training the target over that of training the proxy; NaN if not known.
        operations_ratio: The same of operations.
        rank_correlation: Spearman's, between the losses of proxy and target over all points, means of seeds.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    width: int
    seconds_ratio: float
    operations_ratio: float
    rank_correlation: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TuningCost:
    """The outcome of a sweep of this kind.

    Attributes:
        points: How many points all sizes of network trained.
        seeds: The seeds under which they did.
        proxies: The proxies, narrowest first.
        direct: The search on the target.
        transfers: The searches on proxies, by proxy and number of finalists.
    """

    points: int
    seeds: tuple[int, ...]
    proxies: tuple[Proxy, ...]
    direct: WayToTune
    transfers: tuple[WayToTune, ...]


def tuning_cost(runs: pd.DataFrame, swept: Sequence[str]) -> TuningCost:
    """Compare the ways to tune.

    Args:
        runs: The table of runs, as ``runs_table`` makes it, of one parametrization. The costliest size of network is
            the target, every other a proxy. Points and seeds that one of them lacks do not count. A run that diverged,
            or ended above it, has the loss of a uniform guess.
        swept: The names of the hyperparameters that make a point.

    Raises:
        InputError: there is no proxy, or less than four points under one seed at least that all sizes trained.
    """
    sizes = [group for _, group in runs.groupby(list(SIZES))]
    if len(sizes) < 2:
        raise InputError("sweep", len(sizes), "sizes of network were trained, not proxies and a target")
    # times count only where every size has them: costs in two measures could not be compared
    if not all(math.isfinite(_cost_of_run(group, "cpu_seconds")) for group in sizes):
        sizes = [group.assign(cpu_seconds=float("nan")) for group in sizes]
    ordered = sorted(sizes, key=lambda group: float(group["flops_sparse"].median()))
    losses, seeds = _common_losses(ordered, swept)
    target, target_losses = ordered[-1], losses[-1]
    points = len(target_losses)
    rows, judges = _resamples(points, len(seeds))
    direct = _way(target, target, target_losses, target_losses, 0, rows, judges)
    pairs = list(zip(ordered[:-1], losses[:-1], strict=True))
    return TuningCost(
        points=points,
        seeds=seeds,
        proxies=tuple(_proxy(proxy, target, proxy_losses, target_losses, rows) for proxy, proxy_losses in pairs),
        direct=direct,
        transfers=tuple(
            _way(proxy, target, proxy_losses, target_losses, finalists, rows, judges)
            for proxy, proxy_losses in pairs
            for finalists in FINALISTS
        ),
    )


def _common_losses(groups: Sequence[pd.DataFrame], swept: Sequence[str]) -> tuple[list[Floats], tuple[int, ...]]:
    """Losses of the points that all sizes trained under all common seeds, a (points, seeds) array for each size."""
    tables = [
        group.assign(loss=bounded_losses(group)).pivot_table(index=list(swept), columns="seed", values="loss")
        for group in groups
    ]
    # a seed that is only begun would leave few points: those count that leave the most
    every_seed = sorted(set.intersection(*(set(table.columns.tolist()) for table in tables)))
    counts = {seed: min(int(table[seed].notna().sum()) for table in tables) for seed in every_seed}
    seeds = tuple(int(seed) for seed, count in counts.items() if count == max(counts.values()))
    common = pd.concat([table[list(seeds)].dropna() for table in tables], axis=1, join="inner", keys=range(len(tables)))
    if len(common) < max(FINALISTS) + 1:
        raise InputError("sweep", len(common), "points were trained by proxies and target", "let more runs finish")
    return [common[index].to_numpy() for index in range(len(tables))], seeds


def _resamples(points: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Resampled points, (resamples, points), and resampled seeds to judge by, (resamples, seeds)."""
    source = np.random.default_rng(0)
    return source.integers(points, size=(RESAMPLES, points)), source.integers(seeds, size=(RESAMPLES, seeds))


def _proxy(
    proxy: pd.DataFrame, target: pd.DataFrame, proxy_losses: Floats, target_losses: Floats, rows: np.ndarray
) -> Proxy:
    means = np.stack([proxy_losses.mean(axis=1), target_losses.mean(axis=1)])
    correlations = np.array([_rank_correlation(means[:, row]) for row in rows])
    low, high = interval(correlations[np.isfinite(correlations)])
    return Proxy(
        width=int(proxy["width"].iloc[0]),
        seconds_ratio=1 / _ratio(proxy, target, "cpu_seconds"),
        operations_ratio=1 / _ratio(proxy, target, "flops_sparse"),
        rank_correlation=_rank_correlation(means),
        low=float(low),
        high=float(high),
    )


def _rank_correlation(pair: Floats) -> float:
    """Spearman's; NaN where all losses of one of the two are equal, as those of points that all diverged."""
    ranks = pd.DataFrame(pair.T).rank().to_numpy().T
    return float(np.corrcoef(ranks)[0, 1]) if ranks.std(axis=1).all() else float("nan")


def _ratio(proxy: pd.DataFrame, target: pd.DataFrame, cost: str) -> float:
    return _cost_of_run(proxy, cost) / _cost_of_run(target, cost)


def _cost_of_run(group: pd.DataFrame, cost: str) -> float:
    """The median over a size's runs; those that diverged stopped early. NaN if it is not known."""
    return float(group.loc[~group["diverged"], cost].median())


def _way(
    searched: pd.DataFrame,
    target: pd.DataFrame,
    judged: Floats,
    losses: Floats,
    finalists: int,
    rows: np.ndarray,
    judges: np.ndarray,
) -> WayToTune:
    points, seeds = losses.shape
    lengths = _lengths(points, max(1, finalists))
    each = [_reached(judged, losses, finalists, seed) for seed in range(seeds)]
    resampled = [
        np.mean([_reached(judged[row], losses[row], finalists, seed) for seed in drawn], axis=0)
        for row, drawn in zip(rows, judges, strict=True)
    ]
    return WayToTune(
        proxy_width=int(searched["width"].iloc[0]) if finalists else None,
        finalists=finalists,
        draws=lengths,
        seconds=finalists + _ratio(searched, target, "cpu_seconds") * np.array(lengths),
        operations=finalists + _ratio(searched, target, "flops_sparse") * np.array(lengths),
        loss=np.mean(each, axis=0),
        resampled=np.stack(resampled),
    )


def _lengths(points: int, shortest: int) -> tuple[int, ...]:
    return tuple(length for length in LENGTHS if shortest <= length <= points)


def _reached(judged: Floats, losses: Floats, finalists: int, seed: int) -> Floats:
    """Expected loss after searches of each length that judge by one seed, (lengths,), exactly."""
    held_out = np.delete(losses, seed, axis=1) if losses.shape[1] > 1 else losses
    worth = held_out.mean(axis=1)
    order = judged[:, seed].argsort(kind="stable")
    size = max(1, finalists)
    best = best_sets(len(order), size, _lengths(len(order), size))
    members = order[best.members]  # points by their rank in the search
    winners = members[np.arange(len(members)), losses[members, seed].argmin(axis=1)]
    return np.asarray(worth[winners] @ best.chances)
