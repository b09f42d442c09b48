"""``smupar demo``: tune a small dense proxy, transfer to a wide sparse target, train it several ways, compare."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.cautions import tell_of_runs
from smupar_transfer.app.commands import transfer, tune
from smupar_transfer.app.recipes import recipe_of
from smupar_transfer.app.sweep_planning import context_of
from smupar_transfer.records import RunRecord, RunSpec, SearchedOn, SparsitySpec, write_atomically
from smupar_transfer.reporting.demo_page import render_demo_page, summary, verdict
from smupar_transfer.reporting.figures.demo import draw_demo
from smupar_transfer.reporting.figures.style import save
from smupar_transfer.reporting.index_page import publish_index
from smupar_transfer.reporting.page import REPORT
from smupar_transfer.statistics.comparison import Comparison, best_log2_rate, compare
from smupar_transfer.sweeps.overwriting import refuse_other_page
from smupar_transfer.sweeps.run_missing import RunContext, train_missing
from smupar_transfer.theory import InputError, parametrization
from smupar_transfer.transfer import Source, write_recipe
from smupar_transfer.tuning import best

PRACTICE = "sp"
"""The parametrization of the common practice: tune a dense network, and re-use that as sparsity grows."""


def run(config: DictConfig) -> None:
    """Tell the whole story under ``results/demo`` and print the comparison as measured."""
    if config.tuning.on != SearchedOn.PROXY:
        problem = "is not what the demo shows, which transfers from a proxy"
        raise InputError("tuning.on", config.tuning.on, problem, "leave it out, or run: smupar tune tuning.on=target")
    started = time.monotonic()
    out = console.terminal()
    folder = Path(config.results_dir) / config.study.name
    search = tune.make_search(config)
    refuse_other_page(folder, "demo", "study.name")
    context = context_of(config, folder)
    untuned = config_to_spec.target_spec(config)
    for name, offsets in config.grids.items():  # what cannot be is refused before minutes are spent
        for offset in offsets:
            at_offset(untuned, name, offset)
    for offset in config.dense_grid:
        at_offset(untuned, PRACTICE, offset, "dense_grid")
    tell_of_runs(config, [untuned])
    out.print(f"1. tune the dense proxy: width {search.proxy.model.width}, {config.tuning.n_trials} trials")
    found = tune.tune(config, search)
    tuned = best(search, found.trials, found.repeats)
    tune.draw(folder, search, found)
    out.print(tune.trial_table(search, found))

    target = replace(untuned, hparams=tuned.hparams)
    recipe = recipe_of(target, Source.of(tuned))
    write_recipe(folder / "recipe.yaml", recipe)
    out.print(f"\n2. transfer: {folder / 'recipe.yaml'}")
    out.print(transfer.role_table(recipe))

    grid = [at_offset(target, name, offset) for name, offsets in config.grids.items() for offset in offsets]
    out.print(f"\n3. train the target: width {target.model.width}, sparsity {1 - target.sparsity.density:g}")
    dense = [replace(at_offset(target, PRACTICE, offset), sparsity=SparsitySpec()) for offset in config.dense_grid]
    reused = tune_dense(dense, target, context)
    # that rate is often one of the grid's
    runs = {spec.key: spec for spec in [*grid, *reused]}
    records = train_missing("training", list(runs.values()), context)
    rates = {spec.parametrization: spec.log2_learning_rate for spec in reused}
    comparisons = compare(records, target.log2_learning_rate, rates)
    out.print("\n4. compare")
    publish(folder, comparisons, records, search.proxy, tuned.value, time.monotonic() - started)
    found.raise_failures()


def tune_dense(dense: list[RunSpec], target: RunSpec, context: RunContext) -> list[RunSpec]:
    """Tune a dense network of the target's width, as is common, and give the target the best of its learning rates.

    Args:
        dense: The dense network at each learning rate; none leaves this out.
        target: The sparse network.
        context: How to run.

    Returns:
        The target's run at that rate; none where there is nothing to re-use.
    """
    if not dense:
        return []
    records = train_missing("tuning a dense network of this width", dense, context)
    rates = {record.spec.log2_learning_rate: record.spec.hparams for record in records}
    best_rate = best_log2_rate(records)
    return [] if best_rate is None else [replace(target, parametrization=PRACTICE, hparams=rates[best_rate])]


def at_offset(target: RunSpec, name: str, octaves: float, key: str = "") -> RunSpec:
    """The target under another parametrization, its base learning rate moved by some octaves.

    Raises:
        InputError: there is no such parametrization, or no such rate; the message names ``key``, or that of the grid.
    """
    parametrization(name)
    if not math.isfinite(octaves):
        raise InputError(key or f"grids.{name}", octaves, "must be a finite number of octaves")
    # the base rate moves: how each parametrization rescales it stays its own
    rate = target.hparams.learning_rate * 2.0**octaves
    return replace(target, parametrization=name, hparams=replace(target.hparams, learning_rate=rate))


def publish(
    folder: Path,
    comparisons: list[Comparison],
    records: list[RunRecord],
    proxy: RunSpec,
    proxy_loss: float,
    seconds: float,
) -> None:
    """Print the table and the verdict; write the figure, the report and the list of all results."""
    first = records[0].spec
    title = (
        f"validation loss (nats) of the target: width {first.model.width}, sparsity {1 - first.sparsity.density:g}, "
        f"{min(r.weights_per_neuron or 0 for r in records):g} weights per neuron"
    )
    out = console.terminal()
    at_a_glance = summary(comparisons)
    out.print(console.table(title, at_a_glance.columns, at_a_glance.rows, at_a_glance.best))
    out.print(verdict(comparisons))
    save(draw_demo(comparisons, title="Wide sparse target: zero-shot (stars) and tuned directly"), folder / "demo")
    write_atomically(folder / REPORT, render_demo_page(comparisons, records, proxy, proxy_loss, folder))
    publish_index(folder.parent)
    out.print(f"\nwrote {folder / REPORT}, {folder / 'demo.png'} in {console.seconds(seconds)}")
