"""``stability_sweep``: does the optimum stay put across width and density, on a task of anybody's?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.model import Task, task_of_functions
from smupar_transfer.records import BudgetSpec, Design, ModuleSpec, RunRecord, RunSpec, SparsitySpec
from smupar_transfer.statistics import CellSummary, FamilySummary, cells, runs_table, summarise, summarise_families
from smupar_transfer.statistics.drift_verdicts import STAYING, staying, worst
from smupar_transfer.sweeps.axes import LARGEST_LOG2, MOST_RUNS, GridAxis, is_whole
from smupar_transfer.sweeps.equivalent_runs import computation
from smupar_transfer.sweeps.planner import Planner
from smupar_transfer.sweeps.sweep import HPARAMS, SEED, Adaptive, Sweep
from smupar_transfer.theory import HYPERPARAMETERS, PARAMETRIZATIONS, BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Execution, OwnBatches, run
from smupar_transfer.training.module_check import axes_of, own_loss

NAME, WIDTH, DENSITY = "parametrization", "width", "density"
SEARCHED = tuple(name for name in HYPERPARAMETERS if name != "init_std")
"""Hyperparameters of a model that initialises itself."""
COARSE, REACH = 2.0, 1.0
"""Octaves of an adaptive search, as in the sweeps that come with the package (decision 12)."""

Watch = Callable[[RunRecord], None]


@dataclass(frozen=True)
class StabilitySweep:
    """What a stability sweep found.

    Attributes:
        records: By axis, ``width`` or ``sparsity``, the record of every run.
        cells: By axis, the optimum of every cell (a parametrization at a width and a density) with its 95 % interval,
            and what it costs to use the proxy's optimum there.
        families: By axis, the drift of the optimum under every parametrization with its interval, its slope, and the
            largest regret along the way.
    """

    records: Mapping[str, tuple[RunRecord, ...]]
    cells: Mapping[str, tuple[CellSummary, ...]]
    families: Mapping[str, tuple[FamilySummary, ...]]

    def verdict(self, parametrization: str) -> str:
        """Whether the optimum of a parametrization stays put, on all axes: within 0.35 octaves, as in SuPar's paper.

        Returns:
            One of "stays put", "likely stays put" (by its estimate, not by its whole interval), "open" and "moves";
            open where one seed leaves drifts without an interval.

        Raises:
            InputError: nothing was run under it.
        """
        known = {record.spec.parametrization for records in self.records.values() for record in records}
        if parametrization not in known:
            raise InputError("parametrization", parametrization, "was not run", f"there are {', '.join(sorted(known))}")
        verdicts = []
        for families in self.families.values():
            own = [staying(each) for each in families if each.family.parametrization == parametrization]
            verdicts.append(worst(own))  # an axis along which too little trained is open
        return STAYING[worst(verdicts)]

    def __str__(self) -> str:
        lines = [f"{'':<16}{'axis':<10}{'drift (octaves)':<24}{'largest regret':<16}verdict"]
        for axis, families in self.families.items():
            for each in families:
                span = f"[{each.drift.low:.2f}, {each.drift.high:.2f}]"
                drift = f"{'≥ ' if each.at_least else ''}{each.drift.value:.2f} {span}"
                regret = f"{'≥ ' if each.regret_at_least else ''}{each.largest_zero_shot_regret:.2f} %"
                lines.append(f"{each.family.label:<16}{axis:<10}{drift:<24}{regret:<16}{STAYING[staying(each)]}")
        return "\n".join(lines)


def stability_sweep(
    make_model: Callable[[int], nn.Module],
    batches: Callable[[str, int], Iterable[Any]],
    *,
    widths: Sequence[int],
    densities: Sequence[float] = (1.0,),
    base_width: int | None = None,
    loss: Callable[[nn.Module, Any], Tensor] | None = None,
    steps: int,
    warmup_steps: int = 0,
    swept: str = "learning_rate",
    log2_values: tuple[float, float, float] = (-12.0, -2.0, 1.0),
    adaptive: bool = True,
    parametrizations: Sequence[str] = ("sp", "mup", "smupar"),
    seeds: Sequence[int] = (0, 1, 2),
    hparams: Mapping[str, float] | None = None,
    optimizer: str = "adamw",
    mask: str = "random",
    roles: Mapping[str, Any] | None = None,
    tokens_per_step: int = 1,
    execution: Execution | None = None,
    watch: Watch | None = None,
) -> StabilitySweep:
    """Look for the best value of a hyperparameter at every width and density, and say whether it is the same.

    Across ``widths`` at the first density, and across ``densities`` at the last width, whichever are two or more; the
    dense proxy of base width is trained, too, for regrets. Runs that compute the same are trained once. Everything
    stays in memory: a task *file* in `smupar sweep` gives records, workers and pages for the same (model=module).

    Args:
        make_model: From a width to a model, as it initialises itself; seeded by the run.
        batches: From ``"train"`` or ``"validation"`` and a seed to batches of any kind; where they end, training goes
            on with those of the next seed.
        widths: The widths.
        densities: The densities of hidden weights.
        base_width: The width of the proxy; the smallest of ``widths`` if left out.
        loss: From model and batch to a loss; if left out, ``model(**batch).loss``, as models of ``transformers`` have.
        steps: The number of optimizer steps of a run; the learning rate falls linearly to a tenth.
        warmup_steps: The steps of linear warm-up among them.
        swept: The base hyperparameter whose optimum is looked for.
        log2_values: The first and last log2 of its values, and the step between them, octaves.
        adaptive: Whether cells run no more of these values than it takes to find their optima, and to know the loss at
            what the proxy predicts; else all values are run with all seeds.
        parametrizations: The names of the tables.
        seeds: Of weights, masks and batches; intervals need two at least.
        hparams: Name to base value of the other hyperparameters: ``learning_rate``, ``init_scale``,
            ``input_multiplier``, ``output_multiplier``, ``weight_decay``.
        optimizer: The name of the update rule.
        mask: The name of the mask structure.
        roles: What you know of roles, as ``plan`` takes it.
        tokens_per_step: The tokens (or examples) of a batch, by which operations are counted.
        execution: Where and how to compute; one CPU thread if left out.
        watch: Is told of every record as it comes.

    Raises:
        InputError: nothing is varied, a name or a value is none, or the model cannot be planned or trained.
    """
    _check(swept, log2_values, parametrizations, seeds, densities, hparams or {})
    axes = axes_of(widths, densities)
    budget = BudgetSpec(steps, tokens_per_step, warmup_steps=warmup_steps)
    with task_of_functions(make_model, batches, loss or own_loss, roles or {}, tokens_per_step) as task, _threads():
        maker = _Maker(task, base_width or min(widths), hparams or {}, OptimizerSettings(optimizer), mask, budget)
        trained = _Trained(OwnBatches.of(task), execution or Execution(), watch, {})
        done = {}
        for axis, places in axes.items():
            everywhere = dict.fromkeys([(maker.base_width, 1.0), *places])  # the proxy's own cell: regrets need it
            sweep = _sweep(axis, everywhere, swept, log2_values, adaptive, parametrizations, seeds)
            planner = Planner(sweep, maker.spec, maker.hparams)
            done[axis] = (sweep.design, trained.all_of(planner))
    return judged_sweeps(done)


def judged_sweeps(done: Mapping[str, tuple[Design, Sequence[RunRecord]]]) -> StabilitySweep:
    """What the runs of sweeps say, as reports of such sweeps do; by axis, its design and its runs."""
    records = {axis: tuple(own) for axis, (_, own) in done.items()}
    summaries = {axis: tuple(_summaries(design, own)) for axis, (design, own) in done.items()}
    families = {axis: tuple(summarise_families(own)) for axis, own in summaries.items()}
    return StabilitySweep(records, summaries, families)


def _summaries(design: Design, records: Sequence[RunRecord]) -> list[CellSummary]:
    return summarise(cells(runs_table(records), design), design)


def _check(
    swept: str,
    log2_values: tuple[float, float, float],
    parametrizations: Sequence[str],
    seeds: Sequence[int],
    densities: Sequence[float],
    hparams: Mapping[str, float],
) -> None:
    """Refuse, before anything is trained, what no run could tell."""
    for key, names, known in (
        ("swept", [swept], SEARCHED),
        ("parametrizations", parametrizations, tuple(PARAMETRIZATIONS)),
        ("hparams", hparams, SEARCHED),
    ):
        for name in names:
            if name not in known:
                raise InputError(key, name, f"is not one of {', '.join(known)}")
    for key, values in (("parametrizations", parametrizations), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise InputError(key, list(values), "is empty or names something twice", "name each once")
    for density in densities:
        if not 0 < density <= 1:
            raise InputError("densities", density, "must lie in (0, 1]", "1 is dense")
    if swept in hparams:
        raise InputError("hparams", swept, "is what is swept", "leave it out")
    _check_values(log2_values)


def _check_values(log2_values: tuple[float, float, float]) -> None:
    """Refuse what is no range of three values or more."""
    if len(log2_values) == 3 and all(abs(value) <= LARGEST_LOG2 for value in log2_values) and log2_values[2] > 0:
        steps = (log2_values[1] - log2_values[0]) / log2_values[2]
        if 2 <= steps <= MOST_RUNS and is_whole(steps):
            return
    problem = "are not first, last and step of three values or more"
    raise InputError("log2_values", list(log2_values), problem, "as in (-12, -2, 1)")


def _sweep(
    axis: str,
    places: Iterable[tuple[int, float]],
    swept: str,
    log2_values: tuple[float, float, float],
    adaptive: bool,
    parametrizations: Sequence[str],
    seeds: Sequence[int],
) -> Sweep:
    """The sweep over one axis, in the terms of a sweep file."""
    key, values = f"{HPARAMS}{swept}", GridAxis(first=log2_values[0], last=log2_values[1], step=log2_values[2])
    grids = [
        {
            NAME: GridAxis(values=list(parametrizations)),
            WIDTH: GridAxis(values=[width]),
            DENSITY: GridAxis(values=[density]),
            SEED: GridAxis(values=list(seeds)),
            **({} if adaptive else {key: values}),
        }
        for width, density in places
    ]
    # steps wider than the usual octaves still leave a coarse round and neighbours to look at
    octaves = max(COARSE, log2_values[2]), max(REACH, log2_values[2])
    whole = [math.ceil(amount / log2_values[2]) * log2_values[2] for amount in octaves]
    search = Adaptive(key, values, whole[0], whole[1], carried=True) if adaptive else None
    return Sweep(f"over {axis}", "", grids=list(grids), swept=(swept,), axis=axis, adaptive=search)


@dataclass(frozen=True)
class _Maker:
    """Makes the runs of a task."""

    task: Task
    base_width: int
    given: Mapping[str, float]
    optimizer: OptimizerSettings
    mask: str
    budget: BudgetSpec

    @property
    def hparams(self) -> BaseHyperparameters:
        """The base values that all runs share where they are not swept."""
        # a model that initialises itself reads no init_std, and specifications refuse any other value
        return BaseHyperparameters(**{"learning_rate": 2.0**-9, **self.given, "init_std": 1.0})

    def spec(self, point: Mapping[str, Any]) -> RunSpec:
        """The run at a point of the grid; seed and swept value are the planner's."""
        return RunSpec(
            model=ModuleSpec(point[WIDTH], self.task.sha256, self.task.name),
            base_width=self.base_width,
            sparsity=SparsitySpec(point[DENSITY], self.mask),
            parametrization=point[NAME],
            hparams=self.hparams,
            optimizer=self.optimizer,
            data=OwnBatches.of(self.task).spec,
            budget=self.budget,
        )


@dataclass(frozen=True)
class _Trained:
    """Trains what is missing, in this process; a run that computes what another did gets a copy of its record."""

    data: OwnBatches
    execution: Execution
    watch: Watch | None
    computed: dict[Any, RunRecord]

    def all_of(self, planner: Planner) -> list[RunRecord]:
        """The records of all runs that a sweep comes to need."""
        records: dict[str, RunRecord] = {}
        # a plan grows with its records: it is asked until it adds nothing
        while missing := [spec for spec in planner.planned(records) if spec.key not in records]:
            for spec in missing:
                records[spec.key] = self._record(spec)
                if self.watch is not None:
                    self.watch(records[spec.key])
        return [records[spec.key] for spec in planner.planned(records)]

    def _record(self, spec: RunSpec) -> RunRecord:
        same = computation(spec)
        if same not in self.computed:
            self.computed[same] = run(spec, self.data, self.execution)
        trained = self.computed[same]
        is_itself = trained.key == spec.key
        return trained if is_itself else replace(trained, key=spec.key, spec=spec, same_as=trained.key)


@contextmanager
def _threads() -> Iterator[None]:
    """Leave the caller's number of threads as it was: a run sets its own."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
