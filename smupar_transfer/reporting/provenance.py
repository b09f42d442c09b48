"""How a result was made: what a reader needs to make it again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from smupar_transfer.records import (
    COORDINATES_FILE,
    RECORDS_FILE,
    BudgetSpec,
    CoordinateRecord,
    Manifest,
    MLPSpec,
    ModelSpec,
    ModuleSpec,
    RunRecord,
    RunSpec,
    trained_runs,
)
from smupar_transfer.reporting.number_format import duration, fixed, joined
from smupar_transfer.theory import PARAMETRIZATIONS, SOMETIMES_READ, BaseHyperparameters, ClipNorm


@dataclass(frozen=True)
class Provenance:
    """How one result was made, and how it is made again.

    Attributes:
        name: The name of its folder.
        question: The question that was asked, in words, from before the first run.
        expected: What was expected then; empty where nothing was.
        command: The command line that makes it.
        again: The command line that draws it again; empty where that is ``command``.
        facts: Label and text of everything else, in the order in which they are shown.
        files: The files of records beside the page.
        kind: What it is: "sweep", "coordinate check", "search" or "training".
        cost: How much was run, and how long that took.
        go_on: The command line that makes use of it; empty where there is none.
    """

    name: str
    question: str
    expected: str
    command: str
    again: str
    facts: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    kind: str = "sweep"
    cost: str = ""
    go_on: str = ""


def of_sweep(manifest: Manifest, records: Sequence[RunRecord]) -> Provenance:
    """How a sweep was made; ``records`` are its finished runs, at least one."""
    facts = {
        "Runs": _runs(manifest, records),
        **({"Adaptive": manifest.saved.removeprefix("Adaptive: ").rstrip(".")} if manifest.saved else {}),
        "Time": _time(records),
        "Training": training([record.spec.budget for record in records]),
        **_circumstances(records),
        "Fewest non-zero weights per neuron": fixed(
            min((wpn for r in records if (wpn := r.weights_per_neuron) is not None), default=math.nan), 0
        ),
    }
    # of trainings: a run that computes the same as another has a copy of its time
    seconds = sum(record.wall_seconds for record in trained_runs(records))
    return _of(manifest, facts, RECORDS_FILE, "sweep", cost(len(records), seconds))


def of_coordinates(manifest: Manifest, records: Sequence[CoordinateRecord]) -> Provenance:
    """How a coordinate check was made; ``records`` are its finished runs, at least one."""
    budget = records[0].spec.budget
    seeds = ", ".join(map(str, sorted({record.spec.seed for record in records})))
    seconds = sum(record.wall_seconds for record in records)
    facts = {
        "Runs": f"{len(records)} of {len(manifest.keys)} planned; seeds {seeds}",
        "Time": f"{duration(seconds)} in all",
        "Training": f"{budget.steps} steps of {_batch(budget)} tokens",
        **_circumstances(records),
    }
    return _of(manifest, facts, COORDINATES_FILE, "coordinate check", cost(len(records), seconds))


def cost(count: int, seconds: float, noun: str = "run") -> str:
    """How much was run, and how long that took."""
    return f"{counted(count, noun)}, {duration(seconds)}"


def _of(manifest: Manifest, facts: dict[str, str], records_file: str, kind: str, cost: str) -> Provenance:
    return Provenance(
        name=manifest.name,
        question=manifest.question.strip(),
        expected=manifest.expected.strip(),
        command=manifest.command,
        again=f"smupar plot {manifest.name}",
        facts=tuple(facts.items()),
        files=(records_file, "sweep.json"),
        kind=kind,
        cost=cost,
    )


def settings(specs: Sequence[RunSpec]) -> dict[str, str]:
    """What runs were asked to be: network, sparsity, base hyperparameters and data."""
    return {
        "Network": _networks([spec.model for spec in specs]),
        "Sparsity of hidden weights": joined(
            # rounded: 1 - (1 - s) loses the last bits of s
            [f"{sparsity:g}" for sparsity in sorted({round(1 - spec.sparsity.density, 6) for spec in specs})]
        ),
        "Base hyperparameters": _hyperparameters([spec.hparams for spec in specs]),
        "Data": "; ".join(sorted({f"{spec.data.name}, sha256 {spec.data.sha256}" for spec in specs})),
    }


def optimization(spec: RunSpec) -> dict[str, str]:
    """How one run is trained: parametrization, update rule, schedule, precision and seed."""
    optimizer, budget = spec.optimizer, spec.budget
    read = [f"{name} {getattr(optimizer, name):g}" for name in SOMETIMES_READ if name in optimizer.rule.reads]
    norm = "scaled norm" if optimizer.clip_norm is ClipNorm.SCALED else "norm"
    limit = optimizer.gradient_clip
    clip = f"gradients clipped at a {norm} of {limit:g}" if limit else "gradients not clipped"
    return {
        "Parametrization": f"{PARAMETRIZATIONS[spec.parametrization].title}, base width {spec.base_width}",
        "Training": f"{training([budget])}, {counted(budget.warmup_steps, 'step')} of warm-up, {budget.decay} decay to "
        f"{budget.final_fraction:g} of the learning rate",
        "Optimizer": ", ".join([optimizer.name, *read, f"{optimizer.weight_decay_form} weight decay", clip]),
        "Precision": f"{spec.precision}",
        "Seed": f"{spec.seed}",
    }


def _circumstances(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> dict[str, str]:
    return {**settings([record.spec for record in records]), **environment(records)}


def environment(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> dict[str, str]:
    """Where runs ran, and with what."""
    environments = [record.environment for record in records]
    return {
        "Machine": "; ".join(sorted({f"{e.machine}, {counted(e.threads, 'thread')} a run" for e in environments})),
        "Sparse layers": "; ".join(sorted({e.backend for e in environments})),
        "Versions": versions(records),
    }


def _networks(models: Sequence[ModelSpec]) -> str:
    widths = sorted({model.width for model in models})
    wide = f"width{'' if len(widths) == 1 else 's'} {joined([str(width) for width in widths])}"
    return f"{'; '.join(dict.fromkeys(map(_network, models)))}; {wide}"


def _network(model: ModelSpec) -> str:
    if isinstance(model, MLPSpec):
        return f"MLP, {counted(model.depth, 'hidden layer')}, ReLU"
    if isinstance(model, ModuleSpec):
        return f"a model of one's own ({model.name}, sha256 {model.sha256[:8]}), as it initialises itself"
    embeddings = "tied embeddings" if model.tied else "untied embeddings"
    biases = "with biases" if model.bias else "no biases"
    return (
        f"GPT, {counted(model.depth, 'block')}, heads of {model.head_dim}, feed-forward {model.mlp_ratio:g} times as "
        f"wide ({model.activation}), positions {model.positions}, {embeddings}, {biases}, {model.vocab_size} tokens"
    )


def _runs(manifest: Manifest, records: Sequence[RunRecord]) -> str:
    diverged = sum(record.diverged for record in records)
    seeds = ", ".join(map(str, sorted({record.spec.seed for record in records})))
    trained = len(trained_runs(records))
    shared = (
        f", {counted(trained, 'different training')} (the others compute the same as one of these)"
        if trained < len(records)
        else ""
    )
    return f"{len(records)} of {len(manifest.keys)} planned{shared}, {diverged} diverged; seeds {seeds}"


def _time(records: Sequence[RunRecord]) -> str:
    seconds = [record.wall_seconds for record in trained_runs(records)]
    return f"{duration(sum(seconds))} of training in all, median {statistics.median(seconds):.1f} s a run"


def training(budgets: Sequence[BudgetSpec]) -> str:
    """How much is trained, each budget once."""
    ordered = sorted(set(budgets), key=lambda budget: (budget.tokens, budget.steps))
    return "; ".join(dict.fromkeys(f"{b.tokens:,} tokens in {b.steps} steps of {_batch(b)}" for b in ordered))


def _batch(budget: BudgetSpec) -> str:
    return f"{budget.batch_size} × {budget.sequence_length}"


def _hyperparameters(hparams: Sequence[BaseHyperparameters]) -> str:
    base = [asdict(point) for point in hparams]
    if all(point["init_scale"] == 1 for point in base):  # that of a model of one's own, at its default
        base = [{name: value for name, value in point.items() if name != "init_scale"} for point in base]
    return ", ".join(
        f"{name.replace('_', ' ')} {'varied' if len({point[name] for point in base}) > 1 else f'{base[0][name]:g}'}"
        for name in base[0]
    )


def versions(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> str:
    """The versions of everything that computed, each once, in words."""
    by_package: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.environment.versions.items():
            by_package.setdefault(name, set()).add(version)
    return ", ".join(f"{name} {' and '.join(sorted(those))}" for name, those in by_package.items())


def counted(count: int, noun: str) -> str:
    """A number of things: "1 run", "2 runs"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
