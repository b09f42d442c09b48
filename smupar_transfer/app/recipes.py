"""The run of a recipe, and what may stand beside ``recipe=`` on a command line."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app.base import require_source
from smupar_transfer.app.budget import provisional_budget, with_budget
from smupar_transfer.app.cautions import tell_of_recipe, tell_of_runs
from smupar_transfer.app.config_to_spec import data_request, precision, target_spec
from smupar_transfer.app.overrides import set_by_hand
from smupar_transfer.model import outline, plan_of, rules_of
from smupar_transfer.records import GPTSpec, MLPSpec, ModelSpec, ModuleSpec, RunSpec
from smupar_transfer.sparsity import is_counted
from smupar_transfer.theory import InputError
from smupar_transfer.training import Data, ExampleData, OwnBatches, TokenData, load
from smupar_transfer.transfer import ParameterPlan, Recipe, Source, make_recipe, read_recipe, require_agreement

DECIDED = ("model", "target", "hparams", "parametrization", "optimizer", "sparsity", "tuned")
"""Groups and keys that a recipe decides."""
FREE = frozenset({"sparsity.backend", "model.factory"})
"""Keys in these groups that say how to compute, or where a task file lies, and not what is trained."""


def configured_recipe(config: DictConfig) -> Recipe | None:
    """The recipe that a command names, if it names one.

    Raises:
        InputError: the file is none, or a person set a key that the recipe decides to another value.
    """
    if config.recipe is None:
        return None
    recipe = read_recipe(Path(config.recipe))
    _require_no_other_word(config, recipe)
    return recipe


def announced_spec(config: DictConfig) -> RunSpec:
    """The run of ``recipe`` where one is named, else of the configured target; cautions about it are told."""
    recipe = configured_recipe(config)
    if recipe is None:
        spec = target_spec(config)
        tell_of_runs(config, [spec])
    else:
        spec = recipe_spec(config, recipe)
        tell_of_recipe(recipe, spec)
    return spec


def recipe_spec(config: DictConfig, recipe: Recipe) -> RunSpec:
    """The run that trains a recipe on the configured data and budget.

    Raises:
        InputError: the recipe's network does not fit the data, its numbers are not what would be trained, or it was
            tuned on other data than what nobody chose.
    """
    data = load(data_request(config))
    data.check(config.budget.sequence_length)
    model = recipe.model
    _require_fit(model, data)
    spec = RunSpec(
        model=model,
        base_width=recipe.base_width,
        sparsity=recipe.sparsity,
        parametrization=recipe.parametrization,
        hparams=recipe.hparams,
        optimizer=recipe.optimizer,
        data=data.spec,
        budget=provisional_budget(config),
        seed=config.seed,
        precision=precision(config),
    )
    # a recipe that was edited, or made by other rules, must not be trained as if nothing had happened (decision 1)
    require_agreement(recipe, target_plan(spec))
    if recipe.source is not None:
        require_source(config, recipe.source, spec)
    return with_budget(config, spec)


def _require_fit(model: ModelSpec, data: Data) -> None:
    """Check that a recipe's network can learn from what the configuration names."""
    match model:
        case ModuleSpec():
            if not isinstance(data, OwnBatches) or data.task.sha256 != model.sha256:
                named = data.task.path if isinstance(data, OwnBatches) else data.spec.name
                problem = f"is not the task of the recipe ({model.name}, sha256 {model.sha256[:8]}...)"
                raise InputError("model.factory", str(named), problem, "name it: model=module model.factory=FILE")
            return
        case MLPSpec():
            fits: tuple[int, ...] = (model.features, model.classes)
        case GPTSpec():
            fits = (model.vocab_size,)
    match data:
        case ExampleData():
            sizes: tuple[int, ...] = (data.features, data.classes)
        case TokenData():
            sizes = (data.vocab_size,)
        case OwnBatches():
            raise InputError("model", "module", f"is not the recipe's {model.kind}", "leave model= out")
    if fits != sizes:
        raise InputError("data", data.spec.name, f"has sizes {sizes}, the recipe's network {fits}")


def recipe_of(spec: RunSpec, source: Source | None) -> Recipe:
    """The recipe of a target.

    Args:
        spec: The run that trains the target; its data, budget and seed do not count.
        source: Where its base hyperparameters come from; None if nobody tuned them.
    """
    return make_recipe(rules_of(spec), spec.model, spec.base_width, spec.sparsity, target_plan(spec), source)


def target_plan(spec: RunSpec) -> tuple[ParameterPlan, ...]:
    """What every parameter of a target is trained with, at the density that is known before masks are drawn."""
    # a mask whose density only shows when it is drawn is planned as one that has the density asked for
    counted = replace(spec, sparsity=replace(spec.sparsity, mask="random"))
    known = spec if is_counted(spec.sparsity.mask, spec.sparsity.density) else counted
    return plan_of(outline(known), known)


def _require_no_other_word(config: DictConfig, recipe: Recipe) -> None:
    """A word that the recipe overrules is refused; one that says the same is none of its business."""
    held = _values(recipe)
    for key in set_by_hand(config, *DECIDED):
        if key in FREE:
            continue
        value = OmegaConf.select(config, key)
        if key not in held or not _same(value, held[key]):
            has = f"the recipe has {held[key]}" if key in held else "the recipe holds base hyperparameters of its own"
            remedy = "transfer again with this word, or leave recipe= out"
            raise InputError(key, value, f"{has} ({config.recipe})", remedy)


def _values(recipe: Recipe) -> dict[str, Any]:
    """What a recipe decides, by the key that would say it."""
    values = {
        "target.width": recipe.model.width,
        "target.sparsity": 1 - recipe.sparsity.density,
        "parametrization.name": recipe.parametrization,
        "sparsity.mask": str(recipe.sparsity.mask),
        **{f"model.{name}": value for name, value in vars(recipe.model).items()},
        **{f"hparams.{name}": value for name, value in vars(recipe.hparams).items()},
        **{f"optimizer.{name}": value for name, value in vars(recipe.optimizer).items()},
    }
    # last: the recipe's network has the width of the target, and model.width is that of the proxy
    return {**values, "model.width": recipe.base_width}


def _same(value: Any, held: Any) -> bool:
    if isinstance(value, float) and isinstance(held, float):
        return math.isclose(value, held, rel_tol=1e-9, abs_tol=1e-12)  # 1 - (1 - sparsity) loses the last bits
    return bool(value == held)
