"""What is exported: a recipe, or a plan of anybody's model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from smupar_transfer.records import MLPSpec, ModuleSpec
from smupar_transfer.theory import InputError, Role, ScaleFactors, parametrization
from smupar_transfer.transfer.exporters.exported import Exported
from smupar_transfer.transfer.parameters import ParameterPlan
from smupar_transfer.transfer.plan_data import PlanData
from smupar_transfer.transfer.recipe import Recipe


def of_recipe(recipe: Recipe, rows: Iterable[ParameterPlan]) -> Exported:
    """A recipe with what every parameter of its network is trained with."""
    rows = tuple(rows)
    ends = _multiplier(recipe, rows, Role.EMBEDDING), _multiplier(recipe, rows, Role.READOUT)
    return Exported(
        rows=rows,
        parametrization=recipe.parametrization,
        optimizer=recipe.optimizer,
        learning_rate=recipe.hparams.learning_rate,
        input_multiplier=ends[0],
        output_multiplier=ends[1],
        multiplied=tuple(_places(recipe, rows, *ends)),
        scale=f"width {recipe.base_width} -> {recipe.model.width}, density 1 -> {recipe.sparsity.density:g}",
        model=recipe.model,
    )


def of_plan(plan: PlanData) -> Exported:
    """A plan whose base hyperparameters are known.

    Raises:
        InputError: its learning rate or its weight decay is not.
    """
    for name in ("learning_rate", "weight_decay"):
        if getattr(plan.hparams, name) is None:
            remedy = "plan with hparams={'learning_rate': ..., 'weight_decay': ...}: files hold absolute numbers"
            raise InputError("hparams", name, "is not known", remedy)
    widths = sorted({row.m_d for row in plan.rows if row.role is Role.HIDDEN}) or [1.0]
    wider = " to ".join(dict.fromkeys(f"{width:g}" for width in (widths[0], widths[-1])))
    return Exported(
        rows=tuple(row.absolute for row in plan.rows),
        parametrization=plan.parametrization,
        optimizer=plan.optimizer,
        learning_rate=_known(plan.hparams.learning_rate),
        input_multiplier=plan.hparams.input_multiplier,
        output_multiplier=_output_multiplier(plan),
        multiplied=(
            *((f"{item.side} of {item.module}", item.factor) for item in plan.multipliers),
            *((f"scaling of {path}", factor) for path, factor in plan.attention.items()),
        ),
        scale=f"{len(plan.rows)} parameters, hidden weights {wider} times as wide as the base's",
    )


def _output_multiplier(plan: PlanData) -> float:
    """That of the readout, or of an embedding that is one, too."""
    own = next((row for row in plan.rows if row.role is Role.READOUT), None)
    if own is not None:
        return own.forward_multiplier
    shared = next((row for row in plan.rows if row.role is Role.EMBEDDING), None)
    power = parametrization(plan.parametrization)[Role.READOUT].forward_multiplier
    return plan.hparams.output_multiplier * (1 if shared is None else power.at(ScaleFactors(shared.m_d)))


def _multiplier(recipe: Recipe, rows: Sequence[ParameterPlan], role: Role) -> float:
    """That of the role's own row; a readout that is the embedding's own matrix has none, and grows as that does."""
    own = next((row for row in rows if row.role is role), None)
    if own is not None:
        return own.forward_multiplier
    shared = next((row for row in rows if row.role is Role.EMBEDDING), None)
    if shared is None:
        return recipe.roles[role].forward_multiplier
    return recipe.rules.scaled(role, ScaleFactors(shared.width)).forward_multiplier


def _places(
    recipe: Recipe, rows: Iterable[ParameterPlan], input_multiplier: float, output_multiplier: float
) -> Iterator[tuple[str, float]]:
    rows = list(rows)
    if not isinstance(recipe.model, ModuleSpec):
        layer = "input layer" if isinstance(recipe.model, MLPSpec) else "embeddings, positions among them"
        yield f"output of the {layer}", input_multiplier
        yield "input of the readout", output_multiplier
        return
    for row in rows:
        side = "input of its layer" if row.role is Role.READOUT else "output of an embedding, else input"
        yield f"{row.name}, {side}", row.forward_multiplier
    if not any(row.role is Role.READOUT for row in rows):
        yield "input of the tied readout", output_multiplier


def _known(value: float | None) -> float:
    assert value is not None  # the base's is known
    return value
