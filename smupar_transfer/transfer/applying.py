"""A plan on a model: values rescaled, masks held, multipliers hooked, and a mark that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.densities import FOUND, GIVEN, MASK_SUFFIX, found_mask, held_mask
from smupar_transfer.transfer.evidence import dense_shapes
from smupar_transfer.transfer.held_masks import hold, release
from smupar_transfer.transfer.multiplying import add_hooks, fold_multipliers
from smupar_transfer.transfer.names import join, unwrapped
from smupar_transfer.transfer.plan_data import PlanData

MARK = "_smupar_digest"
"""Attribute of a model that a plan was applied to: the plan's digest."""
DIGEST = "smupar_plan"
"""Buffer of such a model that carries the digest into its ``state_dict``."""


class DigestCheck:
    """Refuses checkpoints of another plan.

    A bare model refuses the digest's key by itself, and a planned one misses it in a bare model's checkpoint.
    """

    def __call__(self, module: nn.Module, state_dict: dict[str, Any], prefix: str, *_rest: object) -> None:
        """As ``register_load_state_dict_pre_hook`` calls it.

        Raises:
            InputError: the checkpoint is of another plan.
        """
        theirs, ours = state_dict.get(prefix + DIGEST), module.__dict__.get(MARK)
        # not with the buffer: torch.distributed.checkpoint has read the file into it by now
        if theirs is None or ours is None or _hex(theirs) == ours:
            return
        problem = f"is of another plan ({_hex(theirs)[:8]}...) than this model ({ours[:8]}...)"
        raise InputError("checkpoint", DIGEST, problem, "apply the plan that the checkpoint was trained with")


def _hex(digest: Tensor) -> str:
    return bytes(digest.cpu().tolist()).hex()


def applied_digest(model: nn.Module) -> str | None:
    """The digest of the plan that was applied to a model, or to a model inside of wrappers; None if there is none."""
    return next((module.__dict__[MARK] for module in model.modules() if MARK in module.__dict__), None)


@torch.no_grad()
def apply_plan(plan: PlanData, model: nn.Module, *, digest: bool) -> None:
    """Make a model what a plan says. If anything is refused, nothing has changed.

    Args:
        plan: The plan.
        model: The model that was planned, or one like it, with the values that it drew for itself.
        digest: Whether checkpoints carry the plan's digest.

    Raises:
        InputError: a plan was applied before, or the model is not the one that was planned, or has no values.
    """
    if applied_digest(model) is not None:
        raise InputError("model", type(model).__name__, "has a plan applied already", "make a new model")
    parameters = dict(model.named_parameters())
    _require_same(plan, model)
    # whatever can be refused is looked at before the first value changes
    factors = {name: plan.initial[name].multiplier(name, values) for name, values in parameters.items()}
    masks = {name: _mask(plan, name, model) for name in plan.masks if not _holds_itself(model, name)}
    for name in masks:
        _require_room(model, name)
    for name, factor in factors.items():
        # frozen values stay: fixed positions, or what was loaded
        if factor != 1 and parameters[name].requires_grad:
            parameters[name].mul_(factor)
    for name, mask in masks.items():
        path, _, leaf = name.rpartition(".")
        hold(model.get_submodule(path), leaf, mask)
    add_hooks(model, plan.multipliers)
    for path, factor in plan.attention.items():
        model.get_submodule(path).scaling *= factor  # type: ignore[operator,assignment]
    model.__dict__[MARK] = plan.digest
    if digest:
        model.register_buffer(DIGEST, _bytes(plan.digest).to(next(iter(parameters.values())).device))
        model.register_load_state_dict_pre_hook(DigestCheck())  # type: ignore[no-untyped-call]


def _bytes(digest: str) -> Tensor:
    # with its device, since torch would take the default one, which may be meta
    return torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8, device="cpu")


def mark(model: nn.Module, digest: str) -> None:
    """Say of a planned model that it is under another plan now."""
    for module in model.modules():
        if MARK in module.__dict__:
            module.__dict__[MARK] = digest
            if DIGEST in module._buffers:
                module._buffers[DIGEST] = _bytes(digest).to(next(module.parameters()).device)


def _holds_itself(model: nn.Module, name: str) -> bool:
    held = held_mask(model, name)
    return held is not None and held[1]


def _mask(plan: PlanData, name: str, model: nn.Module) -> Tensor | None:
    """The mask to hold; None for the one that stands beside the weight already."""
    request = plan.masks[name]
    if request.structure == GIVEN:
        return plan.own_masks[name].clone()
    if request.structure == FOUND:
        return None if held_mask(model, name) is not None else found_mask(model, name)
    return request.draw(name, plan.seed)


def _require_room(model: nn.Module, name: str) -> None:
    """A mask takes the name of whatever else a module has under it."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    there = getattr(module, leaf + MASK_SUFFIX, None)
    shape = module.get_parameter(leaf).shape
    if hasattr(module, leaf + MASK_SUFFIX) and not (isinstance(there, Tensor) and there.shape == shape):
        raise InputError("model", name + MASK_SUFFIX, "is no mask of the weight beside it", "give it another name")


def _require_same(plan: PlanData, model: nn.Module) -> None:
    parameters, shapes = dict(model.named_parameters()), dense_shapes(model)
    names = {row.name for row in plan.rows}
    if strangers := [name for name in parameters if name not in names]:
        raise InputError("model", strangers[0], "is not in the plan", "apply the plan before anything wraps the model")
    for row in plan.rows:
        if row.name not in parameters:
            raise InputError("model", row.name, "is in the plan, and not in the model", "plan this model")
        if parameters[row.name].is_meta:
            raise InputError("model", row.name, "has no values yet (meta device)", "initialise the model, then apply")
        if shapes[row.name] != row.shape:
            problem = f"has shape {shapes[row.name]}, and {row.shape} in the plan"
            raise InputError("model", row.name, problem, "plan this model")


SCALING = "scaling"
"""Attribute of attention modules by which the products of queries and keys are multiplied."""


def _queries(path: str, module: nn.Module, factor: float) -> nn.Linear:
    """The layer whose outputs alone are the queries of an attention module.

    Raises:
        InputError: there is none, or a norm after it would undo what is multiplied into it.
    """
    layer = getattr(module, "q_proj", None)
    if isinstance(layer, nn.Linear) and not hasattr(module, "q_norm"):
        return layer
    problem = f"is {factor:.6g} times what the model's own code makes it, and no query weights can take that"
    raise InputError("model", f"{path}.scaling", problem, "keep the plan applied, or have heads of the base's size")


@torch.no_grad()
def _fold_attention(module: nn.Module, queries: nn.Linear, factor: float) -> None:
    # the bias as well: a query is the sum of both
    for parameter in queries.parameters(recurse=False):
        parameter.mul_(factor)
    module.scaling /= factor  # type: ignore[operator,assignment]


def fold_plan(model: nn.Module, attention: Mapping[str, float]) -> None:
    """Bake the multipliers of a planned model into its weights and leave it an ordinary model, for inference.

    Args:
        model: The model.
        attention: The factors that the plan put on the ``scaling`` of attention modules, by path.

    Raises:
        InputError: no plan was applied, or a factor of attention can be put into no weights.
    """
    if applied_digest(model) is None:
        raise InputError("model", type(model).__name__, "has no plan applied", "fold what plan.apply_ was called on")
    modules: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        # `unwrapped` leaves the last component alone, so that a module's path needs one behind it
        for path in unwrapped(join(name, SCALING)):
            modules.setdefault(path.removesuffix(SCALING).removesuffix("."), module)
    # whatever cannot be folded is refused before anything changes: here, and first of all in fold_multipliers
    scaled = [(modules[path], _queries(path, modules[path], factor), factor) for path, factor in attention.items()]
    fold_multipliers(model)
    for module, queries, factor in scaled:
        _fold_attention(module, queries, factor)
    release(model)
    for module in model.modules():
        module.__dict__.pop(MARK, None)
        if DIGEST in module._buffers:
            del module._buffers[DIGEST]
        for number, hook in list(module._load_state_dict_pre_hooks.items()):
            # torch puts an object of its own around such hooks
            if isinstance(getattr(hook, "hook", hook), DigestCheck):
                del module._load_state_dict_pre_hooks[number]
