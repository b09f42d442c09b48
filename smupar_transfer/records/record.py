"""What came out of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smupar_transfer.records.files import share_equal
from smupar_transfer.records.spec import (
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MLPSpec,
    ModuleSpec,
    RunSpec,
    SparsitySpec,
)
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings


@dataclass(frozen=True)
class LayerSparsity:
    """One sparse weight matrix as it was drawn.

    Attributes:
        name: The name of the parameter.
        nonzero: The number of entries that were kept.
        size: The number of entries in all.
        weights_per_neuron: The mean number of non-zero weights of an output (WPN).
        dead_outputs: The number of outputs without any weight.
    """

    name: str
    nonzero: int
    size: int
    weights_per_neuron: float
    dead_outputs: int

    @property
    def density(self) -> float:
        """Actual density, rho of this layer."""
        return self.nonzero / self.size


@dataclass(frozen=True)
class Evaluation:
    """A validation after ``step`` optimizer steps; losses in nats per token (or example), None where not finite.

    ``train_loss`` is the mean over the steps since the evaluation before, ``accuracy`` the part of validation targets
    that had the highest logit.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Environment:
    """Where a run ran. Never enters the run key.

    Attributes:
        machine: The processor and its number of cores, or the accelerator.
        device: What computed: "cpu", "cuda" or "cuda:N".
        backend: What computed sparse layers; under ``auto`` how many of them each backend had: "auto: masked x2, native
            x6".
        threads: The number of threads of the numerical library.
        versions: The versions of Python, torch and this package.
        processes: The number of processes that trained it together.
        distributed: How they shared the network, and by what they talked: "ddp over gloo"; empty for one by itself.
    """

    machine: str
    device: str
    backend: str
    threads: int
    versions: dict[str, str]
    processes: int = 1
    distributed: str = ""


# all that many runs have in common; no record is equal to another
share_equal(GPTSpec, MLPSpec, ModuleSpec, SparsitySpec, BaseHyperparameters, OptimizerSettings, DataSpec, BudgetSpec)
share_equal(LayerSparsity, Environment)


@dataclass(frozen=True)
class RunRecord:
    """The outcome of one run.

    Attributes:
        key: The key of ``spec``.
        spec: The run.
        train_loss: The training loss at the end, nats per token; None if the run diverged.
        validation_loss: The validation loss at the end, nats per token; None if the run diverged.
        bits_per_byte: The validation loss in bits per byte of text; None where that makes no sense.
        accuracy: The part of validation targets that had the highest logit.
        diverged: Whether the loss became infinite, undefined, or larger than where it began.
        tokens: How many tokens were seen in training.
        epochs: How often the training data was seen.
        parameters: The number of entries of all parameters.
        nonzero_parameters: The number of those entries that exist.
        flops_dense: The floating-point operations of training if zeros are counted.
        flops_sparse: The floating-point operations of training, of the weights that exist only.
        wall_seconds: How long training and evaluation took.
        step_seconds: The median time of a training step.
        history: All validations, in their order.
        layers: The masks of all sparse layers.
        environment: Where it ran.
        same_as: The key of the run that was trained in place of this one, as it computes the same; None if this one
            was.
        cpu_seconds: The processor time of training and evaluation, of all threads together; unlike ``wall_seconds`` it
            does not grow where other programs have the cores. None in records of before version 0.3.
    """

    key: str
    spec: RunSpec
    train_loss: float | None
    validation_loss: float | None
    bits_per_byte: float | None
    accuracy: float | None
    diverged: bool
    tokens: int
    epochs: float
    parameters: int
    nonzero_parameters: int
    flops_dense: float
    flops_sparse: float
    wall_seconds: float
    step_seconds: float
    history: tuple[Evaluation, ...]
    layers: tuple[LayerSparsity, ...]
    environment: Environment
    same_as: str | None = None
    cpu_seconds: float | None = None

    @property
    def weights_per_neuron(self) -> float | None:
        """Smallest mean number of non-zero weights per neuron over the sparse layers (WPN)."""
        # the smallest: limits of many weights per neuron, which the rules rest on, fail there first
        return min((layer.weights_per_neuron for layer in self.layers), default=None)


def trained_runs(records: Iterable[RunRecord]) -> list[RunRecord]:
    """One record of every training, for sums of time and operations: runs that share one count once."""
    # a copy holds the time and the operations of the run that it copies
    return list({record.same_as or record.key: record for record in records}.values())
