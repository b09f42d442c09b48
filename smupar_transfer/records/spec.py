"""A run, described completely: two equal specifications train to the same weights on the same machine."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, assert_never

from smupar_transfer.theory import (
    OWN_NAME_HINT,
    BaseHyperparameters,
    ClipNorm,
    InputError,
    OptimizerSettings,
    Parametrization,
    parametrization,
    with_choices,
)

SCHEMA_VERSION = 1
"""Version of the format of records; those of another one are refused."""


class Activation(StrEnum):
    """Nonlinearity of feed-forward blocks."""

    GELU = "gelu"
    SWIGLU = "swiglu"


class Positions(StrEnum):
    """How a GPT knows the order of its tokens."""

    LEARNED = "learned"
    ALIBI = "alibi"


class MaskKind(StrEnum):
    """How the zeros of a random static mask are drawn."""

    RANDOM = "random"
    """Unstructured, with an exact count per tensor."""
    FIXED_FAN_IN = "fixed_fan_in"
    """The same exact count in every row, so no output is ever left without inputs."""
    BERNOULLI = "bernoulli"
    """Each weight independently, as in SuPar (arXiv 2405.15743)."""


MASK_NAMES: set[str] = {str(kind) for kind in MaskKind}
"""Names of mask structures that specifications may hold; ``sparsity.register_mask`` adds to them."""


class Decay(StrEnum):
    """How the learning rate falls after warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    NONE = "none"


class Precision(StrEnum):
    """What products of the forward and backward pass are computed in; weights and their state are always float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    """Under ``torch.autocast``."""


LARGEST_WIDTH = 2**24
"""Of a layer; the widest that anybody trained is some 50,000, and a matrix of this size has 2^48 entries."""
LARGEST_DEPTH = 10_000
"""Layers of the deepest network that anybody trained (Xiao et al. 2018, arXiv 1806.05393)."""
LARGEST_COUNT = 2**31
"""Of tokens in a vocabulary, in a context and in a batch: what fits into no memory is a slip of the pen."""
_LARGEST = {
    "width": LARGEST_WIDTH,
    "head_dim": LARGEST_WIDTH,
    "depth": LARGEST_DEPTH,
    "steps": 2**53,  # beyond it, floats do not count one by one
    "evaluations": 2**53,
}


def _require_positive(group: str, spec: object, *names: str) -> None:
    """Check sizes.

    Raises:
        InputError: one is less than 1, or so large that nothing could be computed, or counted, with it.
    """
    for name in names:
        value, largest = getattr(spec, name), _LARGEST.get(name, LARGEST_COUNT)
        if value < 1:
            raise InputError(f"{group}.{name}", value, "must be at least 1")
        if value > largest:
            raise InputError(f"{group}.{name}", value, f"must be at most {largest:,}")


@dataclass(frozen=True)
class GPTSpec:
    """A pre-norm decoder-only transformer over tokens.

    Attributes:
        width: The size of the residual stream, d_model.
        depth: The number of blocks.
        head_dim: The size of an attention head, which is fixed while width grows.
        vocab_size: The number of token ids.
        context: The longest sequence that learned positions cover, in tokens.
        mlp_ratio: The feed-forward width over ``width``; their product must be whole.
        activation: The activation of the feed-forward layers.
        positions: How the network learns where a token stands.
        tied: Whether the readout is the embedding's own matrix.
        bias: Whether linear layers have biases.
        kind: The word by which files tell kinds of network apart.
    """

    width: int
    depth: int
    head_dim: int
    vocab_size: int
    context: int
    mlp_ratio: float = 4.0
    activation: Activation = Activation.GELU
    positions: Positions = Positions.LEARNED
    tied: bool = True
    bias: bool = False
    kind: Literal["gpt"] = "gpt"

    def __post_init__(self) -> None:
        with_choices(self, "model", activation=Activation, positions=Positions)
        _require_positive("model", self, "width", "depth", "head_dim", "vocab_size", "context")
        if self.width % self.head_dim:
            nearest = max(1, round(self.width / self.head_dim)) * self.head_dim
            raise InputError(
                "model.head_dim", self.head_dim, f"does not divide width {self.width}", f"try width {nearest}"
            )
        # "not >" and not "<=": NaN fails it as well
        if not self.mlp_ratio > 0 or not float(self.width * self.mlp_ratio).is_integer():
            raise InputError(
                "model.mlp_ratio", self.mlp_ratio, f"times width {self.width} is not a positive whole number"
            )
        if self.width * self.mlp_ratio > LARGEST_COUNT:
            raise InputError("model.mlp_ratio", self.mlp_ratio, f"times width {self.width} exceeds {LARGEST_COUNT:,}")


@dataclass(frozen=True)
class MLPSpec:
    """A classifier: input layer, ``depth`` hidden layers of equal width with ReLU, readout.

    Attributes:
        width: The size of every hidden layer.
        depth: The number of hidden layers.
        features: The length of an input vector.
        classes: The number of labels.
        bias: Whether linear layers have biases.
        kind: The word by which files tell kinds of network apart.
    """

    width: int
    depth: int
    features: int
    classes: int
    bias: bool = True
    kind: Literal["mlp"] = "mlp"

    def __post_init__(self) -> None:
        _require_positive("model", self, "width", "depth", "features", "classes")


@dataclass(frozen=True)
class ModuleSpec:
    """A model of a person's own, made by a function of their task file.

    Attributes:
        width: What the function is called with.
        sha256: The hash of the file's content. A specification names no code that would run by itself.
        name: The name of the file, for people; it does not tell runs apart.
        kind: The word by which files tell kinds of network apart.
    """

    width: int
    sha256: str
    name: str = field(default="", compare=False)
    kind: Literal["module"] = "module"

    def __post_init__(self) -> None:
        _require_positive("model", self, "width")


ModelSpec = GPTSpec | MLPSpec | ModuleSpec


def chance_loss(model: ModelSpec) -> float:
    """The loss of a uniform guess, in nats; infinite for a person's own model, of whose outputs nothing is known."""
    match model:
        case GPTSpec():
            return math.log(model.vocab_size)
        case MLPSpec():
            return math.log(model.classes)
        case ModuleSpec():
            return math.inf
    assert_never(model)


@dataclass(frozen=True)
class SparsitySpec:
    """Which hidden weights exist.

    Attributes:
        density: The part of each hidden weight matrix that is not zero (rho), in (0, 1].
        mask: The name of the structure in which zeros are drawn, from the run's seed and the parameter's name.
    """

    density: float = 1.0
    mask: str = MaskKind.RANDOM.value

    def __post_init__(self) -> None:
        if not isinstance(self.mask, str) or self.mask not in MASK_NAMES:
            known = ", ".join([*MaskKind, *sorted(MASK_NAMES - set(MaskKind))])
            raise InputError("sparsity.mask", self.mask, f"is not one of {known}", OWN_NAME_HINT)
        object.__setattr__(self, "mask", str(self.mask))
        if not 0 < self.density <= 1:
            raise InputError("target.sparsity", 1 - self.density, "must lie in [0, 1)", "0 is dense, 0.9 keeps a tenth")


@dataclass(frozen=True)
class DataSpec:
    """What a run learns from, pinned by content.

    Attributes:
        name: The name of the data set.
        sha256: The hash of the content.
        train_size: How much there is to train on, in tokens, or in examples for ``digits``.
        validation_size: How much is kept for validation, in the same unit.
        bytes_per_token: The mean number of bytes of text behind a token; None where it is not known or makes no sense.
        path: Where a person's own data lies, or None.
    """

    name: str
    sha256: str
    train_size: int
    validation_size: int
    bytes_per_token: float | None = 1.0
    path: str | None = None


@dataclass(frozen=True)
class BudgetSpec:
    """How long a run trains and how it is watched.

    Attributes:
        steps: The number of optimizer steps.
        batch_size: The number of sequences (or examples) a step.
        sequence_length: The number of tokens a sequence.
        warmup_steps: The number of steps of linear warm-up.
        decay: The shape of the learning rate's fall after the warm-up.
        final_fraction: The learning rate at the end over the peak, in [0, 1].
        evaluations: The number of validations in a run, evenly spaced, the last at the end.
        evaluation_batches: The number of batches in a validation, the same in every run.
    """

    steps: int
    batch_size: int
    sequence_length: int = 1
    warmup_steps: int = 0
    decay: Decay = Decay.LINEAR
    final_fraction: float = 0.1
    evaluations: int = 8
    evaluation_batches: int = 16

    def __post_init__(self) -> None:
        with_choices(self, "budget", decay=Decay)
        _require_positive("budget", self, "steps", "batch_size", "sequence_length", "evaluations", "evaluation_batches")
        self._require_memory()
        if not 0 <= self.warmup_steps <= self.steps:
            raise InputError("budget.warmup_steps", self.warmup_steps, f"must lie in [0, steps={self.steps}]")
        if not 0 <= self.final_fraction <= 1:
            raise InputError("budget.final_fraction", self.final_fraction, "must lie in [0, 1]")

    def _require_memory(self) -> None:
        """Refuse steps and validations of more tokens than any machine holds at once."""
        if self.tokens_per_step > LARGEST_COUNT:
            problem = f"times budget.sequence_length={self.sequence_length} exceeds {LARGEST_COUNT:,} tokens a step"
            raise InputError("budget.batch_size", self.batch_size, problem)
        if self.evaluation_batches * self.tokens_per_step > LARGEST_COUNT:
            problem = f"times {self.tokens_per_step:,} tokens exceeds {LARGEST_COUNT:,}, more than a machine holds"
            raise InputError("budget.evaluation_batches", self.evaluation_batches, problem)

    @property
    def tokens_per_step(self) -> int:
        """Tokens (or examples) of an optimizer step."""
        return self.batch_size * self.sequence_length

    @property
    def tokens(self) -> int:
        """Tokens (or examples) seen in a whole run."""
        return self.steps * self.tokens_per_step


@dataclass(frozen=True)
class RunSpec:
    """One training run. Everything here enters the run key; nothing else changes the outcome.

    Attributes:
        model: The network that is trained.
        base_width: The width of the proxy, from which m_d is counted.
        sparsity: Which hidden weights exist.
        parametrization: The name of a table of ``theory``.
        hparams: The base hyperparameters, as tuned on the proxy.
        optimizer: The update rule and its settings.
        data: What the run learns from.
        budget: How long it trains.
        seed: The seed of weights, masks and the order of batches.
        precision: The precision of products.
    """

    model: ModelSpec
    base_width: int
    sparsity: SparsitySpec
    parametrization: str
    hparams: BaseHyperparameters
    optimizer: OptimizerSettings
    data: DataSpec
    budget: BudgetSpec
    seed: int = 0
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        with_choices(self, "", precision=Precision)
        _ = self.table, self.base_model  # both must exist
        if isinstance(self.model, ModuleSpec) and self.hparams.init_std != 1:
            problem = "is not read by a model that initialises itself"
            raise InputError("hparams.init_std", self.hparams.init_std, problem, "use hparams.init_scale")
        if self.optimizer.clip_norm is ClipNorm.SCALED and not self.table.has_gradient_norms:
            problem = f"is not known of parametrization={self.parametrization}"
            raise InputError("optimizer.clip_norm", self.optimizer.clip_norm, problem, f"use {ClipNorm.GLOBAL}")
        if isinstance(self.model, GPTSpec) and self.budget.sequence_length > self.model.context:
            raise InputError(
                "budget.sequence_length",
                self.budget.sequence_length,
                f"is longer than model.context={self.model.context}",
            )

    @property
    def table(self) -> Parametrization:
        """The parametrization itself."""
        return parametrization(self.parametrization)

    @property
    def width_factor(self) -> float:
        """m_d = d / d_base."""
        return self.model.width / self.base_width

    @property
    def log2_learning_rate(self) -> float:
        """log2 eta, the axis of every sweep over learning rates."""
        return math.log2(self.hparams.learning_rate)

    @property
    def base_model(self) -> ModelSpec:
        """The same network at the proxy's width."""
        return replace(self.model, width=self.base_width)

    @cached_property
    def key(self) -> str:
        """Name of the run: 16 hexadecimal digits of the sha256 over schema version and specification.

        Data counts by its content: where it lies does not enter. Fields at their default do not enter either, so that a
        new field leaves the keys of old records as they were.
        """
        described = {**_content(self), "data": _without(_content_of_part(self.data), "path")}
        if isinstance(self.model, ModuleSpec):
            described["model"] = _without(described["model"], "name")
        content = json.dumps([SCHEMA_VERSION, described], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


_CONTENTS: dict[int, tuple[object, dict[str, Any]]] = {}
"""Parts of specifications and what of them enters the key, by ``id``, which no other object has while they are here."""
MOST_CONTENTS = 1_000
"""Parts that are remembered; then it begins anew."""


def _content_of_part(part: object) -> dict[str, Any]:
    """``_content`` of a part that many specifications share, computed once; not to be changed."""
    known = _CONTENTS.get(id(part))
    if known is None:
        if len(_CONTENTS) >= MOST_CONTENTS:
            _CONTENTS.clear()
        # by identity: equal parts may hold 1 and true, which say different things
        known = _CONTENTS[id(part)] = part, _content(part)
    return known[1]


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def _content(value: Any) -> Any:
    """What of a value enters the run key; 1 and 1.0 are the same learning rate, hence the same key."""
    if is_dataclass(value):
        held = ((item.name, getattr(value, item.name), item.default) for item in fields(value))
        parts = ((name, part) for name, part, default in held if part != default)
        return {name: _content_of_part(part) if is_dataclass(part) else _content(part) for name, part in parts}
    # above 2**53 not every whole number is a float: those that are none stay apart
    if isinstance(value, int) and not isinstance(value, bool) and float(value) == value:
        return float(value)
    return value
