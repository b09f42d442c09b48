"""``smupar train``: train a recipe, or the configured target."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.overrides import next_command, words_given
from smupar_transfer.app.recipes import announced_spec
from smupar_transfer.records import (
    RunRecord,
    RunSpec,
    RunStore,
    require_name,
    require_writable,
    to_plain,
    write_atomically,
)
from smupar_transfer.reporting.run_page import publish_run, summary
from smupar_transfer.sweeps.overwriting import refuse_other_page
from smupar_transfer.theory import InputError
from smupar_transfer.training import Execution, Tracking, load, load_network, require_byte_model, sample
from smupar_transfer.training import run as run_spec
from smupar_transfer.training.kernel_fallback import resolved


def run(config: DictConfig) -> None:
    """Train, resuming from a checkpoint; a run whose record exists is not trained again."""
    require_name("name", config.name)
    execution = config_to_spec.execution(config, alone=True)
    folder = Path(config.results_dir) / config.name
    tracking = config_to_spec.tracking(config, folder)
    if config.sample < 0:
        raise InputError("sample", config.sample, "must not be negative")
    if config.prompt and not config.sample:
        raise InputError(
            "prompt", config.prompt, "has no say without sample", "give sample=BYTES, the length of the text"
        )
    spec = announced_spec(config)
    if config.sample:
        require_byte_model(spec.model, config.sample)
    refuse_other_page(folder, "train", "name")
    store = RunStore(folder)
    record = store.get(spec.key) if spec.key in store else _train(config, spec, execution, tracking, store)
    _report(record, folder)
    if config.sample and not record.diverged:
        network = load_network(spec, _checkpoint(folder, spec))
        text = sample(network, config.prompt.encode(), config.sample, spec.seed).decode("utf-8", errors="replace")
        console.terminal().print(f"\n{config.prompt}{text}", markup=False, soft_wrap=True)


def _train(config: DictConfig, spec: RunSpec, execution: Execution, tracking: Tracking, store: RunStore) -> RunRecord:
    data, execution = load(config_to_spec.data_request(config)), resolved(execution)
    checkpoint = _checkpoint(tracking.folder, spec)
    require_writable(checkpoint.parent)
    with console.progress_bar("training", spec.budget.steps) as bar:
        record = run_spec(spec, data, execution, console.TrainingBar(bar), checkpoint, tracking)
    store.put(record)
    store.compact()
    return record


def _checkpoint(folder: Path, spec: RunSpec) -> Path:
    return folder / "checkpoints" / f"{spec.key}.pt"


def _report(record: RunRecord, folder: Path) -> None:
    write_atomically(folder / "record.json", json.dumps(to_plain(record), indent=1) + "\n")
    publish_run(folder, record, list(RunStore(folder)), next_command("train", words_given(), ()))
    at_a_glance = summary(record)
    console.terminal().print(console.table(f"run {record.key}", at_a_glance.columns, at_a_glance.rows))
    console.terminal().print(f"\nwrote {folder / 'report.html'}")
