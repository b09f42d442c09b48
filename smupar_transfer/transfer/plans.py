"""A plan, and what can be done with it: applied, trained with, checked, shown, saved, compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from smupar_transfer.transfer.applying import apply_plan, fold_plan
from smupar_transfer.transfer.exporters import Export, export_plan
from smupar_transfer.transfer.grouping import check_ratios, make_groups
from smupar_transfer.transfer.plan_data import PlanData
from smupar_transfer.transfer.plan_files import plan_differences, read_plan, write_plan
from smupar_transfer.transfer.plan_text import as_csv, as_html, as_json, as_table
from smupar_transfer.transfer.scheduling import ProportionalSchedule
from smupar_transfer.transfer.updating import updated_plan


class Plan(PlanData):
    """What every parameter of a model is initialised and trained with, by name.

    Made by ``plan``; nothing of it changes. It names parameters and does not hold them, so it outlives sharding,
    compiling, copying and pickling of the model.
    """

    def apply_(self, model: nn.Module, *, digest: bool = True) -> None:
        """Rescale initial values, hold masks, hook multipliers. Before the model is wrapped, sharded or compiled.

        Args:
            model: The model that was planned, with the values that it drew for itself.
            digest: Whether its ``state_dict`` carries the plan's digest, so that it loads beside this plan alone.

        Raises:
            InputError: a plan was applied before, or the model is not the one that was planned, or has no values;
                nothing has changed then.
        """
        apply_plan(self, model, digest=digest)

    def groups(
        self, model: nn.Module, learning_rate: float | None = None, weight_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """Parameter groups with absolute learning rates, for any optimizer of PyTorch's kind.

        To be called after the model was wrapped, sharded or compiled. Parameters that are frozen are left out.

        Args:
            model: The model, in whatever wrapper.
            learning_rate: The base's peak rate, in place of that of ``hparams``.
            weight_decay: The base's, in place of that of ``hparams``. Where neither says one, groups have none, and
                the optimizer's own holds for all parameters alike, unscaled.

        Returns:
            Groups of named parameters, each with ``lr``, ``lr_multiplier`` (over the base's), ``eps`` and, where it is
            known, ``weight_decay``.

        Raises:
            InputError: no base rate is known, or the plan was not applied to this model.
        """
        return make_groups(self, model, learning_rate, weight_decay)

    def check(self, optimizer: Optimizer) -> None:
        """Make sure that learning rates still have the ratios of the plan, whatever a schedule has done.

        Raises:
            InputError: they have not; the message names the group and the likely cause.
        """
        check_ratios(self, optimizer)

    def schedule(self, optimizer: Optimizer, make: Callable[[Optimizer], Any]) -> ProportionalSchedule:
        """A schedule that keeps the ratios: it moves the base rate, and every group's follows.

        Args:
            optimizer: One made from this plan's groups.
            make: Makes the schedule, as in ``lambda base: CosineAnnealingLR(base, 100, eta_min=1e-5)``.
        """
        return ProportionalSchedule(optimizer, make)

    def update_(self, model: nn.Module, optimizer: Optimizer) -> Plan:
        """Follow masks that changed: rates follow densities, and what is off the masks is taken away.

        Masks are the buffers ``<parameter>_mask``: write the new one into them, or register one beside a hidden weight
        that had none; or prune again what ``torch.nn.utils.prune`` had pruned. Then call this. Weights that are new
        start at zero, with moments of zero. Initial values are not touched. The optimizer's groups become those that
        the new plan would make; schedules of ``schedule`` go on, PyTorch's own may remember the rates of the old ones.

        Args:
            model: A model that this plan was applied to.
            optimizer: The one that trains it, made from this plan's groups.

        Returns:
            The plan that holds from now on.

        Raises:
            InputError: the plan was not applied to this model, or a mask leaves no weight.
        """
        return updated_plan(self, model, optimizer)

    def fold_(self, model: nn.Module) -> None:
        """Bake the multipliers into the weights: the same function without hooks, masks and digest, for inference.

        Where the plan scales attention, query projections (``q_proj``) take the factor, and ``scaling`` is again what
        the model's own code makes it.

        Raises:
            InputError: no plan was applied to the model, or an attention that the plan scales has no query projection
                of its own; nothing has changed then.
        """
        fold_plan(model, self.attention)

    def table(self, width: int = 100) -> str:
        """The plan as a table of text; rows that differ by a number in their name alone stand in one line."""
        return as_table(self, width)

    __str__ = table

    def json(self) -> str:
        """The rows as a JSON list of objects."""
        return as_json(self)

    def csv(self) -> str:
        """The rows as CSV, with a heading."""
        return as_csv(self)

    def html(self) -> str:
        """The rows as an HTML table, which notebooks show."""
        return as_html(self)

    _repr_html_ = html  # the name that notebooks look for

    def export(self, to: str) -> Export:
        """The plan as the configuration of another training stack, in absolute numbers; see docs/export.md.

        Args:
            to: The name of a stack that selects parameters by name (``torchtitan``, ``olmo-core``, ``axolotl``,
                ``hf-trainer``), or ``json``.

        Raises:
            InputError: there is no such format, that stack needs a recipe, or ``hparams`` had no learning rate or no
                weight decay.
        """
        return export_plan(self, to)

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON, masks of a person's own included.

        Raises:
            InputError: the file cannot be written.
        """
        write_plan(Path(path), self)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read what ``save`` wrote.

        Raises:
            InputError: there is no such file, or it holds something else.
        """
        return read_plan(Path(path), cls)

    def diff(self, other: PlanData) -> list[str]:
        """What another plan says otherwise, a line each; empty if both train alike."""
        return plan_differences(self, other)
