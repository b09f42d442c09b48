"""From a composed configuration to frozen, validated values. Past this module there is no configuration object."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from smupar_transfer.model import network_cost, outline, plan_parameters
from smupar_transfer.records import (
    Activation,
    BudgetSpec,
    Decay,
    GPTSpec,
    MaskKind,
    MLPSpec,
    ModelSpec,
    Positions,
    Precision,
    Recipe,
    RunSpec,
    SparsitySpec,
    Tuned,
    read_recipe,
    read_tuned,
)
from smupar_transfer.theory import (
    BaseHyperparameters,
    InputError,
    Optimizer,
    OptimizerSettings,
    WeightDecayForm,
)
from smupar_transfer.training import Data, DataRequest, ExampleData, Execution, load

Choice = TypeVar("Choice", bound=StrEnum)


def _plain(config: DictConfig, key: str) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(config[key], resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = str(error).rpartition(": ")[2]
        raise InputError(missing, "", "must be given") from error
    if not isinstance(content, dict):
        raise InputError(key, str(content), "is not a group of keys")
    return {str(name): value for name, value in content.items()}


def _choose(kind: type[Choice], key: str, value: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise InputError(key, value, f"is not one of {', '.join(kind)}") from None


def data_request(config: DictConfig) -> DataRequest:
    """Which data to load."""
    return DataRequest(**_plain(config, "data"))


def execution(config: DictConfig) -> Execution:
    """Where and how to compute."""
    return Execution(config.device, config.sparsity.backend, config.threads)


def hyperparameters(config: DictConfig) -> BaseHyperparameters:
    """Base hyperparameters: given by hand, else from the tuned point, else the defaults."""
    values = _plain(config, "hparams")
    tuned = tuned_point(config)
    if tuned is not None:
        by_hand = _overridden("hparams.")
        values = {**vars(tuned.hparams), **{name: values[name] for name in by_hand}}
    return BaseHyperparameters(**values)


def with_tuned_hyperparameters(config: DictConfig) -> DictConfig:
    """The same configuration with the tuned point written into ``hparams``, so that axes of a grid win over it."""
    resolved = config.copy()
    resolved.hparams.update(vars(hyperparameters(config)))
    resolved.tuned = None
    return resolved


def workers(config: DictConfig) -> int:
    """Number of worker processes.

    Raises:
        InputError: it is less than 1.
    """
    count: int = config.workers
    if count < 1:
        raise InputError("workers", count, "must be at least 1")
    return count


def _overridden(prefix: str) -> list[str]:
    """Keys below a prefix that a person set on the command line."""
    if not HydraConfig.initialized():
        return []
    words = HydraConfig.get().overrides.task
    names = (word.partition("=")[0].lstrip("+~") for word in words)
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def tuned_point(config: DictConfig) -> Tuned | None:
    """The tuned point that ``tuned`` names, if it names one."""
    return None if config.tuned is None else read_tuned(Path(config.tuned))


def optimizer_settings(config: DictConfig) -> OptimizerSettings:
    """The optimizer."""
    values = _plain(config, "optimizer")
    return OptimizerSettings(
        **{
            **values,
            "name": _choose(Optimizer, "optimizer.name", values["name"]),
            "weight_decay_form": _choose(WeightDecayForm, "optimizer.weight_decay_form", values["weight_decay_form"]),
        }
    )


def sparsity_spec(config: DictConfig) -> SparsitySpec:
    """Density inside, sparsity at the edge: this is the edge."""
    sparsity = config.target.sparsity
    if not 0 <= sparsity < 1:
        raise InputError(
            "target.sparsity",
            sparsity,
            "must lie in [0, 1)",
            "0 is dense, 0.9 keeps a tenth of the hidden weights",
        )
    return SparsitySpec(1.0 - sparsity, _choose(MaskKind, "sparsity.mask", config.sparsity.mask))


def proxy_model(config: DictConfig, data: Data) -> ModelSpec:
    """The proxy's shape, its ends fitted to the data."""
    values = _plain(config, "model")
    kind = values.pop("kind")
    if (kind == "mlp") != isinstance(data, ExampleData):
        fitting = "mlp" if isinstance(data, ExampleData) else "gpt"
        raise InputError("model", kind, f"cannot learn from data={data.spec.name}", f"use model={fitting}")
    _refuse_unknown("model", values, MLPSpec if kind == "mlp" else GPTSpec)
    if isinstance(data, ExampleData):
        return MLPSpec(**values, features=data.features, classes=data.classes)
    return GPTSpec(
        **{
            **values,
            "activation": _choose(Activation, "model.activation", values["activation"]),
            "positions": _choose(Positions, "model.positions", values["positions"]),
            "vocab_size": data.vocab_size,
        }
    )


def _refuse_unknown(group: str, values: dict[str, Any], spec: type[GPTSpec] | type[MLPSpec]) -> None:
    """A key forced in with + passes composition; it would do nothing."""
    known = {field.name for field in fields(spec)}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{group}.{name}", value, "is no such key")


def _budget(config: DictConfig) -> BudgetSpec:
    values = _plain(config, "budget")
    values.pop("tokens_per_parameter")
    return BudgetSpec(**{**values, "decay": _choose(Decay, "budget.decay", values["decay"])})


def target_spec(config: DictConfig) -> RunSpec:
    """The run that trains the target.

    Raises:
        InputError: a value is impossible; the message names the key.
    """
    data = load(data_request(config))
    proxy = proxy_model(config, data)
    data.check(config.budget.sequence_length)
    width = config.target.width
    target = proxy if width is None else _widened(proxy, width)
    spec = RunSpec(
        model=target,
        base_width=proxy.width,
        sparsity=sparsity_spec(config),
        parametrization=config.parametrization.name,
        hparams=hyperparameters(config),
        optimizer=optimizer_settings(config),
        data=data.spec,
        budget=_budget(config),
        seed=config.seed,
        precision=_choose(Precision, "precision", config.precision),
    )
    return _with_token_budget(spec, config.budget.tokens_per_parameter)


def _widened(proxy: ModelSpec, width: int) -> ModelSpec:
    try:
        return replace(proxy, width=width)
    except InputError as error:
        raise InputError(
            "target.width", width, f"with {error.key}={error.value}: {error.problem}", error.remedy
        ) from None


def proxy_spec(config: DictConfig) -> RunSpec:
    """The dense run at the proxy's width."""
    dense = config.copy()
    dense.target.width, dense.target.sparsity = None, 0.0
    return target_spec(dense)


def recipe_spec(config: DictConfig, recipe: Recipe) -> RunSpec:
    """The run that trains a recipe on the configured data and budget.

    Raises:
        InputError: the recipe's network does not fit the data.
    """
    data = load(data_request(config))
    data.check(config.budget.sequence_length)
    model = recipe.model
    expected = (data.features, data.classes) if isinstance(data, ExampleData) else (data.vocab_size,)
    fits = (model.features, model.classes) if isinstance(model, MLPSpec) else (model.vocab_size,)
    if fits != expected:
        raise InputError("data", data.spec.name, f"has sizes {expected}, the recipe's network {fits}")
    spec = RunSpec(
        model=model,
        base_width=recipe.base_width,
        sparsity=recipe.sparsity,
        parametrization=recipe.parametrization,
        hparams=recipe.hparams,
        optimizer=recipe.optimizer,
        data=data.spec,
        budget=_budget(config),
        seed=config.seed,
        precision=_choose(Precision, "precision", config.precision),
    )
    return _with_token_budget(spec, config.budget.tokens_per_parameter)


def configured_spec(config: DictConfig) -> RunSpec:
    """The run of ``recipe`` where one is named, else of the configured target."""
    if config.recipe is None:
        return target_spec(config)
    return recipe_spec(config, read_recipe(Path(config.recipe)))


def _with_token_budget(spec: RunSpec, tokens_per_parameter: float | None) -> RunSpec:
    if tokens_per_parameter is None:
        return spec
    if not (tokens_per_parameter > 0 and math.isfinite(tokens_per_parameter)):
        raise InputError("budget.tokens_per_parameter", tokens_per_parameter, "must be positive and finite")
    nonzero = network_cost(plan_parameters(outline(spec), spec), spec).nonzero_parameters
    steps = max(1, math.ceil(tokens_per_parameter * nonzero / spec.budget.tokens_per_step))
    warmup = min(spec.budget.warmup_steps, steps)
    return replace(spec, budget=replace(spec.budget, steps=steps, warmup_steps=warmup))
