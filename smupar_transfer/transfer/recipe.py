"""From a tuned point to the recipe of a target."""

from __future__ import annotations

from smupar_transfer.records import ModelSpec, Recipe, Source, SparsitySpec, Tuned, derive_roles, width_factor
from smupar_transfer.records.spec import GPTSpec
from smupar_transfer.theory import PARAMETRIZATIONS, BaseHyperparameters, InputError, OptimizerSettings

MINIMUM_WEIGHTS_PER_NEURON = 16
"""Fewest non-zero weights per neuron that SuPar was tried with (arXiv 2405.15743: width 1024, density 1/64)."""


def make_recipe(
    hparams: BaseHyperparameters | Tuned,
    model: ModelSpec,
    sparsity: SparsitySpec,
    base_width: int,
    parametrization: str,
    optimizer: OptimizerSettings,
) -> Recipe:
    """Rescale base hyperparameters to a target, role by role.

    Args:
        hparams: a tuned point, or hyperparameters given by hand.
        model: the target's shape.
        sparsity: the target's.
        base_width: width of the proxy.
        parametrization: name of the parametrization to apply.
        optimizer: of the target.

    Raises:
        InputError: a tuned point belongs to a proxy of another width, architecture or optimizer.
    """
    source = None
    if isinstance(hparams, Tuned):
        _check_proxy(hparams, model, base_width, optimizer)
        source, hparams = Source.of(hparams), hparams.hparams
    roles = derive_roles(parametrization, hparams, optimizer, width_factor(model.width, base_width), sparsity.density)
    return Recipe(hparams, source, parametrization, optimizer, base_width, model, sparsity, roles)


def _check_proxy(tuned: Tuned, model: ModelSpec, base_width: int, optimizer: OptimizerSettings) -> None:
    proxy = tuned.proxy.model
    if tuned.proxy.optimizer.name is not optimizer.name:
        raise InputError(
            "optimizer", str(optimizer.name), f"is not the {tuned.proxy.optimizer.name} that the proxy was tuned with"
        )
    if tuned.proxy.base_width != base_width:
        raise InputError(
            "model.width",
            base_width,
            f"is not the width {tuned.proxy.base_width} of the proxy that was tuned",
            "use the proxy's",
        )
    differing = [name for name, value in vars(proxy).items() if name != "width" and getattr(model, name, None) != value]
    if differing:
        name = differing[0]
        raise InputError(
            f"model.{name}",
            getattr(model, name, model.kind),
            f"differs from the tuned proxy's {getattr(proxy, name)}",
            "only width and sparsity transfer: tune a proxy of this architecture",
        )


def cautions(recipe: Recipe) -> list[str]:
    """What a person should know before trusting a recipe: one sentence each."""
    found = []
    ratio = recipe.model.mlp_ratio if isinstance(recipe.model, GPTSpec) else 1.0
    smallest = recipe.model.width * min(1.0, ratio) * recipe.sparsity.density
    if smallest < MINIMUM_WEIGHTS_PER_NEURON * (1 - 1e-4):  # a sparsity is written with a few digits
        found.append(
            f"{smallest:.3g} non-zero weights per neuron are fewer than the {MINIMUM_WEIGHTS_PER_NEURON} that transfer "
            "was tested with; use a smaller target.sparsity or a larger target.width"
        )
    if recipe.source is not None and recipe.source.proxy_parametrization != recipe.parametrization:
        proxy, own = (PARAMETRIZATIONS[name] for name in (recipe.source.proxy_parametrization, recipe.parametrization))
        if proxy.attention_exponent != own.attention_exponent:
            found.append(
                f"the proxy was tuned under {proxy.title}, which scales attention differently from {own.title}"
            )
    if recipe.model.width < recipe.base_width:
        found.append(f"the target is narrower than its proxy ({recipe.model.width} < {recipe.base_width})")
    return found
