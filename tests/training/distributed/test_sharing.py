"""Two processes train as one does, whatever each of them holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smupar_transfer.model import Task, build
from smupar_transfer.records import ModuleSpec, RunRecord, RunSpec
from smupar_transfer.theory import InputError, OptimizerSettings
from smupar_transfer.training import Execution, OwnBatches, Ranks, Silent, TokenData, run
from smupar_transfer.training.distributed.sharing import agree_on_layouts
from smupar_transfer.training.runs import open_session
from tests.training.distributed.cases import CASES, spec_of, with_one_process

Seen = list[dict[str, Any]]


class Losses(Silent):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.seen.append(loss)


def alone(spec: RunSpec, corpus: TokenData, execution: Execution) -> tuple[RunRecord, list[float]]:
    watcher = Losses()
    return run(spec, corpus, execution, watcher), watcher.seen


def validations(record: RunRecord) -> list[float]:
    return [evaluation.validation_loss or 0.0 for evaluation in record.history]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_loss_curve_of_one(seen: Seen, corpus: TokenData, name: str) -> None:
    record, losses = alone(spec_of(name), corpus, with_one_process(name))
    for process in seen:
        assert process[name]["losses"] == pytest.approx(losses, rel=2e-5)
        assert validations(process[name]["record"]) == pytest.approx(validations(record), rel=2e-5)
        assert process[name]["record"].accuracy == pytest.approx(record.accuracy, abs=1e-6)
    assert seen[0][name]["losses"] == seen[1][name]["losses"], "both say the same, to the last bit"


@pytest.mark.parametrize("name", ["ddp", "fsdp, compact weights"])
def test_another_batch_size_has_another_curve(seen: Seen, corpus: TokenData, name: str) -> None:
    """The control: a process that computed its own part alone would be noticed."""
    half = replace(spec_of(name), budget=replace(spec_of(name).budget, batch_size=2))
    _, losses = alone(half, corpus, with_one_process(name))
    assert seen[0][name]["losses"][-1] != pytest.approx(losses[-1], rel=1e-3)


def test_clipping_sees_the_gradient_of_all_shards(seen: Seen) -> None:
    """The control: what is clipped differs from what is not, so a norm of a part would have been seen."""
    free, clipped = seen[0]["fsdp, compact weights"]["losses"], seen[0]["fsdp, clipped"]["losses"]
    assert free[-1] != pytest.approx(clipped[-1], rel=1e-3)


def test_a_record_says_how_many_processes_trained_and_how(seen: Seen, corpus: TokenData) -> None:
    for name, said in [("ddp", "ddp over gloo"), ("fsdp, compact weights", "fsdp over gloo")]:
        environment = seen[0][name]["record"].environment
        assert (environment.processes, environment.distributed) == (2, said)
    environment = run(spec_of("ddp"), corpus).environment
    assert (environment.processes, environment.distributed) == (1, "")


def test_no_key_of_a_run_knows_of_processes(seen: Seen) -> None:
    for name in CASES:
        assert seen[0][name]["record"].key == spec_of(name).key


def test_processes_that_measured_differently_agree(seen: Seen) -> None:
    for process in seen:
        environment = process["ddp, processes that measure other backends"]["record"].environment
        assert environment.backend == "auto: csr x8"


def test_each_process_holds_its_part_of_every_tensor(seen: Seen) -> None:
    network, _ = build(spec_of("fsdp, compact weights"), "csr")
    for name, parameter in network.named_parameters():
        lengths = [process["parts"]["parts"][name][0] for process in seen]
        assert sum(lengths) == len(parameter), name
        assert max(lengths) - min(lengths) <= 1, name


@pytest.mark.parametrize("accumulate", [2, 3, 4])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_batch_in_parts_is_the_same_step(spec: RunSpec, corpus: TokenData, accumulate: int, name: str) -> None:
    spec = replace(spec, optimizer=OptimizerSettings(name=name))
    record, losses = alone(spec, corpus, Execution())
    parts, of_parts = alone(spec, corpus, Execution(accumulate=accumulate))
    assert of_parts == pytest.approx(losses, rel=2e-5)
    assert validations(parts) == pytest.approx(validations(record), rel=2e-5)
    assert parts.key == record.key


def test_a_batch_in_one_part_is_the_same_step_to_the_last_bit(spec: RunSpec, corpus: TokenData) -> None:
    assert alone(spec, corpus, Execution(accumulate=1))[1] == alone(spec, corpus, Execution())[1]


def test_no_part_of_a_batch_is_as_large_as_the_batch(
    spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is what it is for, in evaluations, too."""
    sizes: set[int] = set()
    real = nn.Module.__call__

    def noted(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.int64:
            sizes.add(len(args[0]))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__call__", noted)
    run(spec, corpus, Execution(accumulate=4))
    assert sizes == {1}


def test_an_infinite_loss_in_a_part_is_divergence(
    spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smupar_transfer.training import loop

    real, calls = loop.cross_entropy, [0]

    def infinite(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return real(logits, targets) * (float("inf") if calls[0] == 6 else 1.0)

    monkeypatch.setattr(loop, "cross_entropy", infinite)
    session, _ = open_session(spec, corpus, Execution(accumulate=2))
    for _ in range(2):
        loop.train_step(session)
    before = [parameter.clone() for parameter in session.network.parameters()]
    assert loop.train_step(session) == float("inf")
    assert all(torch.equal(*pair) for pair in zip(before, session.network.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in session.network.parameters())


@pytest.mark.parametrize(("accumulate", "said"), [(0, "must be at least 1"), (5, "cannot be divided into 5 parts")])
def test_parts_that_a_batch_does_not_have_are_refused(
    spec: RunSpec, corpus: TokenData, accumulate: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run(spec, corpus, Execution(accumulate=accumulate))


def test_batches_of_which_nothing_is_known_are_not_divided(spec: RunSpec) -> None:
    def nothing(*_: Any) -> Any:
        raise AssertionError

    task = Task(Path("task.py"), "ab" * 32, nothing, nothing, nothing)
    model, hparams = ModuleSpec(8, task.sha256), replace(spec.hparams, init_std=1.0)
    own = replace(spec, model=model, hparams=hparams, data=OwnBatches.of(task).spec)
    with pytest.raises(
        InputError, match=r"accumulate=2: divides batches, and nothing is known of those of model=module"
    ):
        open_session(own, OwnBatches.of(task), Execution(accumulate=2))
    with pytest.raises(InputError, match="distributed=ddp: divides batches"):
        open_session(own, OwnBatches.of(task), Execution(), None, Ranks(0, 2, "ddp"))


def test_a_process_by_itself_agrees_with_itself(spec: RunSpec) -> None:
    network, _ = build(spec, "csr")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    agree_on_layouts(network, Ranks())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
