"""Does the interval of an optimum hold the truth as often as it says? Synthetic sweeps whose optima are known.

Shapes, curvatures, noise levels and their correlation come from records of real runs. Every cell whose best value lies
inside its grid gives three smooth curves, fitted to its mean losses:

- exponentials, c + a exp(-k x) + b exp(l x), with normal noise: on these the settings of the estimator were chosen;
- hyperbola, c + b x + a sqrt((x - m)**2 + s**2), with noise of Student's t with 5 degrees of freedom;
- morse, c + a (1 - exp(-k (x - m)))**2, with that noise too.

    python scripts/bench_estimator.py --output results/bench_estimator
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.shapes import FORMS, Shape, shapes
from smupar_transfer.records import RunStore
from smupar_transfer.statistics import Cell, Optimum, Status, cells, estimate, runs_table, summarise, summarise_families
from smupar_transfer.statistics.cell import Floats
from smupar_transfer.statistics.curve_fit import local_fit
from smupar_transfer.statistics.drift import Spread
from smupar_transfer.sweeps.adaptive import CellSearch, planned

CHANCE = math.log(256)
RANGE = 3.0  # octaves of grid on either side of its middle
OFF_CENTRE = 2.5  # octaves that the optimum may lie from the middle
COARSE, REACH = 2.0, 1.0  # octaves, of adaptive grids in sweeps/stability


@dataclass(frozen=True)
class Plan:
    """Which runs of a cell a sweep asks for.

    Attributes:
        step: octaves between values.
        adaptive: wide steps with one seed, and all seeds around the minimum alone, as in the sweeps of this project.
    """

    step: float
    adaptive: bool = False

    @property
    def grid(self) -> Floats:
        """log2 values, (values,)."""
        return np.arange(-RANGE, RANGE + self.step / 2, self.step)

    def seen(self, losses: Floats) -> Floats:
        """Losses (seeds, values) with NaN where nothing would be run."""
        if not self.adaptive:
            return losses
        seeds, values = losses.shape
        search = CellSearch(values, round(COARSE / self.step), round(REACH / self.step), tuple(range(seeds)))
        known = np.full_like(losses, np.nan)
        for point, seed in planned(search, lambda grid_point: float(losses[grid_point[1], grid_point[0]])):
            known[seed, point] = losses[seed, point]
        return known


SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.9375)
FIRST = "exponentials"
"""The form with normal noise, on which the settings of the estimator were chosen."""
PLANS = {"1": Plan(1.0), "1/2": Plan(0.5), "adaptive": Plan(0.5, adaptive=True)}


def simulate(shape: Shape, truth: float, plan: Plan, seeds: int, random: np.random.Generator, heavy: bool) -> Cell:
    """A cell of that shape with its optimum at ``truth``."""
    u = plan.grid - truth
    covariance = shape.walk * np.minimum.outer(u - u[0], u - u[0]) + np.diag(shape.single * 4 ** np.clip(u, 0, 2.5))
    noise = random.standard_normal((seeds, len(u))) @ np.linalg.cholesky(covariance).T
    if heavy:
        noise = noise / np.sqrt(random.chisquare(5, size=(seeds, 1)) / 3)  # of the same variance
    levels = 0.02 * random.standard_normal((seeds, 1))
    losses = plan.seen(np.minimum(shape.loss(u), CHANCE) + levels + noise)
    ran = ~np.isnan(losses).all(axis=0)
    source, values = shape.source, plan.grid[ran]
    return Cell(
        source.parametrization, source.settings, values, tuple(range(seeds)), losses[:, ran], CHANCE, source.flops
    )


def percentile_interval(cell: Cell, random: np.random.Generator) -> tuple[float, float]:
    """The plain bootstrap over seeds, as a control."""
    values = []
    for rows in random.integers(len(cell.seeds), size=(100, len(cell.seeds))):
        means = cell.losses[rows].mean(axis=0)
        fit, _ = local_fit(cell.log2_values[~np.isnan(means)], means[~np.isnan(means)])
        values.append(math.nan if fit is None else fit.log2_value)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def measure_optima(shapes: Sequence[Shape], form: str, seeds: int, name: str, sweeps: int) -> dict[str, object]:
    """Coverage and errors over ``sweeps`` synthetic sweeps with a cell of every shape."""
    random = np.random.default_rng([list(FORMS).index(form), seeds, list(PLANS).index(name)])
    held, half, plain, errors, widths, statuses = [], [], [], [], [], []
    for sweep in range(sweeps):
        truths = random.uniform(-OFF_CENTRE, OFF_CENTRE, size=len(shapes))
        made = [
            simulate(shape, truth, PLANS[name], seeds, random, form != FIRST)
            for shape, truth in zip(shapes, truths, strict=True)
        ]
        for cell, truth, optimum in zip(made, truths, estimate(made), strict=True):
            statuses.append(optimum.status)
            if optimum.status is not Status.FIT:
                continue
            errors.append(abs(optimum.log2_value - truth))
            widths.append(optimum.high - optimum.low)
            held.append(optimum.low <= truth <= optimum.high)
            half.append(abs(2 * (truth - optimum.log2_value)) <= _reach(optimum, truth))
            if sweep < max(1, sweeps // 8):
                low, high = percentile_interval(cell, random)
                plain.append(low <= truth <= high)
    return {
        "form": form,
        "seeds": seeds,
        "grid": name,
        "curves": len(statuses),
        "edge": statuses.count(Status.EDGE) / len(statuses),
        "not_convex": statuses.count(Status.NOT_CONVEX) / len(statuses),
        "flat": statuses.count(Status.FLAT) / len(statuses),
        "median_error": float(np.median(errors)),
        "error_95": float(np.quantile(errors, 0.95)),
        "median_width": float(np.median(widths)),
        "coverage": float(np.mean(held)),
        "coverage_of_half": float(np.mean(half)),
        "coverage_of_bootstrap": float(np.mean(plain)),
    }


def _reach(optimum: Optimum, truth: float) -> float:
    return optimum.high - optimum.log2_value if truth > optimum.log2_value else optimum.log2_value - optimum.low


def measure_drift(
    shapes: Sequence[Shape], form: str, seeds: int, name: str, drift: float, count: int
) -> dict[str, object]:
    """Coverage of the interval of the drift over ``count`` families of five cells with evenly spaced optima.

    A family has shapes of one parametrization. One without an interval, since an optimum is at the edge or not convex,
    is drawn again.
    """
    random = np.random.default_rng([7, list(FORMS).index(form), seeds, list(PLANS).index(name), int(100 * drift)])
    names = sorted({shape.source.parametrization for shape in shapes})
    drifts: list[Spread] = []
    while len(drifts) < count:
        chosen = random.choice(names)
        own = [shape for shape in shapes if shape.source.parametrization == chosen]
        truths = random.uniform(-0.5, 0.5) + drift * (np.arange(len(SPARSITIES)) / (len(SPARSITIES) - 1) - 0.5)
        made = [
            at_sparsity(simulate(own[random.integers(len(own))], truth, PLANS[name], seeds, random, form != FIRST), s)
            for truth, s in zip(truths, SPARSITIES, strict=True)
        ]
        (family,) = summarise_families(summarise(made))
        if not math.isnan(family.drift.low):
            drifts.append(family.drift)
    widths = [spread.high - spread.low for spread in drifts if math.isfinite(spread.high)]
    return {
        "form": form,
        "seeds": seeds,
        "grid": name,
        "true_drift": drift,
        "median_drift": float(np.median([spread.value for spread in drifts])),
        "median_of_noise_alone": float(np.median([spread.noise for spread in drifts])),
        "without_end": 1 - len(widths) / count,
        "median_width": float(np.median(widths)),
        "coverage": float(np.mean([spread.low <= drift <= spread.high for spread in drifts])),
    }


def at_sparsity(cell: Cell, sparsity: float) -> Cell:
    """The cell at another position of a family, whatever its shape was taken from."""
    every = {**cell.settings, "sparsity": sparsity, "width": 256, "base_width": 64, "depth": 2, "tokens": 204_800}
    return replace(cell, settings=every)


def sources(folders: Sequence[Path], without: Sequence[Path]) -> list[Cell]:
    """Cells of sweeps, equal ones once, and none that has a run in common with the sweeps in ``without``."""
    known = {record.same_as or record.key for folder in without for record in RunStore(folder)}
    by_losses: dict[bytes, Cell] = {}
    for folder in folders:
        records = list(RunStore(folder))
        others = [record for record in records if (record.same_as or record.key) not in known]
        untouched = {cell.losses.tobytes() for cell in cells(runs_table(others))}
        every = cells(runs_table(records))
        by_losses |= {cell.losses.tobytes(): cell for cell in every if cell.losses.tobytes() in untouched}
    return list(by_losses.values())


def main() -> None:
    """Print both tables; write them too where ``--output`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--records", type=Path, nargs="+", default=[Path("results/lr_by_sparsity")], help="folders of sweeps"
    )
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="folders of sweeps whose runs do not count")
    parser.add_argument("--sweeps", type=int, default=80, help="synthetic sweeps per row, a curve per shape each")
    parser.add_argument("--families", type=int, default=200, help="synthetic families per row of the drift table")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    sweep = sources(arguments.records, arguments.without)
    optima, drifts = [], []
    for form in FORMS:
        drawn = shapes(sweep, form)
        print(f"{form}: {len(drawn)} shapes of {len(sweep)} different cells")
        for seeds in (3, 5):
            for name in PLANS:
                optima.append(measure_optima(drawn, form, seeds, name, arguments.sweeps))
                drifts += [
                    measure_drift(drawn, form, seeds, name, drift, arguments.families) for drift in (0.0, 0.35, 2.0)
                ]
    for name, rows in (("optima", optima), ("drift", drifts)):
        table = pd.DataFrame(rows)
        print(f"\n{name}\n{table.to_string(index=False, float_format=lambda value: f'{value:.3f}')}")
        if arguments.output is not None:
            arguments.output.mkdir(parents=True, exist_ok=True)
            table.to_csv(arguments.output / f"{name}.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
