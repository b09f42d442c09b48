"""Records as tables, the cells of a sweep (one curve of loss against a hyperparameter each), and families of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smupar_transfer.records import Design, ModuleSpec, RunRecord, RunSpec, chance_loss
from smupar_transfer.statistics.labels import Setting, label, said, variant
from smupar_transfer.statistics.varying import FIELD, varying_fields
from smupar_transfer.theory import HYPERPARAMETERS, PARAMETRIZATIONS, InputError

Floats = NDArray[np.float64]

SETTINGS = (
    "width",
    "sparsity",
    "base_width",
    "depth",
    "tokens",
    *HYPERPARAMETERS,
    "weight_decay_form",
    "optimizer",
    "epsilon",
    "warmup",
    "mask",
)
"""Columns that tell cells apart, beside the parametrization; those that are swept do not. Further columns, after these
in a table, are fields of the specification that vary over its runs (see ``varying_fields``)."""


SIZES = ("width", "sparsity", "depth", "tokens")
"""Those that say how much there is to compute."""
USUAL = 2 / 3
"""Part of the families that has to agree in a setting for labels to leave it out."""


def runs_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run; losses in nats, NaN where the run diverged. ``sparsity`` is 1 - density as configured.

    ``tokens`` are those of the budget, FLOPs those of the whole training; ``warmup`` is the part of the steps that warm
    up, ``epsilon`` that of the proxy, and ``chance_loss`` the loss of a uniform guess, where training begins.
    """
    records = list(records)
    table = pd.DataFrame([_row(record) for record in records])
    return table.assign(**varying_fields([record.spec for record in records]))


def setting_names(runs: pd.DataFrame) -> list[str]:
    """Columns of a table of runs that tell cells apart: ``SETTINGS``, and the fields that vary besides."""
    return [*SETTINGS, *(name for name in runs.columns if name.startswith(FIELD))]


def _row(record: RunRecord) -> dict[str, object]:
    spec = record.spec
    return {
        "key": record.key,
        **told_of(spec),
        "density": spec.sparsity.density,
        "log2_learning_rate": spec.log2_learning_rate,
        "train_loss": _number(record.train_loss),
        "validation_loss": _number(record.validation_loss),
        "bits_per_byte": _number(record.bits_per_byte),
        "chance_loss": chance_loss(spec.model),
        "diverged": record.diverged,
        "weights_per_neuron": record.weights_per_neuron,
        "flops_dense": record.flops_dense,
        "flops_sparse": record.flops_sparse,
        "wall_seconds": record.wall_seconds,
        "cpu_seconds": _number(record.cpu_seconds),
    }


def told_of(spec: RunSpec) -> dict[str, object]:
    """All that tells runs of a sweep apart: parametrization, ``SETTINGS`` and seed."""
    return {
        "parametrization": spec.parametrization,
        "width": spec.model.width,
        "sparsity": 1 - spec.sparsity.density,
        "base_width": spec.base_width,
        "depth": 0 if isinstance(spec.model, ModuleSpec) else spec.model.depth,
        "tokens": spec.budget.tokens,
        **{name: getattr(spec.hparams, name) for name in HYPERPARAMETERS},
        "weight_decay_form": str(spec.optimizer.weight_decay_form),
        "optimizer": str(spec.optimizer.name),
        "epsilon": spec.optimizer.epsilon,
        "warmup": spec.budget.warmup_steps / spec.budget.steps,
        "mask": str(spec.sparsity.mask),
        "seed": spec.seed,
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True, eq=False)
class Setup:
    """What the runs of a cell have in common.

    Attributes:
        parametrization: The name of the parametrization.
        settings: The values of ``setting_names``, of those that are not swept.
    """

    parametrization: str
    settings: Mapping[str, Setting]

    @property
    def width(self) -> int:
        """The width of the network."""
        return int(self.settings["width"])

    @property
    def sparsity(self) -> float:
        """1 - rho, as configured."""
        return float(self.settings["sparsity"])

    @property
    def density(self) -> float:
        """Rho = 1 - sparsity."""
        return 1 - self.sparsity

    def position(self, axis: str) -> float:
        """Where the cell lies along an axis: density, not sparsity, for ``sparsity``."""
        return self.density if axis == "sparsity" else float(self.settings[axis])


@dataclass(frozen=True, eq=False)
class Cell(Setup):
    """Runs that differ in seed and in the swept hyperparameter only.

    Attributes:
        log2_values: The log2 of the swept hyperparameter's values, increasing, (values,).
        seeds: The seeds in increasing order, (seeds,).
        losses: Validation losses in nats, (seeds, values); infinite where a run diverged, NaN where there is none.
        chance_loss: The loss of a uniform guess, nats.
        flops: The floating-point operations of training once, counting the weights that exist.
    """

    log2_values: Floats
    seeds: tuple[int, ...]
    losses: Floats
    chance_loss: float
    flops: float

    @property
    def mean_losses(self) -> Floats:
        """The mean loss at each value over the seeds that ran it, (values,); see ``levelled_means``."""
        return levelled_means(self.losses)


def levelled_means(losses: Floats) -> Floats:
    """Mean over the seeds that ran at each value, (values,); infinite where one diverged, NaN where none ran.

    Where only some of the seeds ran, each counts less its level: the median of what sets it apart where all ran. So a
    curve does not jump where its seeds change, and one bad run does not move the level of a seed.

    Args:
        losses: Validation losses in nats, (seeds, values); infinite where a run diverged, NaN where there is no run.
    """
    ran = ~np.isnan(losses)
    common = losses[:, np.isfinite(losses).all(axis=0)]
    levels = np.median(common - common.mean(axis=0), axis=1) if common.size else np.zeros(len(losses))
    levelled = np.where(ran.all(axis=0), losses, losses - levels[:, None])
    total, count = np.where(ran, levelled, 0.0).sum(axis=0), ran.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def cells(runs: pd.DataFrame, design: Design | None = None) -> list[Cell]:
    """The cells of a table of runs, by parametrization (in the order of ``theory``) and then by settings.

    Args:
        runs: The table of runs, as ``runs_table`` makes it.
        design: The design of the sweep, with one swept hyperparameter; the default design if left out.

    Raises:
        InputError: two runs of a cell have the same seed and value, so they differ in something no column tells.
    """
    (swept,) = (design or Design()).swept
    if runs.empty:
        return []
    sweep = []
    for settings, group in grouped(runs, (swept,)):
        log2_values = np.log2(group[swept].to_numpy(dtype=np.float64))
        losses = group["validation_loss"].where(~group["diverged"], np.inf)
        table = group.assign(x=log2_values, loss=losses).pivot_table(index="seed", columns="x", values="loss")
        sweep.append(
            Cell(
                parametrization=str(group["parametrization"].iloc[0]),
                settings=settings,
                log2_values=table.columns.to_numpy(dtype=np.float64),
                seeds=tuple(int(seed) for seed in table.index),
                losses=table.to_numpy(dtype=np.float64),
                chance_loss=float(group["chance_loss"].iloc[0]),
                flops=float(group["flops_sparse"].median()),  # masks of other seeds may have some weights more
            )
        )
    return sweep


def grouped(runs: pd.DataFrame, swept: tuple[str, ...]) -> list[tuple[dict[str, Setting], pd.DataFrame]]:
    """Settings and runs of every cell, in the order of ``cells``.

    Raises:
        InputError: as ``cells``.
    """
    names = [name for name in setting_names(runs) if name not in swept]
    order = list(PARAMETRIZATIONS)
    groups = []
    for _, group in runs.groupby(["parametrization", *names], sort=True):
        twice = group[group.duplicated(["seed", *swept], keep=False)]
        if not twice.empty:
            keys = ", ".join(sorted(twice["key"])[:2])
            raise InputError(
                "sweep", keys, "are runs that differ in nothing a sweep tells apart", "sweep that by itself"
            )
        groups.append(({name: group[name].iloc[0] for name in names}, group))
    return sorted(groups, key=lambda pair: order.index(str(pair[1]["parametrization"].iloc[0])))


@dataclass(frozen=True, eq=False)
class Family:
    """Cells that differ along the axis (and in what is tied to it) only.

    Attributes:
        parametrization: The name of the parametrization.
        axis: The scale along which the cells differ.
        apart: The settings that tell this family from others of its parametrization, ordered as their columns.
        cells: The cells from the proxy's end of the axis on: from dense to sparse, else upwards.
        shared: Those of ``apart`` that most families of two cells or more agree in; empty for a family of one cell.
    """

    parametrization: str
    axis: str
    apart: tuple[tuple[str, Setting], ...]
    cells: tuple[Cell, ...]
    shared: tuple[tuple[str, Setting], ...] = ()

    @property
    def label(self) -> str:
        """For people: the parametrization's title and its ``variant``."""
        return label(self.parametrization, self._own)

    @property
    def variant(self) -> str:
        """For people: what sets the family apart from others of its parametrization, ``shared`` settings left out."""
        return variant(self._own)

    @property
    def _own(self) -> list[tuple[str, Setting]]:
        return [pair for pair in self.apart if pair not in self.shared]


def apart(sweep: Sequence[Setup], design: Design) -> list[tuple[tuple[str, Setting], ...]]:
    """For each setup, the settings that tell its family from others of its parametrization, ordered as their columns.

    Those that vary over the setups of its parametrization and are neither swept nor the axis nor tied to it.
    """
    known = dict.fromkeys(name for setup in sweep for name in setup.settings)
    names = [name for name in known if name not in (design.axis, *design.tied, *design.swept)]
    varying: dict[str, list[str]] = {}
    # each by itself: a setting that only varies under another parametrization tells nothing about the families of this
    # one
    for parametrization in {setup.parametrization for setup in sweep}:
        own = [setup.settings for setup in sweep if setup.parametrization == parametrization]
        varying[parametrization] = [name for name in names if len({settings[name] for settings in own}) > 1]
    return [tuple((name, setup.settings[name]) for name in varying[setup.parametrization]) for setup in sweep]


def families(sweep: Sequence[Cell], design: Design | None = None) -> list[Family]:
    """The families of a sweep, in the order of its cells."""
    design = design or Design()
    members: dict[tuple[str, tuple[tuple[str, Setting], ...]], list[Cell]] = {}
    for cell, settings in zip(sweep, apart(sweep, design), strict=True):
        members.setdefault((cell.parametrization, settings), []).append(cell)
    # families of one cell, such as the proxy, have no say in what is usual
    usual = _usual([settings for (_, settings), own in members.items() if len(own) > 1])
    downwards = -1 if design.axis == "sparsity" else 1
    return [
        Family(
            name,
            design.axis,
            settings,
            tuple(sorted(own, key=lambda cell: downwards * cell.position(design.axis))),
            tuple(pair for pair in settings if pair in usual) if len(own) > 1 else (),
        )
        for (name, settings), own in members.items()
    ]


def _usual(settings: Sequence[tuple[tuple[str, Setting], ...]]) -> set[tuple[str, Setting]]:
    """Those that are the same in more than ``USUAL`` of the families where they are named."""
    pairs = [pair for each in settings for pair in each]
    names = [name for name, _ in pairs]
    return {pair for pair in pairs if pairs.count(pair) > USUAL * names.count(pair[0])}


def shared_words(families: Iterable[Family]) -> str:
    """For people: what the labels of these families leave out, such as "width 256"; empty if nothing."""
    return ", ".join(dict.fromkeys(said(*pair) for family in families for pair in family.shared))
