"""From base hyperparameters and a target to a recipe, and from a recipe back to what is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple

from smupar_transfer.model import ParameterPlan, outline, plan_parameters
from smupar_transfer.records import MaskKind, Recipe, RoleValues, RunSpec, Source, derive_roles, derive_values
from smupar_transfer.theory import InputError, Role, ScaleFactors

AGREEMENT = 1e-9  # relative: the last bits of another machine are forgiven, nothing else


def make_recipe(spec: RunSpec, source: Source | None) -> Recipe:
    """Rescale base hyperparameters to a target: by role, and layer by layer where layers differ in density.

    Args:
        spec: the run that trains the target; its data, budget and seed do not count.
        source: where its base hyperparameters come from; None if nobody tuned them.
    """
    roles = derive_roles(spec.parametrization, spec.hparams, spec.optimizer, spec.width_factor, spec.sparsity.density)
    layers = {
        row.name: derive_values(
            spec.parametrization,
            Role.HIDDEN,
            spec.hparams,
            spec.optimizer,
            ScaleFactors(spec.width_factor, row.density),
        )
        for row in _hidden_rows(spec)
    }
    return Recipe(
        hparams=spec.hparams,
        source=source,
        parametrization=spec.parametrization,
        optimizer=spec.optimizer,
        base_width=spec.base_width,
        model=spec.model,
        sparsity=spec.sparsity,
        roles=roles,
        layers=layers if any(values != roles[Role.HIDDEN] for values in layers.values()) else {},
    )


def _hidden_rows(spec: RunSpec) -> Iterable[ParameterPlan]:
    """The plan's rows whose density is known before masks are drawn; none for Bernoulli masks."""
    if spec.sparsity.mask is MaskKind.BERNOULLI and spec.sparsity.density < 1:
        return []
    return [row for row in plan_parameters(outline(spec), spec) if row.role is Role.HIDDEN]


def require_agreement(recipe: Recipe, spec: RunSpec) -> None:
    """Check that what a recipe says is what ``spec``, made from it, trains with.

    Raises:
        InputError: a number of the recipe is another one than that of the run's plan.
    """
    for row in _hidden_rows(spec):
        says = recipe.values_of(Role.HIDDEN, row.name)
        trained = RoleValues(
            m_d=spec.width_factor,
            m_rho=row.density,
            init_std=row.init_std,
            learning_rate=row.learning_rate,
            weight_decay=row.weight_decay,
            epsilon=row.epsilon,
            forward_multiplier=row.forward_multiplier,
        )
        pairs = zip(astuple(says), astuple(trained), strict=True)
        if not all(math.isclose(said, right, rel_tol=AGREEMENT) for said, right in pairs):
            problem = f"says m_rho = {says.m_rho:.6g} for {row.name}, whose mask has {row.density:.6g}"
            raise InputError("recipe", row.name, problem, "transfer again: it is of an earlier version, or edited")
