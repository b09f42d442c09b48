"""From a composed configuration to frozen, validated values. Past this module there is no configuration object."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from smupar_transfer.app.base import Base, require_source, resolve_base
from smupar_transfer.app.budget import provisional_budget, with_budget
from smupar_transfer.app.overrides import keys_of, set_by_hand, words_by_hand
from smupar_transfer.records import (
    Activation,
    GPTSpec,
    MLPSpec,
    ModelSpec,
    ModuleSpec,
    Positions,
    Precision,
    RunSpec,
    SparsitySpec,
)
from smupar_transfer.theory import ClipNorm, InputError, OptimizerSettings, WeightDecayForm, choose
from smupar_transfer.training import (
    KEEP,
    Data,
    DataRequest,
    ExampleData,
    Execution,
    OwnBatches,
    Tracking,
    load,
    usable_cores,
)
from smupar_transfer.training import OWN_BATCHES as MODULE
from smupar_transfer.transfer import Source


def _plain(config: DictConfig, key: str) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(config[key], resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = error.full_key or key
        raise InputError(missing, "", "must be given") from error
    if not isinstance(content, dict):
        raise InputError(key, str(content), "is not a group of keys")
    return {str(name): value for name, value in content.items()}


def data_request(config: DictConfig) -> DataRequest:
    """Which data to load: a model of a person's own brings its batches along.

    Raises:
        InputError: a person chose data beside such a model.
    """
    if config.model.kind != MODULE:
        return DataRequest(**_plain(config, "data"))
    for key in set_by_hand(config, "data"):
        problem = "is not read by model=module, whose file gives its own batches"
        raise InputError(key, OmegaConf.select(config, key), problem, "leave it out")
    return DataRequest(MODULE, str(_plain(config, "model")["factory"]))


def execution(config: DictConfig, *, alone: bool = False) -> Execution:
    """Where and how to compute.

    Args:
        config: The configuration of a command.
        alone: Whether there is a single run, which may have every core where nobody said how many threads it gets;
            workers get one each.
    """
    threads = config.threads
    if threads is None:
        threads = usable_cores() if alone and config.device == "cpu" else 1
    keep = OmegaConf.select(config, "checkpoint.keep", default=KEEP)  # not every command has them
    accumulate = OmegaConf.select(config, "accumulate", default=1)
    return Execution(config.device, config.sparsity.backend, threads, keep, accumulate)


def tracking(config: DictConfig, folder: Path) -> Tracking:
    """Who keeps the curves of runs whose result lies in ``folder``.

    Raises:
        InputError: there is no such tracker, or what it needs is not installed.
    """
    return Tracking(config.tracker, folder)


def workers(config: DictConfig) -> int:
    """Number of worker processes.

    Raises:
        InputError: it is less than 1.
    """
    count: int = config.workers
    if count < 1:
        raise InputError("workers", count, "must be at least 1")
    return count


def optimizer_settings(config: DictConfig) -> OptimizerSettings:
    """The optimizer.

    Raises:
        InputError: a value is impossible, or a person typed one that the optimizer does not read.
    """
    values = _plain(config, "optimizer")
    settings = OptimizerSettings(
        **{
            **values,
            "weight_decay_form": choose(WeightDecayForm, "optimizer.weight_decay_form", values["weight_decay_form"]),
            "clip_norm": choose(ClipNorm, "optimizer.clip_norm", values["clip_norm"]),
        }
    )
    # the defaults of the group hold all settings, so that only typed ones were meant to do something
    typed = keys_of(words_by_hand())
    for name in sorted(settings.rule.unread):
        if f"optimizer.{name}" in typed:
            raise InputError(f"optimizer.{name}", values[name], f"is not read by {settings.name}", "leave it out")
    return settings


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
    return SparsitySpec(1.0 - sparsity, config.sparsity.mask)


def proxy_model(config: DictConfig, data: Data) -> ModelSpec:
    """The proxy's shape, its ends fitted to the data."""
    values = _plain(config, "model")
    kind = values.pop("kind")
    if isinstance(data, OwnBatches):
        _refuse_unknown("model", values, {"factory", "width"})
        return ModuleSpec(values["width"], data.task.sha256, data.task.name)
    # torch would only say that shapes do not fit
    if (kind == "mlp") != isinstance(data, ExampleData):
        fitting = "mlp" if isinstance(data, ExampleData) else "gpt"
        raise InputError("model", kind, f"cannot learn from data={data.spec.name}", f"use model={fitting}")
    _refuse_unknown("model", values, {field.name for field in fields(MLPSpec if kind == "mlp" else GPTSpec)})
    if isinstance(data, ExampleData):
        return MLPSpec(**values, features=data.features, classes=data.classes)
    return GPTSpec(
        **{
            **values,
            "activation": choose(Activation, "model.activation", values["activation"]),
            "positions": choose(Positions, "model.positions", values["positions"]),
            "vocab_size": data.vocab_size,
        }
    )


def _refuse_unknown(group: str, values: dict[str, Any], known: set[str]) -> None:
    """A key forced in with + passes composition; it would do nothing."""
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{group}.{name}", value, "is no such key")


def target_spec(config: DictConfig, base: Base | None = None) -> RunSpec:
    """The run that trains the target.

    Args:
        config: The configuration of a command.
        base: Its base hyperparameters, where they are known already.

    Raises:
        InputError: a value is impossible, or base hyperparameters were tuned on another proxy or other data; the
            message names the key.
    """
    data = load(data_request(config))
    proxy = proxy_model(config, data)
    data.check(config.budget.sequence_length)
    base = base or resolve_base(config)
    spec = RunSpec(
        model=proxy if config.target.width is None else _widened(proxy, config.target.width),
        base_width=proxy.width,
        sparsity=sparsity_spec(config),
        parametrization=config.parametrization.name,
        hparams=base.hparams,
        optimizer=optimizer_settings(config),
        data=data.spec,
        budget=provisional_budget(config),
        seed=config.seed,
        precision=precision(config),
    )
    # the proxy is part of what was tuned: the same numbers for another one would be guesses
    if base.tuned is not None:
        require_source(config, Source.of(base.tuned), spec)
    # last: steps may follow from the number of parameters, and warm-up from the steps
    return with_budget(config, spec)


def precision(config: DictConfig) -> Precision:
    """What products are computed in."""
    return choose(Precision, "precision", config.precision)


def _widened(proxy: ModelSpec, width: int) -> ModelSpec:
    try:
        return replace(proxy, width=width)
    except InputError as error:
        # the width itself, or what it has to suit, as the size of heads
        beside = "" if error.key == "model.width" else f"with {error.key}={error.value}: "
        raise InputError("target.width", width, f"{beside}{error.problem}", error.remedy) from None


def proxy_spec(config: DictConfig) -> RunSpec:
    """The dense run at the proxy's width."""
    dense = config.copy()  # the caller's own stays as it is
    dense.target.width, dense.target.sparsity = None, 0.0
    return target_spec(dense)
