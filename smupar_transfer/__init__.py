"""Hyperparameter transfer from small dense proxies to wide sparse networks.

The names below are the library's face. Each is imported from its room when it is first asked for, so that importing the
package is quick; the rooms themselves hold the rest (see docs/architecture.md).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smupar_transfer.records import RunRecord, RunSpec
    from smupar_transfer.reporting.outcome import Picture
    from smupar_transfer.reporting.registry import register_figure
    from smupar_transfer.sparsity import SparseLinear, change_mask, register_mask
    from smupar_transfer.sweeps.module_sweep import StabilitySweep, stability_sweep
    from smupar_transfer.theory import (
        BaseHyperparameters,
        InputError,
        Parametrization,
        RelativeHyperparameters,
        UpdateRule,
        register_parametrization,
    )
    from smupar_transfer.training import register_optimizer, register_tracker, run
    from smupar_transfer.training.module_check import CoordinateCheck, coordinate_check
    from smupar_transfer.transfer import (
        OpenRolesError,
        Plan,
        PlanRow,
        Recipe,
        Rules,
        export_recipe,
        initialise,
        parameter_groups,
        plan,
        plan_parameters,
        read_recipe,
        role_table,
        sparsify_,
    )

__version__ = "0.2.0"

_ROOMS = {
    "records": ("RunRecord", "RunSpec"),
    "reporting.outcome": ("Picture",),
    "reporting.registry": ("register_figure",),
    "sparsity": ("SparseLinear", "change_mask", "register_mask"),
    "sweeps.module_sweep": ("StabilitySweep", "stability_sweep"),
    "theory": (
        "BaseHyperparameters",
        "InputError",
        "Parametrization",
        "RelativeHyperparameters",
        "UpdateRule",
        "register_parametrization",
    ),
    "training": ("register_optimizer", "register_tracker", "run"),
    "training.module_check": ("CoordinateCheck", "coordinate_check"),
    "transfer": (
        "OpenRolesError",
        "Plan",
        "PlanRow",
        "Recipe",
        "Rules",
        "export_recipe",
        "initialise",
        "parameter_groups",
        "plan",
        "plan_parameters",
        "read_recipe",
        "role_table",
        "sparsify_",
    ),
}

__all__ = [
    "BaseHyperparameters",
    "CoordinateCheck",
    "InputError",
    "OpenRolesError",
    "Parametrization",
    "Picture",
    "Plan",
    "PlanRow",
    "Recipe",
    "RelativeHyperparameters",
    "Rules",
    "RunRecord",
    "RunSpec",
    "SparseLinear",
    "StabilitySweep",
    "UpdateRule",
    "change_mask",
    "coordinate_check",
    "export_recipe",
    "initialise",
    "parameter_groups",
    "plan",
    "plan_parameters",
    "read_recipe",
    "register_figure",
    "register_mask",
    "register_optimizer",
    "register_parametrization",
    "register_tracker",
    "role_table",
    "run",
    "sparsify_",
    "stability_sweep",
]


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
