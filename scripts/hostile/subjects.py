"""The kinds of file that the package reads: a good one of each, how it is read, and whether that is what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import smupar_transfer
from hostile.mutations import BYTES, TEXT, YAML, Mutation
from smupar_transfer.records import (
    BudgetSpec,
    CoordinateStore,
    GPTSpec,
    Manifest,
    RunSpec,
    RunStore,
    SparsitySpec,
    Tuned,
    read_manifest,
    read_tuned,
    write_manifest,
    write_tuned,
)
from smupar_transfer.sparsity.autotune.cache import Timings, remembered
from smupar_transfer.sparsity.autotune.timing import Timing
from smupar_transfer.sweeps.files import load_sweep
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import Execution, measure, run
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.corpora import load_text
from smupar_transfer.transfer import read_recipe, write_recipe
from smupar_transfer.tuning import StudySettings
from smupar_transfer.tuning.space import Range, SearchSpace
from smupar_transfer.tuning.storage import reachable
from smupar_transfer.tuning.study import open_study

EXECUTION = Execution(backend="masked")
SWEEP = """\
question: Does a grid work?
expected: It does.
cost: a second
overrides: [target.width=32]
grids:
  - parametrization.name: [sp, smupar]
    hparams.learning_rate: {log2: {first: -8, last: -6, step: 1}}
    seed: [0, 1]
  - parametrization.name: [mup]
    random: {count: 4, seed: 0, space: {hparams.learning_rate: {log2: {first: -8, last: -6}}}}
    seed: [0]
runs: 16
"""


class ChangedError(Exception):
    """What was read, written again and read again is something else."""


@dataclass(frozen=True)
class Subject:
    """One kind of file.

    Attributes:
        name: The kind.
        file: The name that a file of it has, below a folder of its own.
        mutations: What is done to it.
        read: Reads the file of a folder, as the package does.
        weight: How often it is drawn.
    """

    name: str
    file: str
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], None]
    weight: int = 10


def same(first: object, second: object) -> None:
    """Refuse a second reading that differs."""
    if first != second:
        raise ChangedError(f"{str(first)[:100]} became {str(second)[:100]}")


def _tuned(path: Path) -> None:
    tuned = read_tuned(path)
    write_tuned(path, tuned)
    same(tuned, read_tuned(path))


def _recipe(path: Path) -> None:
    recipe = read_recipe(path)
    write_recipe(path, recipe)
    same(recipe, read_recipe(path))


def _manifest(path: Path) -> None:
    manifest = read_manifest(path.parent)
    _ = manifest.design, manifest.saved
    write_manifest(path.parent, manifest)
    same(manifest, read_manifest(path.parent))


def _records(path: Path) -> None:
    store = RunStore(path.parent)
    records = list(store)
    for record in records[:2]:
        same(record.key, record.spec.key)
        store.put(record)
    store.compact()
    same(records, list(store))


def _pending(path: Path) -> None:
    records = list(RunStore(path.parents[1]))
    same([record.key for record in records], [path.stem] if path.exists() else [])


def _coordinates(path: Path) -> None:
    for record in CoordinateStore(path.parent):
        same(record.key, record.spec.key)


def _sweep(path: Path) -> None:
    sweep = load_sweep(str(path))
    same(sweep.count(), sum(1 for _ in sweep.points()))


def _binary(path: Path) -> None:
    data = load_binary(str(path), 0.1)
    data.check(1)
    if not 0 <= int(data.train.max()) < data.vocab_size:
        raise ChangedError("an id is not below the size of the vocabulary")


def _plan(path: Path) -> None:
    plan = smupar_transfer.Plan.load(path)
    plan.save(path)
    same(plan.diff(smupar_transfer.Plan.load(path)), [])


def _calibration(path: Path) -> None:
    timings = remembered(path, "layer", lambda _: _timings())
    if any(min(timing.products, timing.update, timing.structure) < 0 for timing in timings.values()):
        raise ChangedError("a timing is negative")


def _timings() -> Timings:
    return {"masked": Timing(1e-3, 1e-3, 1e-3), "csr": Timing(1e-4, 1e-4, 1e-4)}


def _hparams(path: Path) -> None:
    small, large = (nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2)) for width in (8, 16))
    smupar_transfer.plan(large, small, hparams=path)


def _study(path: Path) -> None:
    _opened(path, proxy_spec(path.with_name("corpus.txt")))


def _opened(path: Path, proxy: RunSpec) -> None:
    settings = StudySettings("study", f"sqlite:///{path}", n_trials=1)
    with reachable(settings.storage):
        shared = open_study(settings, proxy, SearchSpace({"learning_rate": Range(1e-3, 1e-1, log=True)}))
        shared.study.get_trials(deepcopy=False)
        shared.claims.alive()


def _checkpoint(path: Path) -> None:
    """A run that goes on from the checkpoint ends as the one that wrote it would, or the file is refused."""
    data = load_text(str(path.with_name("corpus.txt")), 0.1)
    record = run(proxy_spec(path.with_name("corpus.txt")), data, EXECUTION, checkpoint=path)
    same(record.validation_loss, json.loads(path.with_name("loss.json").read_text()))


def proxy_spec(corpus: Path) -> RunSpec:
    """A run of milliseconds."""
    return RunSpec(
        model=GPTSpec(width=16, depth=1, head_dim=8, vocab_size=256, context=16),
        base_width=8,
        sparsity=SparsitySpec(0.5),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.01, 0.1),
        optimizer=OptimizerSettings(),
        data=load_text(str(corpus), 0.1).spec,
        budget=BudgetSpec(steps=3, batch_size=2, sequence_length=8, evaluations=2, evaluation_batches=1),
    )


def write_good(folder: Path) -> None:
    """A good file of every kind, each in a folder of its own."""
    corpus = folder / "corpus.txt"
    corpus.write_bytes(bytes(range(32, 127)) * 20)
    spec = proxy_spec(corpus)
    data = load_text(str(corpus), 0.1)
    for subject in SUBJECTS:
        (folder / subject.name).mkdir(parents=True, exist_ok=True)
    tuned = Tuned(spec.hparams, 2.25, "study", 1, 4, replace(spec, sparsity=SparsitySpec(), model=spec.base_model))
    write_tuned(folder / "tuned" / "tuned.yaml", tuned)
    small, large = (nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2)) for width in (8, 16))
    smupar_transfer.plan(large, small).save(folder / "plan" / "plan.json")
    (folder / "hparams" / "hparams.yaml").write_text("learning_rate: 0.01\noutput_multiplier: 2.0\n")
    (folder / "sweep" / "sweep.yaml").write_text(SWEEP)
    ids = np.arange(1000, dtype="<u2") % 300
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, len(ids)
    (folder / "header" / "tokens.bin").write_bytes(header.tobytes() + ids.tobytes())
    remembered(folder / "calibration" / "machine.json", "layer", lambda _: _timings())
    records = [run(replace(spec, seed=seed), data, EXECUTION) for seed in range(3)]
    for record in records:
        RunStore(folder / "records").put(record)
    RunStore(folder / "records").compact()
    RunStore(folder / "pending").put(records[0])
    CoordinateStore(folder / "coordinates").put(measure(spec, data, EXECUTION))
    CoordinateStore(folder / "coordinates").compact()
    keys = tuple(record.key for record in records)
    write_manifest(folder / "manifest", Manifest("grid", "Does it?", "It does.", "smupar sweep grid", keys))
    _write_states(folder, spec)


def _write_states(folder: Path, spec: RunSpec) -> None:
    """A recipe, a study and a checkpoint from the middle of a run."""
    from smupar_transfer.app.recipes import recipe_of

    write_recipe(folder / "recipe" / "recipe.yaml", recipe_of(spec, None))
    corpus = folder / "corpus.txt"
    for name in ("study", "checkpoint"):
        (folder / name / "corpus.txt").write_bytes(corpus.read_bytes())
    _opened(folder / "study" / "study.db", spec)
    path = folder / "checkpoint" / "run.pt"
    record = run(spec, load_text(str(corpus), 0.1), EXECUTION, checkpoint=path)
    (folder / "checkpoint" / "loss.json").write_text(json.dumps(record.validation_loss))


def tensors_changed(content: bytes, source: object) -> bytes:
    """A checkpoint that is whole, of the right run, and says something else."""
    import io
    import random

    assert isinstance(source, random.Random)
    try:
        state = torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # changed before: whatever torch says of it is no matter here
        return content
    places = list(_leaves(state))
    holder, key = source.choice(places)
    value = holder[key]
    others: list[object] = [None, "x", -1, 10**12, float("nan"), [], {}, torch.zeros(3), torch.zeros(0)]
    if isinstance(value, torch.Tensor) and source.random() < 0.5:
        others = [value.flatten()[1:], value.double() * float("nan"), value[None], value.to(torch.int8)]
    holder[key] = source.choice(others)
    if source.random() < 0.2:
        del holder[key]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _leaves(state: object) -> Iterator[tuple[dict[object, object], object]]:
    if isinstance(state, dict):
        for key, value in state.items():
            yield state, key
            yield from _leaves(value)


SUBJECTS = (
    Subject("recipe", "recipe.yaml", YAML, _recipe),
    Subject("tuned", "tuned.yaml", YAML, _tuned),
    Subject("records", "records.jsonl", TEXT, _records),
    Subject("pending", "runs/KEY.json", TEXT, _pending, 5),
    Subject("coordinates", "coordinates.jsonl", TEXT, _coordinates, 5),
    Subject("manifest", "sweep.json", TEXT, _manifest),
    Subject("sweep", "sweep.yaml", YAML, _sweep),
    Subject("header", "tokens.bin", BYTES, _binary),
    Subject("checkpoint", "run.pt", (*BYTES, *(5 * (tensors_changed,))), _checkpoint, 6),
    Subject("plan", "plan.json", TEXT, _plan),
    Subject("hparams", "hparams.yaml", YAML, _hparams, 5),
    Subject("calibration", "machine.json", TEXT, _calibration, 5),
    Subject("study", "study.db", BYTES, _study, 3),
)
