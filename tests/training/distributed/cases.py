"""Runs that one process and two must train alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from unittest.mock import patch

from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, ClipNorm, OptimizerSettings
from smupar_transfer.training import Execution, TokenData
from tests.training.conftest import make_corpus


@dataclass(frozen=True)
class Case:
    """A run, and how two processes shall train it.

    Attributes:
        sharing: How they share the network.
        execution: How each computes.
        optimizer: The update rule.
        batch_size: Sequences a step, of both together.
        measured: What each process measures to be the fastest backend, by rank; nothing is measured where it is empty.
        tied: Whether the readout is the embedding.
    """

    sharing: str
    execution: Execution = field(default_factory=lambda: Execution(backend="csr"))
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    batch_size: int = 4
    measured: tuple[str, ...] = ()
    tied: bool = True

    @contextmanager
    def backends(self, rank: int) -> Iterator[None]:
        """Have measurements come out as they are said to."""
        if not self.measured:
            yield
            return
        with patch("smupar_transfer.sparsity.linear.choose_backend", lambda workload: self.measured[rank]):
            yield


CLIPPED = OptimizerSettings(gradient_clip=0.05)
CASES = {
    "ddp": Case("ddp"),
    "ddp, clipped": Case("ddp", optimizer=CLIPPED),
    "fsdp, clipped by the scaled norm": Case("fsdp", optimizer=replace(CLIPPED, clip_norm=ClipNorm.SCALED)),
    "ddp, accumulated": Case("ddp", Execution(backend="csr", accumulate=2)),
    "ddp, a batch that does not divide evenly": Case("ddp", batch_size=5),
    "ddp, processes that measure other backends": Case("ddp", Execution(), measured=("csr", "masked")),
    "fsdp, compact weights": Case("fsdp"),
    "fsdp, dense weights": Case("fsdp", Execution(backend="masked"), tied=False),
    "fsdp, clipped": Case("fsdp", optimizer=CLIPPED),
    "fsdp, accumulated": Case("fsdp", Execution(backend="csr", accumulate=2), batch_size=5),
    "fsdp, sgd": Case("fsdp", optimizer=OptimizerSettings(name="sgd")),
}


def corpus() -> TokenData:
    """What all of them learn from."""
    return make_corpus(16)


def spec_of(name: str) -> RunSpec:
    """The run of a case; masks have an odd number of weights, so that no two processes get the same number."""
    case = CASES[name]
    return RunSpec(
        model=GPTSpec(width=16, depth=2, head_dim=8, vocab_size=16, context=16, bias=True, tied=case.tied),
        base_width=8,
        sparsity=SparsitySpec(0.3),
        parametrization="smupar",
        hparams=BaseHyperparameters(2**-5, 0.1, weight_decay=0.1),
        optimizer=case.optimizer,
        data=DataSpec("text", sha256="ab" * 32, train_size=1_600, validation_size=400),
        budget=BudgetSpec(20, case.batch_size, 8, warmup_steps=2, evaluations=4, evaluation_batches=2),
        seed=1,
    )


def with_one_process(name: str) -> Execution:
    """How a process by itself trains the run of a case, computing what two compute."""
    case = CASES[name]
    return replace(case.execution, backend=case.measured[0] if case.measured else case.execution.backend, accumulate=1)
