"""Types and meanings of the configuration: a misspelt key or a wrong type fails at composition, with the key's name.

One class per configuration group and one per command. Defaults live in ``conf/``, where people read them; here a field
is ``MISSING`` unless leaving it out means something. What a key means is said here and nowhere else: ``--help`` prints
it from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from smupar_transfer.app.schema_models import GPTConfig, MLPConfig, ModuleConfig
from smupar_transfer.app.schema_parts import (
    NESTED,
    CheckpointConfig,
    HyperparameterConfig,
    StudyConfig,
    about,
    accumulate_key,
    key,
    launcher_key,
    tracker_key,
)
from smupar_transfer.records import MASK_NAMES, Decay, MaskKind, Precision, SearchedOn
from smupar_transfer.sweeps import shipped
from smupar_transfer.theory import PARAMETRIZATIONS, UPDATE_RULES, ClipNorm, OptimizerSettings, WeightDecayForm

BACKENDS = ("auto", "masked", "expand", "csr", "native")
DEVICES = ("cpu", "cuda")
SHARINGS = ("ddp", "fsdp")
FORMATS = ("table", "json", "csv")
EXPORT_FORMATS = ("json", "nanogpt-mup", "megatron", "cerebras", "torchtitan", "olmo-core", "axolotl", "hf-trainer")
TOKEN_TYPES = ("uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64")
"""Choices whose own modules import torch, which ``--help`` must not wait for; a test holds them to it."""


@dataclass
class DataConfig:
    """What is learned from."""

    name: str = key("which data set this is; chosen by data=OPTION")
    path: str | None = key("your own file, folder or glob pattern, for data=text and data=bin", None)
    vocab_size: int | None = key("number of token ids, for data=bin; null takes the largest id + 1", None)
    bytes_per_token: float | None = key("mean bytes of text behind a token, for data=bin; gives bits per byte", None)
    dtype: str | None = key(
        "type of the ids in a file without a header, for data=bin; null takes uint16, or uint32 for a large vocab_size",
        None,
        choices=TOKEN_TYPES,
    )
    validation_fraction: float = key("part of each file that is kept for validation, in (0, 1)", 0.1)


@dataclass
class ParametrizationConfig:
    """The table of rules that rescales initialisation and learning rate."""

    name: str = key("which table this is; chosen by parametrization=OPTION")


@dataclass
class SparsityConfig:
    """How masks are drawn and computed with; how sparse a target is says target.sparsity."""

    mask: str = key("how the zeros are drawn; chosen by sparsity=OPTION")
    backend: str = key(
        "what computes sparse layers: auto is whatever is fastest for a layer on this machine, masked dense with "
        "zeros, expand the same from weights that are kept without them, csr PyTorch's sparse products, native C++ "
        "kernels built at first use",
        choices=BACKENDS,
    )


@dataclass
class OptimizerConfig:
    """The update rule."""

    name: str = key("which rule this is; chosen by optimizer=OPTION")
    weight_decay_form: str = key(
        "independent keeps learning rate x weight decay constant across scale, coupled keeps weight decay itself",
        choices=WeightDecayForm,
    )
    beta1: float = key("decay rate of AdamW's first moment, in [0, 1)")
    beta2: float = key("decay rate of AdamW's second moment, in [0, 1)")
    epsilon: float = key("AdamW's epsilon at the proxy")
    momentum: float = key("momentum of SGD, in [0, 1); AdamW does not read it")
    gradient_clip: float = key("largest norm of the gradient of all parameters; 0 is off")
    clip_norm: str = key(
        "global is that norm itself; scaled divides each parameter's by how it scales, so that all are clipped alike",
        choices=ClipNorm,
    )


@dataclass
class BudgetConfig:
    """How long a run trains, and how it is watched."""

    steps: int = key("optimizer steps")
    batch_size: int = key("sequences (or examples) a step")
    sequence_length: int = key("tokens a sequence")
    warmup_fraction: float = key("part of the steps, in [0, 1], over which the learning rate rises to its peak")
    warmup_steps: int | None = key("a number of first steps in place of that part", None)
    decay: str = key("how the learning rate falls after warm-up", choices=Decay)
    final_fraction: float = key("learning rate at the end over its peak, in [0, 1]")
    evaluations: int = key("validations in a run, evenly spaced, the last at the end")
    evaluation_batches: int = key("batches of a validation")
    tokens_per_parameter: float | None = key(
        "tokens for every non-zero parameter of what is trained; takes the place of steps where it is given", None
    )


@dataclass
class TargetConfig:
    """How the network that is trained departs from the proxy."""

    width: int | None = key("its width; null is model.width", None)
    sparsity: float = key("part of its hidden weights that is zero, in [0, 1)", 0.0)


@dataclass
class RangeConfig:
    """One axis of a search space."""

    low: float = key("least value that is tried")
    high: float = key("largest value that is tried")
    log: bool = key("whether values are spread evenly over the logarithm", True)


@dataclass
class TuningConfig:
    """The search."""

    n_trials: int = key("finished trials, pruned ones included, that the study shall have in the end")
    startup_trials: int = key("first trials, at random points, before the search models anything")
    pruner_startup_trials: int = key("trials that must complete before any is pruned")
    confirm: int = key("best points that are trained again with other seeds, of which the best mean wins; 0 is none", 5)
    confirm_seeds: int = key("seeds that each of them is trained again with", 3)
    on: str = key("whether trials train the proxy, or the target itself, to compare", "proxy", choices=SearchedOn)
    evaluation_batches: int = key(
        "largest number of batches of a trial's validations before its last, which has budget.evaluation_batches", 4
    )
    space: dict[str, RangeConfig] = field(
        default_factory=dict, metadata=about("range of hparams.NAME, with keys .low, .high and .log")
    )


@dataclass
class RunConfig:
    """Keys of this command."""

    model: Any = MISSING
    data: Any = MISSING
    parametrization: Any = MISSING
    sparsity: Any = MISSING
    optimizer: Any = MISSING
    budget: Any = MISSING
    target: Any = MISSING
    hparams: HyperparameterConfig = field(default_factory=HyperparameterConfig)
    tuned: str | None = key("tuned.yaml of a study, whose best point takes the place of hparams", None)
    seed: int = key("of weights, masks, order of batches and search")
    precision: str = key("of products; weights and optimizer state stay float32", choices=Precision)
    device: str = key("where to compute", choices=DEVICES)
    threads: int | None = key(
        "of the numerical library, in each worker; null gives train every core of this machine, and workers one each"
    )
    results_dir: str = key("folder under which results are written")


@dataclass
class TuneConfig(RunConfig):
    """Keys of this command."""

    tuning: Any = MISSING
    tracker: str = tracker_key()
    workers: int = key("processes that run trials side by side")
    launcher: str = launcher_key()
    study: StudyConfig = field(default_factory=StudyConfig)


@dataclass
class TransferConfig(RunConfig):
    """Keys of this command."""

    recipe: str = key("file that the recipe is written to")


@dataclass
class TrainConfig(RunConfig):
    """Keys of this command."""

    recipe: str | None = key(
        "recipe to train; it brings model, target, hyperparameters, parametrization, sparsity and optimizer", None
    )
    tracker: str = tracker_key()
    name: str = key("of the folder in results_dir for record, checkpoint and curves")
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    accumulate: int = accumulate_key()
    distributed: str | None = key(
        "how the processes that torchrun starts share the network: ddp is all of it in each, and the default there, "
        "fsdp a part of every tensor",
        None,
        choices=SHARINGS,
    )
    sample: int = key("bytes of text to generate after training", 0)
    prompt: str = key("text that the generated one goes on from", "")


@dataclass
class ExplainConfig(RunConfig):
    """Keys of this command."""

    recipe: str | None = key("recipe to explain, in the place of the configured target", None)
    format: str = key("of the output", choices=FORMATS)


@dataclass
class ExportConfig(RunConfig):
    """Keys of this command."""

    recipe: str = key("recipe to export")
    to: str = key("stack whose configuration is written", choices=EXPORT_FORMATS)
    output: str | None = key("file to write; null prints it on standard output", None)


@dataclass
class SweepConfig(RunConfig):
    """Keys of this command."""

    sweep: str = key("name of a sweep, or a sweep file of your own (.yaml); sweep= may be left out")
    tracker: str = tracker_key()
    accumulate: int = accumulate_key()
    workers: int = key("processes that run side by side")
    launcher: str = launcher_key()


@dataclass
class CoordinatesConfig(SweepConfig):
    """Keys of this command."""

    require: list[str] = field(
        default_factory=list,
        metadata=about("parametrizations that must stay put, else the exit code is not 0; [] for none"),
    )
    max_seeds: int = key("seeds that a required parametrization may have: more are added while it is open; 1 adds none")


@dataclass
class PlotConfig:
    """Keys of this command."""

    sweep: str = key("name of a result in results_dir; sweep= may be left out")
    results_dir: str = key("folder under which results lie")


@dataclass
class StatusConfig:
    """Keys of this command."""

    sweep: str = key("name of a result or of a study in results_dir; sweep= may be left out")
    storage: str | None = key("study.storage of a study that is not in its folder", None)
    results_dir: str = key("folder under which results lie")


@dataclass
class PlanConfig(RunConfig):
    """Keys of this command."""

    sweep: str = key("name of a sweep, or a sweep file (.yaml); left out, one run of the target is planned", "")
    workers: int = key("processes that run side by side")


@dataclass
class CalibrateConfig(RunConfig):
    """Keys of this command."""

    fresh: bool = key("whether everything is measured anew, or what is missing or in doubt; --fresh is fresh=true")


@dataclass
class DemoConfig(TuneConfig):
    """Keys of this command."""

    grids: dict[str, list[float]] = field(
        default_factory=dict,
        metadata=about(
            "learning rates that the target is tuned on under NAME, in octaves from the tuned one; 0 is zero-shot"
        ),
    )
    dense_grid: list[float] = field(
        default_factory=list,
        metadata=about(
            "as grids.sp, but on a dense network of the target's width, whose best rate the target then re-uses, as "
            "is common practice; [] leaves that out"
        ),
    )


GROUPS: dict[str, dict[str, type]] = {
    "model": {"gpt": GPTConfig, "mlp": MLPConfig, "module": ModuleConfig},
    "data": {"schema": DataConfig},
    "parametrization": {"schema": ParametrizationConfig},
    "sparsity": {"schema": SparsityConfig},
    "optimizer": {"schema": OptimizerConfig},
    "budget": {"schema": BudgetConfig},
    "target": {"schema": TargetConfig},
    "tuning": {"schema": TuningConfig},
}

COMMAND_SCHEMAS: dict[str, type] = {
    "demo": DemoConfig,
    "tune": TuneConfig,
    "transfer": TransferConfig,
    "train": TrainConfig,
    "sweep": SweepConfig,
    "coordinates": CoordinatesConfig,
    "plot": PlotConfig,
    "status": StatusConfig,
    "explain": ExplainConfig,
    "export": ExportConfig,
    "calibrate": CalibrateConfig,
    "plan": PlanConfig,
}


def known_keys() -> list[str]:
    """Every key a person can set, dotted."""
    nested = {group: tuple(schemas.values()) for group, schemas in GROUPS.items()}
    nested |= {name: (node,) for name, node in NESTED.items()}
    dotted = [f"{group}.{item.name}" for group, nodes in nested.items() for node in nodes for item in fields(node)]
    plain = [item.name for node in COMMAND_SCHEMAS.values() for item in fields(node)]
    return sorted({*dotted, *plain})


def register() -> None:
    """Put the types where Hydra finds them; calling it again changes nothing."""
    store = ConfigStore.instance()
    for group, schemas in GROUPS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    for command, node in COMMAND_SCHEMAS.items():
        store.store(group="schema/command", name=command, node=node)
    for table in PARAMETRIZATIONS:
        if not (shipped.CONF / "parametrization" / f"{table}.yaml").exists():  # it was registered by a plugin
            store.store(group="parametrization", name=table, node=ParametrizationConfig(name=table))
    for mask in MASK_NAMES - set(MaskKind):
        # those of MaskKind have files in conf/
        store.store(group="sparsity", name=mask, node=SparsityConfig(mask=mask, backend="auto"))
    for rule in UPDATE_RULES:
        if not (shipped.CONF / "optimizer" / f"{rule}.yaml").exists():
            store.store(group="optimizer", name=rule, node=OptimizerConfig(**vars(OptimizerSettings(name=rule))))
