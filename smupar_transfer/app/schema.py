"""Types of the configuration: a misspelt key or a wrong type fails at composition, with the key's name.

One class per configuration group and one per command. Defaults live in ``conf/``, where people read them; here a field
is ``MISSING`` unless leaving it out means something.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class GPTConfig:
    """``model=gpt``, ``model=gpt_swiglu``: the proxy's shape."""

    kind: str = "gpt"
    width: int = MISSING
    depth: int = MISSING
    head_dim: int = MISSING
    context: int = MISSING
    mlp_ratio: float = MISSING
    activation: str = MISSING
    positions: str = MISSING
    tied: bool = MISSING
    bias: bool = MISSING


@dataclass
class MLPConfig:
    """``model=mlp``: the proxy's shape."""

    kind: str = "mlp"
    width: int = MISSING
    depth: int = MISSING
    bias: bool = MISSING


@dataclass
class DataConfig:
    """``data=...``."""

    name: str = MISSING
    path: str | None = None
    vocab_size: int | None = None
    bytes_per_token: float | None = None
    validation_fraction: float = 0.1


@dataclass
class ParametrizationConfig:
    """``parametrization=...``."""

    name: str = MISSING


@dataclass
class SparsityConfig:
    """``sparsity=...``: how masks are drawn and computed with; how sparse is ``target.sparsity``."""

    mask: str = MISSING
    backend: str = MISSING


@dataclass
class OptimizerConfig:
    """``optimizer=...``."""

    name: str = MISSING
    weight_decay_form: str = MISSING
    beta1: float = MISSING
    beta2: float = MISSING
    epsilon: float = MISSING
    momentum: float = MISSING
    gradient_clip: float = MISSING


@dataclass
class BudgetConfig:
    """``budget=...``; ``tokens_per_parameter`` (non-zero ones, of what is trained) replaces ``steps`` where given."""

    steps: int = MISSING
    batch_size: int = MISSING
    sequence_length: int = MISSING
    warmup_steps: int = MISSING
    decay: str = MISSING
    final_fraction: float = MISSING
    evaluations: int = MISSING
    evaluation_batches: int = MISSING
    tokens_per_parameter: float | None = None


@dataclass
class HyperparameterConfig:
    """``hparams``: base hyperparameters."""

    learning_rate: float = MISSING
    init_std: float = MISSING
    input_multiplier: float = MISSING
    output_multiplier: float = MISSING
    weight_decay: float = MISSING


@dataclass
class TargetConfig:
    """``target=...``: how the network that is trained departs from the proxy."""

    width: int | None = None
    sparsity: float = 0.0


@dataclass
class RangeConfig:
    """One axis of a search space."""

    low: float = MISSING
    high: float = MISSING
    log: bool = True


@dataclass
class TuningConfig:
    """``tuning=...``: the search."""

    n_trials: int = MISSING
    startup_trials: int = MISSING
    pruner_startup_trials: int = MISSING
    space: dict[str, RangeConfig] = field(default_factory=dict)


@dataclass
class StudyConfig:
    """Where the search is kept."""

    name: str = MISSING
    storage: str | None = None


@dataclass
class RunConfig:
    """What every command knows."""

    model: Any = MISSING
    data: Any = MISSING
    parametrization: Any = MISSING
    sparsity: Any = MISSING
    optimizer: Any = MISSING
    budget: Any = MISSING
    target: Any = MISSING
    hparams: HyperparameterConfig = field(default_factory=HyperparameterConfig)
    tuned: str | None = None
    seed: int = MISSING
    precision: str = MISSING
    device: str = MISSING
    threads: int = MISSING
    results_dir: str = MISSING


@dataclass
class TuneConfig(RunConfig):
    """``smupar tune``."""

    tuning: Any = MISSING
    workers: int = MISSING
    study: StudyConfig = field(default_factory=StudyConfig)


@dataclass
class TransferConfig(RunConfig):
    """``smupar transfer``; ``recipe`` is where the recipe is written."""

    recipe: str = MISSING


@dataclass
class TrainConfig(RunConfig):
    """``smupar train``; ``recipe`` replaces model, target, hyperparameters, parametrization and optimizer."""

    recipe: str | None = None
    name: str = MISSING
    sample: int = 0
    prompt: str = ""


@dataclass
class ExplainConfig(RunConfig):
    """``smupar explain``."""

    recipe: str | None = None
    format: str = MISSING


@dataclass
class SweepConfig(RunConfig):
    """``smupar sweep``; ``sweep`` is the name of a file under ``sweeps/``."""

    sweep: str = MISSING
    workers: int = MISSING


@dataclass
class CoordinatesConfig(SweepConfig):
    """``smupar coordinates``; ``require`` names parametrizations that must pass."""

    require: list[str] = field(default_factory=list)


@dataclass
class PlotConfig:
    """``smupar plot``: it reads records, so it needs to know where they are and no more."""

    sweep: str = MISSING
    results_dir: str = MISSING


@dataclass
class PlanConfig(SweepConfig):
    """``smupar plan``; without a sweep it plans one run of the target."""

    sweep: str = ""


@dataclass
class DemoConfig(TuneConfig):
    """``smupar demo``."""

    grids: dict[str, list[float]] = field(default_factory=dict)


GROUPS: dict[str, dict[str, type]] = {
    "model": {"gpt": GPTConfig, "mlp": MLPConfig},
    "data": {"schema": DataConfig},
    "parametrization": {"schema": ParametrizationConfig},
    "sparsity": {"schema": SparsityConfig},
    "optimizer": {"schema": OptimizerConfig},
    "budget": {"schema": BudgetConfig},
    "target": {"schema": TargetConfig},
    "tuning": {"schema": TuningConfig},
}

COMMANDS: dict[str, type] = {
    "demo": DemoConfig,
    "tune": TuneConfig,
    "transfer": TransferConfig,
    "train": TrainConfig,
    "sweep": SweepConfig,
    "coordinates": CoordinatesConfig,
    "plot": PlotConfig,
    "explain": ExplainConfig,
    "plan": PlanConfig,
}


def known_keys() -> list[str]:
    """Every key a person can set, dotted."""
    nested = {group: tuple(schemas.values()) for group, schemas in GROUPS.items()}
    nested |= {"hparams": (HyperparameterConfig,), "study": (StudyConfig,)}
    dotted = [f"{group}.{item.name}" for group, nodes in nested.items() for node in nodes for item in fields(node)]
    plain = [item.name for node in COMMANDS.values() for item in fields(node)]
    return sorted({*dotted, *plain})


def register() -> None:
    """Put the types where Hydra finds them; calling it again changes nothing."""
    store = ConfigStore.instance()
    for group, schemas in GROUPS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    for command, node in COMMANDS.items():
        store.store(group="schema/command", name=command, node=node)
