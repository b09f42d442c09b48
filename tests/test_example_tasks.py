"""Tasks among the examples are those that the committed results were trained with, and work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from smupar_transfer.model import load_task
from smupar_transfer.records import ModuleSpec, RunStore
from tests.hugging_face import transformers

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("task", "result"), [("llama", "llama_zero_shot"), ("gpt2", "gpt2_zero_shot")])
def test_a_task_is_the_one_that_a_result_was_trained_with(task: str, result: str) -> None:
    """Guards against a change of the file, after which nobody could make the result again."""
    sha256 = hashlib.sha256((ROOT / "examples" / "tasks" / f"{task}.py").read_bytes()).hexdigest()
    models = {record.spec.model for record in RunStore(ROOT / "results" / result)}
    assert {model.sha256 for model in models if isinstance(model, ModuleSpec)} == {sha256}
    assert all(isinstance(model, ModuleSpec) for model in models)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_task_learns_from_its_batches(name: str) -> None:
    transformers()
    task = load_task(ROOT / "examples" / "tasks" / f"{name}.py")
    model = task.model(32, seed=0)
    batch = next(task.stream("train", 0))
    assert batch[0].numel() == task.tokens_per_step
    loss = task.loss_of(model, batch)
    assert loss.item() == pytest.approx(torch.tensor(256.0).log().item(), abs=0.1), "before the first step, a guess"
    loss.backward()  # type: ignore[no-untyped-call]
    assert len(list(task.stream("validation", 0))) == 16
