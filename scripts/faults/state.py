"""What a command left behind, and whether it is what an undisturbed one leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from faults.commands import Family, Started
from smupar_transfer.records import COORDINATES_FILE, RECORDS_FILE

OUTCOME = ("key", "train_loss", "validation_loss", "accuracy", "diverged", "history", "layers", "losses", "same_as")
"""What of a record must be equal to the last bit; how long it took may differ."""


@dataclass(frozen=True)
class State:
    """A result.

    Attributes:
        records: Run key to the lines that records have of it.
        trials: Place in the plan to what its trials came to.
        running: Trials that are marked as running.
        tuned: What ``tuned.yaml`` says; None if there is none.
    """

    records: dict[str, list[dict[str, Any]]]
    trials: dict[int, list[tuple[str, float | None, dict[str, float]]]]
    running: int
    tuned: dict[str, Any] | None


def state_of(results: Path, family: Family) -> State:
    """What is in the folder of a result."""
    folder = results / family.folder
    records: dict[str, list[dict[str, Any]]] = {}
    for name in (RECORDS_FILE, COORDINATES_FILE):
        for line in (folder / name).read_text().splitlines() if (folder / name).exists() else []:
            content = json.loads(line)
            kept = {key: content[key] for key in OUTCOME if key in content}
            records.setdefault(content["key"], []).append(kept)
    trials = _trials(folder)
    places: dict[int, list[tuple[str, float | None, dict[str, float]]]] = {}
    for trial in trials:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            value = trial.value if trial.state is TrialState.COMPLETE else None
            places.setdefault(trial.user_attrs["ordinal"], []).append((trial.state.name, value, trial.params))
    path = folder / "tuned.yaml"
    tuned = yaml.safe_load(path.read_text()) if path.exists() else None
    return State(records, places, sum(trial.state is TrialState.RUNNING for trial in trials), tuned)


def _trials(folder: Path) -> list[FrozenTrial]:
    """All trials of the study in a folder, whichever engine keeps it."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for path in sorted(folder.glob("*.db")):
        storage: Any = optuna.storages.RDBStorage(f"sqlite:///{path}")
        trials = _of(storage)
        storage.engine.dispose()
        return trials
    for path in sorted([*folder.glob("*.log"), *folder.glob("*.journal")]):
        return _of(optuna.storages.JournalStorage(JournalFileBackend(str(path))))
    return []


def _of(storage: Any) -> list[FrozenTrial]:
    return [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]


def faults_of(results: Path, family: Family, reference: State, *, ordered: bool) -> Iterator[str]:
    """What is not as it would be without the faults, as clauses.

    Args:
        results: The folder of results.
        family: The command that ran in it, to its end.
        reference: What the undisturbed command left.
        ordered: Whether one trial followed the other, so that the search must have gone the same way.
    """
    state = state_of(results, family)
    yield from _of_records(state, reference)
    yield from _of_trials(state, reference, ordered=ordered)
    hidden = [str(path.relative_to(results)) for path in results.rglob("*") if path.name.startswith(".")]
    if hidden:
        yield f"{len(hidden)} half files, as {hidden[0]}"
    if any((results / family.folder).glob("*/*.json")):
        yield "records that were not gathered"


def _of_records(state: State, reference: State) -> Iterator[str]:
    if state.records.keys() != reference.records.keys():
        lost, more = reference.records.keys() - state.records.keys(), state.records.keys() - reference.records.keys()
        yield f"{len(lost)} records lost, {len(more)} too many"
    for key, lines in state.records.items():
        if len(lines) != 1:
            yield f"{len(lines)} records of one run"
        elif key in reference.records and lines != reference.records[key]:
            yield f"record {key} differs"


def _of_trials(state: State, reference: State, *, ordered: bool) -> Iterator[str]:
    counts = Counter(len(outcomes) for outcomes in state.trials.values())
    if len(state.trials) != len(reference.trials) or set(counts) - {1}:
        yield f"{sum(map(len, state.trials.values()))} trials in {len(state.trials)} of {len(reference.trials)} places"
    if state.running:
        yield f"{state.running} trials marked as running"
    if ordered and state.trials != reference.trials:
        same = sum(state.trials.get(place) == trial for place, trial in reference.trials.items())
        yield f"the search went another way: {same} of {len(reference.trials)} trials are equal"
    if (state.tuned is None) != (reference.tuned is None):
        yield "tuned.yaml is missing"
    elif ordered and state.tuned and reference.tuned and state.tuned["hparams"] != reference.tuned["hparams"]:
        yield "tuned.yaml differs"


def tracebacks(commands: list[Started]) -> Iterator[str]:
    """Of commands that did not say in a line what was the matter."""
    for command in commands:
        text = command.errors.read_text(errors="replace") if command.errors.exists() else ""
        if "Traceback" in text:
            rest = text.partition("Traceback")[2].splitlines()[1:]
            raised = next((line for line in rest if line.strip() and not line.startswith(" ")), "cut short")
            yield f"a traceback: {raised[:200]}"
