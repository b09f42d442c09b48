"""The formats that there are, and the one way to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from smupar_transfer.theory import ClipNorm, InputError, close_words
from smupar_transfer.transfer.exporters.axolotl import to_axolotl
from smupar_transfer.transfer.exporters.cerebras import to_cerebras
from smupar_transfer.transfer.exporters.exported import Export, Exported
from smupar_transfer.transfer.exporters.hf_trainer import to_hf_trainer
from smupar_transfer.transfer.exporters.megatron import to_megatron
from smupar_transfer.transfer.exporters.nanogpt_mup import to_nanogpt_mup
from smupar_transfer.transfer.exporters.olmo_core import to_olmo_core
from smupar_transfer.transfer.exporters.plain_json import to_json
from smupar_transfer.transfer.exporters.sources import of_plan, of_recipe
from smupar_transfer.transfer.exporters.torchtitan import to_torchtitan
from smupar_transfer.transfer.parameters import ParameterPlan
from smupar_transfer.transfer.plan_data import PlanData
from smupar_transfer.transfer.recipe import Recipe

EXPORTERS: Mapping[str, Callable[[Exported], Export]] = MappingProxyType(
    {
        "json": to_json,
        "nanogpt-mup": to_nanogpt_mup,
        "megatron": to_megatron,
        "cerebras": to_cerebras,
        "torchtitan": to_torchtitan,
        "olmo-core": to_olmo_core,
        "axolotl": to_axolotl,
        "hf-trainer": to_hf_trainer,
    }
)
"""Every exporter, by the word that chooses it."""


def require_format(to: str) -> None:
    """Refuse a word that is no format.

    Raises:
        InputError: it is none.
    """
    if to not in EXPORTERS:
        close = close_words(str(to), EXPORTERS)
        remedy = f"did you mean {close[0]}?" if close else ""
        raise InputError("to", to, f"is not one of {', '.join(EXPORTERS)}", remedy)


def export_recipe(recipe: Recipe, rows: Iterable[ParameterPlan], to: str) -> Export:
    """Write a recipe as the configuration of another training stack, in absolute numbers.

    Args:
        recipe: The recipe.
        rows: What every parameter of its network is trained with, as ``plan_parameters`` says it.
        to: The name of a format, one of ``EXPORTERS``.

    Returns:
        The file's text, and what that stack cannot say.

    Raises:
        InputError: there is no such format, or that stack cannot train the recipe.
    """
    require_format(to)
    return EXPORTERS[to](_clipped_as_there(of_recipe(recipe, rows), to))


def export_plan(plan: PlanData, to: str) -> Export:
    """The same for a plan of anybody's model.

    Raises:
        InputError: there is no such format, that stack needs a recipe, or base hyperparameters are not known.
    """
    require_format(to)
    return EXPORTERS[to](_clipped_as_there(of_plan(plan), to))


def _clipped_as_there(exported: Exported, to: str) -> Exported:
    """Refuse a clip that no other stack has: they all bound the norm of all gradients together."""
    if exported.optimizer.clip_norm is not ClipNorm.GLOBAL and to != "json":
        problem = f"is a norm that to={to} does not clip by"
        raise InputError("optimizer.clip_norm", exported.optimizer.clip_norm, problem, "to=json names it")
    return exported
