"""``smupar train``: train a recipe, or the configured target."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import show, specs
from smupar_transfer.app.given import next_command, words_given
from smupar_transfer.app.kernels import resolved
from smupar_transfer.app.recipes import announced_spec
from smupar_transfer.records import RunRecord, RunSpec, RunStore, require_name, to_plain, write_atomically
from smupar_transfer.theory import InputError
from smupar_transfer.training import Execution, load, load_network, require_byte_model, sample
from smupar_transfer.training import run as run_spec
from smupar_transfer.verification.run_page import publish_run, summary


def run(config: DictConfig) -> None:
    """Train, resuming from a checkpoint; a run whose record exists is not trained again."""
    require_name("name", config.name)
    execution = specs.execution(config)
    if config.sample < 0:
        raise InputError("sample", config.sample, "must not be negative")
    if config.prompt and not config.sample:
        raise InputError(
            "prompt", config.prompt, "has no say without sample", "give sample=BYTES, the length of the text"
        )
    spec = announced_spec(config)
    if config.sample:
        require_byte_model(spec.model, config.sample)
    folder = Path(config.results_dir) / config.name
    checkpoint = folder / "checkpoints" / f"{spec.key}.pt"
    store = RunStore(folder)
    record = store.get(spec.key) if spec.key in store else _train(config, spec, execution, checkpoint, store)
    _report(record, folder)
    if config.sample and not record.diverged:
        network = load_network(spec, checkpoint)
        text = sample(network, config.prompt.encode(), config.sample, spec.seed).decode("utf-8", errors="replace")
        show.console().print(f"\n{config.prompt}{text}", markup=False, soft_wrap=True)


def _train(config: DictConfig, spec: RunSpec, execution: Execution, checkpoint: Path, store: RunStore) -> RunRecord:
    data, execution = load(specs.data_request(config)), resolved(execution)
    with show.progress_bar("training", spec.budget.steps) as bar:
        record = run_spec(spec, data, execution, show.TrainingBar(bar), checkpoint)
    store.put(record)
    store.compact()
    return record


def _report(record: RunRecord, folder: Path) -> None:
    write_atomically(folder / "record.json", json.dumps(to_plain(record), indent=1) + "\n")
    publish_run(folder, record, list(RunStore(folder)), next_command("train", words_given(), ()))
    found = summary(record)
    show.console().print(show.table(f"run {record.key}", found.columns, found.rows))
    show.console().print(f"\nwrote {folder / 'report.html'}")
