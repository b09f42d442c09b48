"""From a specification to a record."""

from __future__ import annotations

import importlib
import math
import platform
import statistics
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from smupar_transfer.model import GPT, Network, build, network_cost
from smupar_transfer.records import Environment, GPTSpec, ModelSpec, RunRecord, RunSpec
from smupar_transfer.sparsity import (
    AUTO,
    backends_in_use,
    computing_backend,
    named_generator,
    require_backend,
    sparsity_report,
)
from smupar_transfer.theory import InputError
from smupar_transfer.training.callbacks import Observer, Silent
from smupar_transfer.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from smupar_transfer.training.data.load import Data
from smupar_transfer.training.data.tokens import TokenData
from smupar_transfer.training.interruption import endings_held_back, never
from smupar_transfer.training.loop import EarlyValidation, Session, train
from smupar_transfer.training.machine import machine_name
from smupar_transfer.training.optimizer import make_optimizer
from smupar_transfer.training.process import prepare_process
from smupar_transfer.training.trackers import Tracking, follow
from smupar_transfer.transfer import ParameterPlan, held_report


@dataclass(frozen=True)
class Execution:
    """How a run is carried out; never what comes out of it beyond rounding.

    Attributes:
        device: What computes: "cpu", "cuda" or "cuda:N".
        backend: What computes sparse layers.
        threads: The number of threads of the numerical library, at least 1.
    """

    device: str = "cpu"
    backend: str = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        require_backend(self.backend)
        if self.threads < 1:
            raise InputError("threads", self.threads, "must be at least 1")
        if self.device != "cpu" and not self.device.startswith("cuda"):
            raise InputError("device", self.device, "is neither cpu nor cuda")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError("device", self.device, "is not available: torch sees no CUDA device", "use device=cpu")


def run(
    spec: RunSpec,
    data: Data,
    execution: Execution | None = None,
    observer: Observer | None = None,
    checkpoint: Path | None = None,
    tracking: Tracking | None = None,
    early: EarlyValidation | None = None,
) -> RunRecord:
    """Train one network. The same specification on the same machine and threads gives the same record, times aside.

    Args:
        spec: what to train; its data must be ``data``.
        data: loaded once by the caller, shared by runs.
        execution: where and how; one CPU thread if left out.
        observer: watches the run.
        checkpoint: file from which the run resumes if it exists, and which is kept up to date. Ctrl-C and SIGTERM then
            wait for the step in progress, and for the state after it to be written.
        tracking: who keeps its curves; nobody if left out. It changes nothing of the record.
        early: cheaper validations before the last one; the record's ``history`` has what they found, the rest of the
            record is the same. As the specification says if left out.

    Raises:
        InputError: data do not match the specification, or the checkpoint is of another run.
    """
    execution = execution or Execution()
    session, plan = open_session(spec, data, execution)
    session.early = early
    if checkpoint is not None and checkpoint.exists():
        session.progress = load_checkpoint(checkpoint, spec.key, session.network, session.optimizer, session.batches)

    def save() -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, spec.key, session.network, session.optimizer, session.batches, session.progress)

    with (
        follow(tracking or Tracking(), session, plan, observer or Silent()) as followed,
        nullcontext(never) if checkpoint is None else endings_held_back() as asked_to_end,
    ):
        followed.diverged = train(session, followed.observer, save, asked_to_end)
    return _record(session, plan, execution, followed.diverged)


def open_session(spec: RunSpec, data: Data, execution: Execution) -> tuple[Session, tuple[ParameterPlan, ...]]:
    """A run before its first step, and the plan of its parameters; prepares this process.

    Raises:
        InputError: data do not match the specification.
    """
    if data.spec.sha256 != spec.data.sha256:
        raise InputError("data", data.spec.name, f"has sha256 {data.spec.sha256}, the run needs {spec.data.sha256}")
    if isinstance(data, TokenData) and isinstance(spec.model, GPTSpec) and data.vocab_size > spec.model.vocab_size:
        raise InputError("data.vocab_size", data.vocab_size, f"is more than the network's {spec.model.vocab_size}")
    prepare_process(execution.threads)
    network, plan = build(spec, execution.backend, execution.device)
    network.to(execution.device)
    budget = spec.budget
    return Session(
        spec=spec,
        network=network,
        optimizer=make_optimizer(network, plan, spec.optimizer),
        data=data,
        batches=named_generator(spec.seed, "batches", spec.data.name),
        validation=data.validation_batches(budget.evaluation_batches, budget.batch_size, budget.sequence_length),
        progress=Progress(),
        device=torch.device(execution.device),
    ), plan


def _record(session: Session, plan: tuple[ParameterPlan, ...], execution: Execution, diverged: bool) -> RunRecord:
    spec, progress = session.spec, session.progress
    last = progress.history[-1]
    loss = None if diverged else last.validation_loss
    per_token = spec.data.bytes_per_token
    seen = progress.step * spec.budget.tokens_per_step
    cost = network_cost(plan, spec)
    return RunRecord(
        key=spec.key,
        spec=spec,
        train_loss=None if diverged else last.train_loss,
        validation_loss=loss,
        bits_per_byte=None if loss is None or per_token is None else loss / math.log(2) / per_token,
        accuracy=None if diverged else last.accuracy,
        diverged=diverged,
        tokens=seen,
        epochs=seen / spec.data.train_size if spec.data.train_size else 0.0,
        parameters=cost.parameters,
        nonzero_parameters=cost.nonzero_parameters,
        flops_dense=cost.flops_dense * seen,
        flops_sparse=cost.flops_sparse * seen,
        wall_seconds=round(progress.wall_seconds, 3),
        step_seconds=round(statistics.median(progress.step_seconds), 6),
        history=tuple(progress.history),
        layers=(*sparsity_report(session.network), *held_report(session.network)),
        environment=describe_environment(execution, session.network),
        cpu_seconds=None if progress.cpu_seconds is None else round(progress.cpu_seconds, 3),
    )


def describe_environment(execution: Execution, network: Network) -> Environment:
    """Where this process computes, and with what a network's sparse layers do."""
    return Environment(
        machine=machine_name(execution.device),
        device=execution.device,
        backend=_backend(execution, network),
        threads=execution.threads,
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            # by name: the face of the package offers rooms that are above this one
            "smupar_transfer": importlib.import_module("smupar_transfer").__version__,
        },
    )


def _backend(execution: Execution, network: Network) -> str:
    """See ``Environment``."""
    if execution.backend != AUTO:
        return computing_backend(execution.backend, execution.device)
    counts = backends_in_use(network)
    return f"{AUTO}: " + (", ".join(f"{name} x{counts[name]}" for name in sorted(counts)) or "no sparse layers")


def load_network(spec: RunSpec, checkpoint: Path, execution: Execution | None = None) -> Network:
    """The trained network of a checkpoint, on the CPU.

    Raises:
        InputError: the file is no checkpoint, or one of another run.
    """
    network, plan = build(spec, (execution or Execution()).backend)
    optimizer = make_optimizer(network, plan, spec.optimizer)
    load_checkpoint(checkpoint, spec.key, network, optimizer, torch.Generator())
    return network


NO_BYTES = "needs a byte-level language model"


def require_byte_model(model: ModelSpec, length: int) -> None:
    """Check that a network can be asked for ``length`` bytes.

    Raises:
        InputError: it is no byte-level language model.
    """
    if not isinstance(model, GPTSpec) or model.vocab_size != 256:
        raise InputError("sample", length, NO_BYTES)


def sample(network: Network, prompt: bytes, length: int, seed: int) -> bytes:
    """Continue a byte prompt with a byte-level language model.

    Raises:
        InputError: the network is no byte-level language model.
    """
    if not isinstance(network, GPT):
        raise InputError("sample", length, NO_BYTES)
    require_byte_model(network.spec, length)
    ids = torch.tensor(list(prompt or b"\n"), dtype=torch.int64)
    added = network.generate(ids, length, named_generator(seed, "sample", "text"))
    return bytes(added.tolist())
