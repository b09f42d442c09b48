"""``smupar transfer``: rescale base hyperparameters to a target."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.base import resolve_base
from smupar_transfer.app.cautions import tell_of_transfer
from smupar_transfer.app.overrides import RUN_WORDS, next_command, path_word
from smupar_transfer.app.recipes import recipe_of
from smupar_transfer.records import ModuleSpec
from smupar_transfer.reporting.number_format import significant
from smupar_transfer.theory import InputError, Role, parametrization
from smupar_transfer.transfer import Recipe, RoleValues, read_recipe, write_recipe


def run(config: DictConfig) -> None:
    """Write the recipe of the target and print its role table."""
    base, spec = resolve_base(config), config_to_spec.target_spec(config)
    recipe = recipe_of(spec, base.source)
    path = Path(config.recipe)
    before = _kept(path, recipe)
    write_recipe(path, recipe)
    out = console.terminal()
    out.print(role_table(recipe))
    out.print(f"\nm_d = {spec.width_factor:g}, m_rho = {_density_words(recipe)} on hidden weights")
    tell_of_transfer(base, spec)
    for change in [] if before is None else _changes(before, recipe):
        out.print(f"in place of {change}", soft_wrap=True)
    words = [path_word("recipe", path)]
    if isinstance(recipe.model, ModuleSpec):  # a recipe names no code that would run by itself
        words += ["model=module", path_word("model.factory", Path(config.model.factory))]
    out.print(f"wrote {path}\nnext: {next_command('train', words, RUN_WORDS)}", soft_wrap=True)


def _kept(path: Path, recipe: Recipe) -> Recipe | None:
    """The recipe that stands where the new one shall go, if there is one; it may only be an older one of this target.

    Raises:
        InputError: there is the recipe of another target, or something else.
    """
    if not path.exists():
        return None
    remedy = "give recipe=PATH to write this one elsewhere, or move that file away"
    try:
        before = read_recipe(path)
    except InputError:
        raise InputError("recipe", str(path), "exists and is no recipe that this version reads", remedy) from None
    if _target(before) != _target(recipe):
        raise InputError("recipe", str(path), f"holds the recipe of another target ({_target_words(before)})", remedy)
    return before


def _target(recipe: Recipe) -> tuple[object, ...]:
    return recipe.model, recipe.base_width, recipe.sparsity, recipe.parametrization, recipe.optimizer.name


def _target_words(recipe: Recipe) -> str:
    title = parametrization(recipe.parametrization).title
    return f"{title}, width {recipe.base_width} -> {recipe.model.width}, sparsity {1 - recipe.sparsity.density:g}"


def _changes(before: Recipe, now: Recipe) -> list[str]:
    """What an older recipe of the same target had otherwise."""
    old, new = vars(before.hparams), vars(now.hparams)
    changed = [f"{name} {significant(old[name])}" for name in old if old[name] != new[name]]
    changed += ["other settings of the optimizer"] if before.optimizer != now.optimizer else []
    return [", ".join(changed)] if changed else []


def _density_words(recipe: Recipe) -> str:
    sparse = [values.m_rho for values in recipe.layers.values() if values.m_rho < 1]
    # by the numbers, not as text: "0.1" stands behind "0.02"
    densities = sorted({significant(density, 3) for density in sparse}, key=float)
    if not densities:
        return f"{recipe.sparsity.density:g}"
    return " to ".join(dict.fromkeys((densities[0], densities[-1])))


def role_table(recipe: Recipe) -> Group:
    """A row per role: the exponents, and what they make of the base hyperparameters."""
    table = parametrization(recipe.parametrization)
    rows = [row for role in recipe.roles for row in _rows(recipe, role)]
    title = (
        f"{table.title}: width {recipe.base_width} -> {recipe.model.width}, density 1 -> {recipe.sparsity.density:g}"
    )
    # a model that initialises itself has a standard deviation for each matrix: it is told relative to them
    std = "own std x" if isinstance(recipe.model, ModuleSpec) else "init std"
    columns = ["role", "variance x", std, "learning rate", "weight decay", "epsilon", "multiplier"]
    return console.table(title, columns, rows)


def _rows(recipe: Recipe, role: Role) -> list[list[str]]:
    """One row, or one for each density where masks could not keep the same part of every layer."""
    by_layer = role is Role.HIDDEN and recipe.layers and not isinstance(recipe.model, ModuleSpec)
    layers = list(recipe.layers.values()) if by_layer else [recipe.roles[role]]
    by_density: dict[str, list[RoleValues]] = {}
    for values in layers:
        by_density.setdefault(significant(values.m_rho, 3), []).append(values)
    power = str(parametrization(recipe.parametrization)[role].init_variance)
    return [
        [
            str(role) if len(by_density) == 1 else f"{role} x{len(members)} ({density})",
            power,
            significant(members[0].init_std),
            significant(members[0].learning_rate),
            significant(members[0].weight_decay),
            significant(members[0].epsilon, 3),
            significant(members[0].forward_multiplier),
        ]
        for density, members in by_density.items()
    ]
