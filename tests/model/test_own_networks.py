"""Networks of a person's own task, planned against its model at the base's width."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.model import load_task, outline, plan_of
from smupar_transfer.records import BudgetSpec, DataSpec, ModuleSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings
from tests.model.test_tasks import TASK, written

ROLES = "\nroles = {'*.weight': 'hidden'}\n"
SAME = TASK.replace("3, width", "3, 16").replace("width, width", "16, 16").replace("width, 2", "16, 2")


def run_of(path: Path, width: int, base_width: int) -> RunSpec:
    task = load_task(path)
    return RunSpec(
        model=ModuleSpec(width, task.sha256, task.name),
        base_width=base_width,
        sparsity=SparsitySpec(),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.01, 1.0, 1.0, 1.0),
        optimizer=OptimizerSettings(),
        data=DataSpec("module", task.sha256, 0, 0, bytes_per_token=None, path=str(path)),
        budget=BudgetSpec(1, 1),
    )


@pytest.mark.parametrize("content", [SAME, SAME + ROLES], ids=["without roles", "with roles"])
def test_a_function_that_ignores_the_width_is_refused(tmp_path: Path, content: str) -> None:
    """Where roles were given, such a network used to be trained as if its target were wide."""
    spec = run_of(written(tmp_path, content), 32, 16)
    with pytest.raises(InputError, match=r"make_model\(32\) and make_model\(16\) give parameters of the same shapes"):
        plan_of(outline(spec), spec)


def test_the_base_itself_has_the_shapes_of_the_base(tmp_path: Path) -> None:
    spec = run_of(written(tmp_path), 16, 16)
    assert {row.learning_rate for row in plan_of(outline(spec), spec)} == {0.01}
