"""``smupar train``: train a recipe, or the configured target."""

from __future__ import annotations

import json
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.endings import ExitCode
from smupar_transfer.app.overrides import next_command, words_given
from smupar_transfer.app.recipes import announced_spec
from smupar_transfer.records import (
    RunRecord,
    RunSpec,
    RunStore,
    require_name,
    to_plain,
    write_atomically,
)
from smupar_transfer.reporting.run_page import publish_run, summary
from smupar_transfer.sweeps.overwriting import refuse_other_page
from smupar_transfer.theory import InputError
from smupar_transfer.training import (
    Execution,
    Ranks,
    Tracking,
    joined,
    load,
    load_network,
    require_byte_model,
    sample,
)
from smupar_transfer.training import run as run_spec
from smupar_transfer.training.kernel_fallback import resolved
from smupar_transfer.training.precision_hint import faster_precision


def run(config: DictConfig) -> None:
    """Train, resuming from a checkpoint; a run whose record exists is not trained again.

    Under torchrun, every process calls this; the first of them writes and prints.
    """
    with joined(config.distributed, config.device) as ranks:
        if ranks.is_first:
            _run(config, ranks)
            return
        try:
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                _run(config, ranks)
        except KeyboardInterrupt:  # the first process says so
            raise SystemExit(ExitCode.INTERRUPTED) from None


def _run(config: DictConfig, ranks: Ranks) -> None:
    folder = Path(config.results_dir) / config.name
    spec, execution, tracking = ranks.together(lambda: _prepare(config, folder, ranks))
    # asked of the first alone, since all of them must decide alike
    record = ranks.by_first(lambda: _existing(folder, spec))
    if record is None:
        record = _train(config, spec, execution, tracking, ranks)
    if not ranks.is_first:
        return
    _report(record, folder)
    if config.sample and not record.diverged:
        network = load_network(spec, _checkpoint(folder, spec))
        text = sample(network, config.prompt.encode(), config.sample, spec.seed).decode("utf-8", errors="replace")
        console.terminal().print(f"\n{config.prompt}{text}", markup=False, soft_wrap=True)


def _prepare(config: DictConfig, folder: Path, ranks: Ranks) -> tuple[RunSpec, Execution, Tracking]:
    """What to train, where, and who keeps its curves, once everything is checked."""
    require_name("name", config.name)
    execution = replace(
        config_to_spec.execution(config, alone=ranks.size == 1),
        device=ranks.device if ranks.size > 1 else config.device,
    )
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
    # with every process as keeper, each curve would be there several times
    return spec, execution, tracking if ranks.is_first else Tracking()


def _existing(folder: Path, spec: RunSpec) -> RunRecord | None:
    refuse_other_page(folder, "train", "name")
    store = RunStore(folder)
    if spec.key not in store:
        return None
    store.compact()  # a command that was killed in its last moment had not
    return store.get(spec.key)


def _train(config: DictConfig, spec: RunSpec, execution: Execution, tracking: Tracking, ranks: Ranks) -> RunRecord:
    folder = Path(config.results_dir) / config.name
    data, execution = ranks.together(lambda: (load(config_to_spec.data_request(config)), resolved(execution)))
    checkpoint = _checkpoint(folder, spec)
    if not ranks.is_first:
        return run_spec(spec, data, execution, checkpoint=checkpoint, ranks=ranks)
    if hint := faster_precision(spec, execution):
        console.terminal(stderr=True).print(hint, markup=False, soft_wrap=True)
    with console.progress_bar("training", spec.budget.steps, at_once=False) as bar:
        record = run_spec(spec, data, execution, console.TrainingBar(bar), checkpoint, tracking, ranks=ranks)
    store = RunStore(folder)
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
