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
    RunRecord,
    trained_runs,
)
from smupar_transfer.verification.wording import duration, fixed, joined


@dataclass(frozen=True)
class Provenance:
    """Of one result.

    Attributes:
        name: of its folder. question, expected: in words, from before the first run.
        command: that makes it. again: that draws it again.
        facts: label and text of everything else, in the order in which they are shown.
        files: of records, beside the page.
    """

    name: str
    question: str
    expected: str
    command: str
    again: str
    facts: tuple[tuple[str, str], ...]
    files: tuple[str, ...]


def of_sweep(manifest: Manifest, records: Sequence[RunRecord]) -> Provenance:
    """Of a sweep; ``records`` are its finished runs, at least one."""
    facts = {
        "Runs": _runs(manifest, records),
        **({"Adaptive": manifest.saved.removeprefix("Adaptive: ").rstrip(".")} if manifest.saved else {}),
        "Time": _time(records),
        "Training": _training(records),
        **_circumstances(records),
        "Fewest non-zero weights per neuron": fixed(
            min((wpn for r in records if (wpn := r.weights_per_neuron) is not None), default=math.nan), 0
        ),
    }
    return _of(manifest, facts, RECORDS_FILE)


def of_coordinates(manifest: Manifest, records: Sequence[CoordinateRecord]) -> Provenance:
    """Of a coordinate check; ``records`` are its finished runs, at least one."""
    budget = records[0].spec.budget
    seeds = ", ".join(map(str, sorted({record.spec.seed for record in records})))
    facts = {
        "Runs": f"{len(records)} of {len(manifest.keys)} planned; seeds {seeds}",
        "Time": f"{duration(sum(record.wall_seconds for record in records))} in all",
        "Training": f"{budget.steps} steps of {_batch(budget)} tokens",
        **_circumstances(records),
    }
    return _of(manifest, facts, COORDINATES_FILE)


def _of(manifest: Manifest, facts: dict[str, str], records_file: str) -> Provenance:
    return Provenance(
        name=manifest.name,
        question=manifest.question.strip(),
        expected=manifest.expected.strip(),
        command=manifest.command,
        again=f"smupar plot {manifest.name}",
        facts=tuple(facts.items()),
        files=(records_file, "sweep.json"),
    )


def _circumstances(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> dict[str, str]:
    environments = [record.environment for record in records]
    return {
        "Network": _networks([record.spec.model for record in records]),
        "Sparsity of hidden weights": joined(
            [f"{sparsity:g}" for sparsity in sorted({round(1 - r.spec.sparsity.density, 6) for r in records})]
        ),
        "Base hyperparameters": _hyperparameters(records),
        "Data": "; ".join(sorted({f"{r.spec.data.name}, sha256 {r.spec.data.sha256}" for r in records})),
        "Machine": "; ".join(sorted({f"{e.machine}, {_counted(e.threads, 'thread')} a run" for e in environments})),
        "Sparse layers": "; ".join(sorted({e.backend for e in environments})),
        "Versions": versions(records),
    }


def _networks(models: Sequence[ModelSpec]) -> str:
    widths = sorted({model.width for model in models})
    wide = f"width{'' if len(widths) == 1 else 's'} {joined([str(width) for width in widths])}"
    return f"{'; '.join(dict.fromkeys(map(_network, models)))}; {wide}"


def _network(model: ModelSpec) -> str:
    if isinstance(model, MLPSpec):
        return f"MLP, {_counted(model.depth, 'hidden layer')}, ReLU"
    embeddings = "tied embeddings" if model.tied else "untied embeddings"
    biases = "with biases" if model.bias else "no biases"
    return (
        f"GPT, {_counted(model.depth, 'block')}, heads of {model.head_dim}, feed-forward {model.mlp_ratio:g} times as "
        f"wide ({model.activation}), positions {model.positions}, {embeddings}, {biases}, {model.vocab_size} tokens"
    )


def _runs(manifest: Manifest, records: Sequence[RunRecord]) -> str:
    diverged = sum(record.diverged for record in records)
    seeds = ", ".join(map(str, sorted({record.spec.seed for record in records})))
    trained = len(trained_runs(records))
    shared = (
        f", {_counted(trained, 'different training')} (the others compute the same as one of these)"
        if trained < len(records)
        else ""
    )
    return f"{len(records)} of {len(manifest.keys)} planned{shared}, {diverged} diverged; seeds {seeds}"


def _time(records: Sequence[RunRecord]) -> str:
    seconds = [record.wall_seconds for record in trained_runs(records)]
    return f"{duration(sum(seconds))} of training in all, median {statistics.median(seconds):.1f} s a run"


def _training(records: Sequence[RunRecord]) -> str:
    budgets = sorted({r.spec.budget for r in records}, key=lambda budget: (budget.tokens, budget.steps))
    return "; ".join(dict.fromkeys(f"{b.tokens:,} tokens in {b.steps} steps of {_batch(b)}" for b in budgets))


def _batch(budget: BudgetSpec) -> str:
    return f"{budget.batch_size} × {budget.sequence_length}"


def _hyperparameters(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> str:
    base = [asdict(record.spec.hparams) for record in records]
    return ", ".join(
        f"{name.replace('_', ' ')} {'varied' if len({one[name] for one in base}) > 1 else f'{base[0][name]:g}'}"
        for name in base[0]
    )


def versions(records: Sequence[RunRecord] | Sequence[CoordinateRecord]) -> str:
    """Of everything that computed, each once, as said."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.environment.versions.items():
            found.setdefault(name, set()).add(version)
    return ", ".join(f"{name} {' and '.join(sorted(those))}" for name, those in found.items())


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
