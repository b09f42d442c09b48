"""The pages about training runs: one for each run, and ``report.html``, the last one with a list of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from smupar_transfer.records import RECORDS_FILE, Evaluation, RunRecord, write_atomically
from smupar_transfer.reporting.figures.curves import draw_learning_curve
from smupar_transfer.reporting.number_format import duration, fixed, loss, significant
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.page import render_html
from smupar_transfer.reporting.provenance import Provenance, cost, environment, optimization, settings
from smupar_transfer.reporting.publish import publish
from smupar_transfer.reporting.registry import TRAIN, pictures_of, register_figure
from smupar_transfer.theory import PARAMETRIZATIONS

CURVES, RECORD_FILE = "curves", "record.json"


def page_name(key: str) -> str:
    """The file of the page about one run, which stays when another run is trained in the same folder."""
    return f"report_{key}.html"


def publish_run(folder: Path, record: RunRecord, records: Sequence[RunRecord], command: str) -> None:
    """Write figure, tables and pages of a run, and the list of all results.

    Args:
        folder: The folder of this and other runs.
        record: The run that a person asked for last.
        records: All runs in the folder, that one included.
        command: The command line that trains it.

    Raises:
        InputError: a file cannot be written.
    """
    about, own_outcome = provenance(folder.name, record, command), outcome(record)
    others = _all_runs(folder, record, records)
    everything = replace(own_outcome, tables=(*own_outcome.tables, others)) if len(records) > 1 else own_outcome
    # the list of results shows the cost of the folder; the page of one run shows its own
    total = sum(run.wall_seconds for run in records)
    publish(folder, replace(about, cost=cost(len(records), total)), everything, readme=False)
    # without links to tables: those files will be of another run once one is trained here
    write_atomically(folder / page_name(record.key), render_html(about, own_outcome, folder, files=[RECORDS_FILE]))


def outcome(record: RunRecord) -> Outcome:
    """What came out of a run."""
    return Outcome(
        sentence=sentence(record),
        summary=summary(record),
        claim="",
        verdict="diverged" if record.diverged else "",
        notes=_notes(record),
        tables=(_evaluations(record), _layers(record)),
        pictures=pictures_of(TRAIN, record),
    )


def named(record: RunRecord) -> str:
    """A network as people call it: "SμPar, width 256, sparsity 0.9375"."""
    spec = record.spec
    title = PARAMETRIZATIONS[spec.parametrization].title
    # rounded: 1 - (1 - s) loses the last bits of s
    return f"{title}, width {spec.model.width}, sparsity {round(1 - spec.sparsity.density, 6):g}"


def sentence(record: RunRecord) -> str:
    """The loss that a run reached, or that it diverged."""
    if record.diverged or record.validation_loss is None:
        last = max((entry.step for entry in record.history), default=0)
        return f"{named(record)}: the run diverged, within {last} of {record.spec.budget.steps} steps."
    bits = "" if record.bits_per_byte is None else f", {record.bits_per_byte:.3f} bits per byte"
    return (
        f"{named(record)}: after {record.tokens:,} tokens the validation loss is {record.validation_loss:.4f} "
        f"nats{bits}."
    )


def summary(record: RunRecord) -> Summary:
    """The record in the words of people; ``record.json`` has all of it."""
    rows = (
        ("validation loss", _nats(record.validation_loss)),
        ("bits per byte", significant(record.bits_per_byte)),
        ("accuracy", significant(record.accuracy)),
        ("training loss", _nats(record.train_loss)),
        ("tokens", _tokens(record)),
        ("parameters", f"{record.parameters:,}, {record.nonzero_parameters:,} of them not zero"),
        ("weights per neuron", significant(record.weights_per_neuron)),
        ("training FLOPs", f"{record.flops_sparse:.3g} ({record.flops_dense:.3g} if zeros counted)"),
        ("time", duration(record.wall_seconds)),
    )
    return Summary(columns=("", ""), rows=rows)


def _tokens(record: RunRecord) -> str:
    """With the passes over the data, where it is known how much there is: batches of one's own do not tell."""
    epochs = f" ({record.epochs:.3g} epochs)" if record.spec.data.train_size else ""
    return f"{record.tokens:,}{epochs}"


def _nats(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.4f} nats"


def _notes(record: RunRecord) -> tuple[str, ...]:
    dead = sum(layer.dead_outputs for layer in record.layers)
    notes = []
    if dead:
        notes.append(f"{dead} outputs of sparse layers have no weight at all, and are the same for every input.")
    if record.same_as:
        notes.append(f"This run computes the same as run {record.same_as}, which was trained in its place.")
    return tuple(notes)


def _evaluations(record: RunRecord) -> Table:
    history = record.history
    return Table(
        name="evaluations",
        title="Validations",
        note="Losses are in nats. The training loss is the mean over the steps since the validation before; accuracy "
        "is the part of validation targets that had the highest logit.",
        frame=pd.DataFrame(
            [
                {
                    "step": entry.step,
                    "train_loss": entry.train_loss,
                    "validation_loss": entry.validation_loss,
                    "accuracy": entry.accuracy,
                }
                for entry in history
            ],
            # named, so that the file of a run without any still has its header
            columns=["step", "train_loss", "validation_loss", "accuracy"],
        ),
        columns=("step", "training loss", "validation loss", "accuracy"),
        rows=tuple(
            (
                f"{entry.step}",
                loss(entry.train_loss),
                loss(entry.validation_loss),
                _accuracy(entry),
            )
            for entry in history
        ),
    )


def _layers(record: RunRecord) -> Table:
    """Without rows for a network that has no sparse layers; the file is written anew all the same."""
    return Table(
        name="layers",
        title="Sparse layers",
        note="Density is the part of the weights that is not zero, as it was drawn; weights per neuron are those of an "
        "output on average; a dead output has none.",
        frame=pd.DataFrame(
            [
                {
                    "name": layer.name,
                    "nonzero": layer.nonzero,
                    "size": layer.size,
                    "density": layer.density,
                    "weights_per_neuron": layer.weights_per_neuron,
                    "dead_outputs": layer.dead_outputs,
                }
                for layer in record.layers
            ],
            # named, since a network may have no sparse layers
            columns=["name", "nonzero", "size", "density", "weights_per_neuron", "dead_outputs"],
        ),
        columns=("layer", "weights", "not zero", "density", "weights per neuron", "dead outputs"),
        rows=tuple(
            (
                layer.name,
                f"{layer.size:,}",
                f"{layer.nonzero:,}",
                f"{layer.density:.4g}",
                f"{layer.weights_per_neuron:.4g}",
                f"{layer.dead_outputs}",
            )
            for layer in record.layers
        ),
    )


@register_figure(TRAIN)
def learning_curve(record: RunRecord) -> Picture:
    """Training and validation loss over steps."""
    history = record.history
    return Picture(
        CURVES,
        "Training and validation loss over the steps of this run."
        + (" The curves end where it diverged." if record.diverged else ""),
        draw_learning_curve(
            [entry.step for entry in history],
            [entry.train_loss for entry in history],
            [entry.validation_loss for entry in history],
        ),
    )


def _all_runs(folder: Path, latest: RunRecord, records: Sequence[RunRecord]) -> Table:
    """The latest run first, then those whose pages are newest; a run of an earlier version has no page."""
    pages = {record.key: folder / page_name(record.key) for record in records}
    written = {key: page.stat().st_mtime for key, page in pages.items() if page.exists()}
    # its page is written after this table
    written[latest.key] = math.inf
    ordered = sorted(records, key=lambda record: (-written.get(record.key, 0.0), record.key))
    return Table(
        name="all_runs",
        title="All runs in this folder",
        note="The run of this page comes first; every other run keeps a page of its own.",
        frame=pd.DataFrame(
            [
                {
                    "key": record.key,
                    "parametrization": record.spec.parametrization,
                    "width": record.spec.model.width,
                    "density": record.spec.sparsity.density,
                    "learning_rate": record.spec.hparams.learning_rate,
                    "seed": record.spec.seed,
                    "tokens": record.tokens,
                    "validation_loss": record.validation_loss,
                    "wall_seconds": record.wall_seconds,
                }
                for record in ordered
            ]
        ),
        columns=("run", "network", "learning rate", "seed", "tokens", "validation loss", "time"),
        rows=tuple(
            (
                record.key,
                named(record),
                f"{record.spec.hparams.learning_rate:.4g}",
                f"{record.spec.seed}",
                f"{record.tokens:,}",
                loss(record.validation_loss),
                duration(record.wall_seconds),
            )
            for record in ordered
        ),
        links={key: pages[key].name for key in written},
    )


def _accuracy(entry: Evaluation) -> str:
    """Empty where a model of a person's own computes its loss itself."""
    return "" if entry.accuracy is None else fixed(entry.accuracy, 3)


def provenance(name: str, record: RunRecord, command: str) -> Provenance:
    """How a run was made."""
    long = record.step_seconds >= 1
    step = f"{duration(record.step_seconds) if long else f'{1000 * record.step_seconds:.3g} ms'} a step (median)"
    time = {"Time": f"{duration(record.wall_seconds)} in all, {step}"}
    facts = {"Run": record.key, **time, **optimization(record.spec), **settings([record.spec]), **environment([record])}
    return Provenance(
        name=name,
        question="How well does this network train?",
        expected="",
        command=command,
        again="",
        facts=tuple(facts.items()),
        files=(RECORDS_FILE, RECORD_FILE),
        kind="training",
        cost=cost(1, record.wall_seconds),
    )
