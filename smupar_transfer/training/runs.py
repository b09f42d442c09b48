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
from smupar_transfer.training.checkpoint import Checkpoint, Progress, load_checkpoint, resume, save_checkpoint
from smupar_transfer.training.checkpoint_files import KEEP, CheckpointFiles
from smupar_transfer.training.clipping import GradientNorm
from smupar_transfer.training.data.load import Data
from smupar_transfer.training.data.own_batches import OwnBatches
from smupar_transfer.training.data.tokens import TokenData
from smupar_transfer.training.distributed.ranks import ALONE, Ranks
from smupar_transfer.training.distributed.sharing import agree_on_layouts, share_out
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
        keep: The number of generations of a checkpoint that are kept, at least 1.
        accumulate: The number of parts of a batch whose gradients are computed one after the other and added, at least
            1. The step is the same up to rounding; activations take that much less memory.
    """

    device: str = "cpu"
    backend: str = "auto"
    threads: int = 1
    keep: int = KEEP
    accumulate: int = 1

    def __post_init__(self) -> None:
        require_backend(self.backend)
        if self.threads < 1:
            raise InputError("threads", self.threads, "must be at least 1")
        for key, count in (("checkpoint.keep", self.keep), ("accumulate", self.accumulate)):
            if count < 1:
                raise InputError(key, count, "must be at least 1")
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
    ranks: Ranks = ALONE,
) -> RunRecord:
    """Train one network. The same specification on the same machine and threads gives the same record, times aside.

    Args:
        spec: what to train; its data must be ``data``.
        data: loaded once by the caller, shared by runs.
        execution: where and how; one CPU thread if left out.
        observer: watches the run.
        checkpoint: file from which the run resumes if it exists, and which is kept up to date; see ``CheckpointFiles``.
            Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 then wait for the step in progress, and for the state after it to be
            written.
        tracking: who keeps its curves; nobody if left out. It changes nothing of the record.
        early: cheaper validations before the last one; the record's ``history`` has what they found, the rest of the
            record is the same. As the specification says if left out.
        ranks: the processes that train it together, each of which calls this; this one alone if left out. Each computes
            its part of every batch, and all return the same record, times aside.

    Raises:
        InputError: data do not match the specification, or the checkpoint is of another run or cannot be read.
    """
    execution = execution or Execution()
    files = None if checkpoint is None else CheckpointFiles(checkpoint, execution.keep)
    resumed = None if files is None else resume(files, spec.key, ranks)
    session, plan = ranks.together(lambda: open_session(spec, data, execution, resumed, ranks))
    session.early = early

    def save() -> None:
        if files is not None:
            state = (session.network, session.optimizer, session.batches, session.progress)
            save_checkpoint(files, spec.key, *state, ranks)

    endings = endings_held_back(None if ranks.is_alone else ranks.highest)
    with (
        follow(tracking or Tracking(), session, plan, observer or Silent()) as followed,
        # innermost: the signal is raised again where it ends, so that the tracker hears of it
        nullcontext(never) if checkpoint is None else endings as asked_to_end,
    ):
        followed.diverged = train(session, followed.observer, save, asked_to_end)
    return _record(session, plan, execution, followed.diverged)


def open_session(
    spec: RunSpec, data: Data, execution: Execution, checkpoint: Checkpoint | None = None, ranks: Ranks = ALONE
) -> tuple[Session, tuple[ParameterPlan, ...]]:
    """A run before its first step, or where a checkpoint left it, and its parameters' plan; prepares this process.

    Raises:
        InputError: data do not match the specification or cannot be divided, or the checkpoint does not fit the run.
    """
    # by content: where data lies is no part of what a run is (decision 10)
    if data.spec.sha256 != spec.data.sha256:
        raise InputError("data", data.spec.name, f"has sha256 {data.spec.sha256}, the run needs {spec.data.sha256}")
    if isinstance(data, TokenData) and isinstance(spec.model, GPTSpec) and data.vocab_size > spec.model.vocab_size:
        raise InputError("data.vocab_size", data.vocab_size, f"is more than the network's {spec.model.vocab_size}")
    _require_divisible(spec, data, execution.accumulate, ranks)
    # before the network is built: what auto measures depends on the threads
    prepare_process(execution.threads)
    network, plan = _build(spec, execution, ranks)
    if checkpoint is not None:
        # before the network is moved and cut, as checkpoints are whole and on the CPU; its masks say how moments are
        # laid out
        checkpoint.restore_network(network)
    network.to(execution.device)
    # before the optimizer is made, which has to hold the parameters as they are cut
    computing = share_out(network, ranks)
    budget = spec.budget
    session = Session(
        spec=spec,
        network=network,
        optimizer=make_optimizer(network, plan, spec.optimizer),
        data=data,
        # of seed and data alone: networks of all sizes learn from the same batches
        batches=named_generator(spec.seed, "batches", spec.data.name),
        validation=data.validation_batches(budget.evaluation_batches, budget.batch_size, budget.sequence_length),
        progress=Progress(),
        device=torch.device(execution.device),
        norm=GradientNorm.of(network, plan, spec.table, spec.optimizer),
        accumulate=execution.accumulate,
        ranks=ranks,
        shared=computing if computing is not network else None,
    )
    if checkpoint is not None:
        session.progress = checkpoint.restore_training(spec, network, session.optimizer, session.batches)
    return session, plan


def _build(spec: RunSpec, execution: Execution, ranks: Ranks) -> tuple[Network, tuple[ParameterPlan, ...]]:
    """The network in every process, laid out alike."""
    built: list[tuple[Network, tuple[ParameterPlan, ...]]] = []
    for turn in (True, False):  # what the first measures for ``auto``, the others of its machine find in the cache
        if ranks.is_first is turn:
            built.append(build(spec, execution.backend, execution.device))
        # a meeting: nobody goes on before the turn is over
        ranks.highest(0)
    agree_on_layouts(built[0][0], ranks)
    return built[0]


def _require_divisible(spec: RunSpec, data: Data, accumulate: int, ranks: Ranks) -> None:
    """Check that a batch can be divided into as many parts as are computed apart."""
    parts = accumulate * ranks.size
    if parts > 1 and isinstance(data, OwnBatches):
        key, value = ("distributed", ranks.sharing) if ranks.size > 1 else ("accumulate", accumulate)
        problem = "divides batches, and nothing is known of those of model=module"
        raise InputError(key, value, problem, "train it in one process with accumulate=1")
    if parts > spec.budget.batch_size:
        problem = f"cannot be divided into {parts} parts, {accumulate} for each process"
        raise InputError("budget.batch_size", spec.budget.batch_size, problem, "use fewer processes or less accumulate")


def _record(session: Session, plan: tuple[ParameterPlan, ...], execution: Execution, diverged: bool) -> RunRecord:
    spec, progress = session.spec, session.progress
    # there is one: a run ends with an evaluation, also where it diverges
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
        # from nats to bits, and from a token to a byte
        bits_per_byte=None if loss is None or per_token is None else loss / math.log(2) / per_token,
        accuracy=None if diverged else last.accuracy,
        diverged=diverged,
        tokens=seen,
        # of a person's own batches no size is known
        epochs=seen / spec.data.train_size if spec.data.train_size else 0.0,
        parameters=cost.parameters,
        nonzero_parameters=cost.nonzero_parameters,
        flops_dense=cost.flops_dense * seen,
        flops_sparse=cost.flops_sparse * seen,
        wall_seconds=round(progress.wall_seconds, 3),
        # the median: a first step that prepares much, or a busy moment, does not count
        step_seconds=round(statistics.median(progress.step_seconds), 6),
        history=tuple(progress.history),
        layers=(*sparsity_report(session.network), *held_report(session.network)),
        cpu_seconds=None if progress.cpu_seconds is None else round(progress.cpu_seconds, 3),
        environment=describe_environment(execution, session.network, session.ranks),
    )


def describe_environment(execution: Execution, network: Network, ranks: Ranks = ALONE) -> Environment:
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
        processes=ranks.size,
        distributed=ranks.description,
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
    network, _ = build(spec, (execution or Execution()).backend)
    load_checkpoint(CheckpointFiles(checkpoint), spec.key).restore_network(network)
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
    # a network needs something to go on from: the beginning of a line
    ids = torch.tensor(list(prompt or b"\n"), dtype=torch.int64)
    added = network.generate(ids, length, named_generator(seed, "sample", "text"))
    return bytes(added.tolist())
