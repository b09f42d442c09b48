"""``smupar transfer``: rescale base hyperparameters to a target."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import show, specs
from smupar_transfer.app.given import RUN_WORDS, next_command, path_word
from smupar_transfer.records import Recipe, write_recipe
from smupar_transfer.theory import parametrization
from smupar_transfer.transfer import cautions, make_recipe


def run(config: DictConfig) -> None:
    """Write the recipe of the target and print its role table."""
    recipe = recipe_from(config)
    path = Path(config.recipe)
    write_recipe(path, recipe)
    out = show.console()
    out.print(role_table(recipe))
    out.print(
        f"\nm_d = {recipe.model.width / recipe.base_width:g}, m_rho = {recipe.sparsity.density:g} on hidden weights"
    )
    for caution in cautions(recipe):
        out.print(f"caution: {caution}", style="yellow")
    out.print(f"wrote {path}\nnext: {next_command('train', [path_word('recipe', path)], RUN_WORDS)}", soft_wrap=True)


def recipe_from(config: DictConfig) -> Recipe:
    """The recipe of the configured target: from ``tuned``, where ``hparams`` given by hand win, or from ``hparams``."""
    target = specs.target_spec(config)
    tuned = specs.tuned_point(config)
    untouched = tuned is not None and tuned.hparams == target.hparams
    return make_recipe(
        tuned if tuned is not None and untouched else target.hparams,
        target.model,
        target.sparsity,
        target.base_width,
        target.parametrization,
        target.optimizer,
    )


def role_table(recipe: Recipe) -> Group:
    """A row per role: the exponents, and what they make of the base hyperparameters."""
    table = parametrization(recipe.parametrization)
    rows = [
        [
            str(role),
            str(table[role].init_variance),
            show.number(values.init_std),
            show.number(values.learning_rate),
            show.number(values.weight_decay),
            show.number(values.epsilon, 3),
            show.number(values.forward_multiplier),
        ]
        for role, values in recipe.roles.items()
    ]
    title = (
        f"{table.title}: width {recipe.base_width} -> {recipe.model.width}, density 1 -> {recipe.sparsity.density:g}"
    )
    columns = ["role", "variance x", "init std", "learning rate", "weight decay", "epsilon", "multiplier"]
    return show.table(title, columns, rows)
