"""What docs/any-model.md says is so: its code runs in order, and its table is what tests plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from smupar_transfer.theory import Role
from smupar_transfer.transfer import plan
from smupar_transfer.transfer.densities import structure_of
from tests.transfer.architectures import ARCHITECTURES, BASE, WIDE

PAGE = (Path(__file__).parents[1] / "docs" / "any-model.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table, without its header."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the page's code has defined, and the plan as it was printed."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)):
            exec(compile(block, f"block {number}", "exec"), names)
            if number == 0:
                names["table"] = names["planned"].table()
    return names


def test_the_table_of_the_first_plan_is_what_is_printed(ran: dict[str, Any]) -> None:
    (shown,) = re.findall(r"```text\n(.*?)\n```", PAGE, flags=re.DOTALL)
    assert ran["table"] == shown


def test_the_roles_shown_are_those_that_gpt_oss_needs(ran: dict[str, Any]) -> None:
    (gpt_oss,) = (architecture for architecture in ARCHITECTURES if architecture.name == "GPT-OSS")
    assert ran["roles"] == gpt_oss.roles


def test_the_table_of_architectures_is_what_tests_plan() -> None:
    counted = [
        [item.name, str(sum(1 for _ in item.on_meta(WIDE).parameters())), str(len(item.roles)), "0"]
        for item in ARCHITECTURES
    ]
    assert rows("Fifteen architectures") == counted
    assert f"widths {BASE} and {WIDE} " in PAGE


def test_every_role_has_a_row() -> None:
    assert [row[0] for row in rows("What decides on a role")] == list(Role)


@pytest.mark.parametrize("cell", [row[0] for row in rows("`density=` and `masks=`")][:-2])
def test_every_density_shown_can_be_asked_for(cell: str) -> None:
    def make(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(16, width), nn.Linear(width, width), nn.Linear(width, 8))

    asked = cell.strip("`").strip('"')
    density: float | str = float(asked) if re.fullmatch(r"[\d.]+", asked) else asked
    planned = plan(make(256), make(64), density=density)
    assert planned["1.weight"].m_rho < 0.6
    structure = planned.masks["1.weight"].structure
    assert structure_of(structure) is not None
