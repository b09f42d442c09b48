"""Networks of a person's own task: planned by ``transfer.plan``, as anybody's."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from smupar_transfer.model.tasks import KEY, task_of
from smupar_transfer.records import ModuleSpec, RunSpec
from smupar_transfer.theory import InputError, RelativeHyperparameters
from smupar_transfer.transfer import OpenRolesError, ParameterPlan, Plan, plan, sparsify_


def build_own(spec: RunSpec, model: ModuleSpec, backend: str) -> tuple[nn.Module, tuple[ParameterPlan, ...]]:
    """Make, plan and prepare a network; its masked linear layers are computed by a backend."""
    network = task_of(model.sha256).model(model.width, spec.seed)
    made = plan_own(network, spec, model)
    made.apply_(network)
    sparsify_(network, made, backend)  # after masks and values are there: it takes both over
    return network, rows_of(made)


def outline_own(spec: RunSpec, model: ModuleSpec) -> nn.Module:
    """The network without its memory, where the task's function can do without."""
    task = task_of(model.sha256)
    try:
        with torch.device("meta"):
            return task.model(model.width, spec.seed)
    except InputError:  # a model that looks at its own values cannot be made without them
        return task.model(model.width, spec.seed)


def plan_own(network: nn.Module, spec: RunSpec, model: ModuleSpec) -> Plan:
    """Plan a network against its task's model at the base's width.

    Where module types and shapes leave roles open, a forward pass of the base on a batch of the task decides.
    """
    task, hparams = task_of(model.sha256), spec.hparams
    relative = RelativeHyperparameters(
        learning_rate=hparams.learning_rate,
        init_scale=hparams.init_scale,
        input_multiplier=hparams.input_multiplier,
        output_multiplier=hparams.output_multiplier,
        weight_decay=hparams.weight_decay,
    )

    base = task.model(spec.base_width, spec.seed)
    _require_width(network, base, spec, model)

    def planned(sample: object) -> Plan:
        return plan(
            network,
            base,
            delta=_wider(model.sha256, spec.base_width),
            sample=sample,
            density=f"{spec.sparsity.mask}:{spec.sparsity.density!r}",
            roles=task.roles,
            parametrization=spec.parametrization,
            optimizer=spec.optimizer,
            hparams=relative,
            seed=spec.seed,
        )

    try:
        return planned(None)  # without a forward pass, which takes longer and needs a batch
    except OpenRolesError:
        batch = next(task.stream("train", spec.seed))
    try:
        return planned(lambda base: task.loss_of(base, batch))
    except OpenRolesError as error:
        names = ", ".join(parameter.name for parameter in error.parameters[:3])
        problem = f"leaves open what {len(error.parameters)} parameters do ({names}, ...)"
        where = "say it in the file" if task.key == KEY else "give"
        raise InputError(task.key, str(task.path), problem, f"{where}: {error.line}") from error


def _require_width(network: nn.Module, base: nn.Module, spec: RunSpec, model: ModuleSpec) -> None:
    """Refuse a function that makes the same model whatever the width: nothing would be scaled, and nobody told."""
    shapes = ({name: item.shape for name, item in module.named_parameters()} for module in (network, base))
    if model.width != spec.base_width and next(shapes) == next(shapes):
        task = task_of(model.sha256)
        problem = f"make_model({model.width}) and make_model({spec.base_width}) give parameters of the same shapes"
        raise InputError(task.key, str(task.path), problem, "make layers as wide as the width that it is given")


@lru_cache(maxsize=8)
def _wider(sha256: str, base_width: int) -> nn.Module:
    """The task's model at twice the base's width: what grows is seen on it, also where a run has the base's own."""
    return task_of(sha256).model(2 * base_width, 0)


def rows_of(made: Plan) -> tuple[ParameterPlan, ...]:
    """The rows of a plan as those of this package's own networks."""
    return tuple(row.absolute for row in made.rows)
