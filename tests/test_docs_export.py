"""Every example of the page on export is what the package writes today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import smupar_transfer
from smupar_transfer.model import outline, plan_of, rules_of
from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.transfer import export_recipe, make_recipe
from smupar_transfer.transfer.exporters import EXPORTERS

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
TEXT = PAGE.read_text(encoding="utf-8")
SHOWN = 37
"""Lines of JSON that the page shows."""


def exported(to: str) -> str:
    """The page's recipe: a proxy of width 64, a target of width 256 in which an eighth of the weights stays."""
    spec = RunSpec(
        model=GPTSpec(width=256, depth=2, head_dim=32, vocab_size=256, context=64),
        base_width=64,
        sparsity=SparsitySpec(0.125),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.015625, 0.1, input_multiplier=4.0, output_multiplier=2.0, weight_decay=0.1),
        optimizer=OptimizerSettings(),
        data=DataSpec("none", "00", 1, 1),
        budget=BudgetSpec(steps=1, batch_size=1),
    )
    rows = plan_of(outline(spec), spec)
    text = export_recipe(make_recipe(rules_of(spec), spec.model, 64, spec.sparsity, rows, None), rows, to).text
    text = text.replace(f"smupar_transfer {smupar_transfer.__version__} for", "smupar_transfer for")
    return "\n".join(text.splitlines()[:SHOWN]) + "\n" if to == "json" else text


def example(to: str) -> str:
    section = re.search(rf"^## `{to}`.*?\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert section
    blocks: list[str] = re.findall(r"```\w+\n(.*?)```", section[1], flags=re.DOTALL)
    return blocks[0]


@pytest.mark.parametrize("to", EXPORTERS)
def test_the_example_is_what_is_written(to: str) -> None:
    assert example(to) == exported(to)


def test_every_format_has_a_row() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", TEXT, flags=re.MULTILINE) == list(EXPORTERS)


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "export_recipe" in block)
    exec(compile(code, "export.md", "exec"), {})
    assert (tmp_path / "groups.py").read_text(encoding="utf-8").startswith("# Written by smupar_transfer")
