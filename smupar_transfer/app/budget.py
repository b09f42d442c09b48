"""How long a run trains: from steps, or from tokens per parameter, with warm-up as a part of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app.overrides import keys_of, set_by_hand, words_by_hand
from smupar_transfer.model import load_task, network_cost, outline, plan_of
from smupar_transfer.records import BudgetSpec, Decay, RunSpec
from smupar_transfer.theory import InputError
from smupar_transfer.training import OWN_BATCHES

KEY = "budget.tokens_per_parameter"


def provisional_budget(config: DictConfig) -> BudgetSpec:
    """The budget but for its steps, which may depend on the network, and for warm-up, which depends on them."""
    values = _values(config)
    if config.model.kind == OWN_BATCHES:
        values |= _whole_batches(config)
    kept = {name: value for name, value in values.items() if not name.startswith(("warmup_", "tokens_per_parameter"))}
    try:
        decay = Decay(values["decay"])
    except ValueError:
        raise InputError("budget.decay", values["decay"], f"is not one of {', '.join(Decay)}") from None
    return BudgetSpec(**{**kept, "decay": decay})


def with_budget(config: DictConfig, spec: RunSpec) -> RunSpec:
    """The run with its steps and its warm-up.

    Args:
        config: The configuration of a command with a group ``budget``.
        spec: The run, with the provisional budget.

    Raises:
        InputError: a value is impossible, or two words say the same thing in two ways.
    """
    values = _values(config)
    _refuse_two_ways(values)
    steps = spec.budget.steps
    if values["tokens_per_parameter"] is not None:
        steps = _steps(values["tokens_per_parameter"], spec)
    warmup = values["warmup_steps"]
    if warmup is None:
        fraction = values["warmup_fraction"]
        if not 0 <= fraction <= 1:
            raise InputError("budget.warmup_fraction", fraction, "must lie in [0, 1]")
        warmup = round(fraction * steps)
    # BudgetSpec would refuse it too, but could not say where the number of steps comes from
    elif warmup > steps and values["tokens_per_parameter"] is not None:
        problem = f"is more than the {steps} steps that {KEY}={values['tokens_per_parameter']:g} makes"
        raise InputError("budget.warmup_steps", warmup, problem, "leave it out: warm-up is then a part of the steps")
    return replace(spec, budget=replace(spec.budget, steps=steps, warmup_steps=warmup))


def _whole_batches(config: DictConfig) -> dict[str, int]:
    """The sizes of a step where a task gives whole batches: one of them, whatever it holds."""
    for key in set_by_hand(config, "budget"):
        if key in ("budget.batch_size", "budget.sequence_length"):
            problem = "is not read by model=module, whose file gives whole batches"
            raise InputError(key, OmegaConf.select(config, key), problem, "leave it out")
    return {"batch_size": load_task(config.model.factory).tokens_per_step, "sequence_length": 1}


def _values(config: DictConfig) -> dict[str, Any]:
    """All values of the group, checked and converted by its schema."""
    content = OmegaConf.to_container(config.budget, resolve=True, throw_on_missing=True)
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}


def _refuse_two_ways(values: dict[str, Any]) -> None:
    """A word that another one overrules is refused: whoever typed it believes that it counts."""
    typed = keys_of(words_by_hand())
    for name, other in (("steps", "tokens_per_parameter"), ("warmup_fraction", "warmup_steps")):
        if f"budget.{name}" in typed and values[other] is not None:
            problem = f"has no say beside budget.{other}={values[other]:g}"
            raise InputError(
                f"budget.{name}", values[name], problem, f"leave one of them out, or give budget.{other}=null"
            )


def _steps(tokens_per_parameter: float, spec: RunSpec) -> int:
    """As many as show ``tokens_per_parameter`` tokens for each parameter that exists."""
    if not (tokens_per_parameter > 0 and math.isfinite(tokens_per_parameter)):
        raise InputError(KEY, tokens_per_parameter, "must be positive and finite")
    # of those that exist, since zeros learn nothing
    nonzero = network_cost(plan_of(outline(spec), spec), spec).nonzero_parameters
    # up, so that no parameter gets fewer tokens than were asked for; and a run has a step in any case
    return max(1, math.ceil(tokens_per_parameter * nonzero / spec.budget.tokens_per_step))
