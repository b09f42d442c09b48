"""Recipes to export, and exported Python read again without the stacks that it is for."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from smupar_transfer.model import outline, plan_of, rules_of
from smupar_transfer.records import ModuleSpec, RunSpec
from smupar_transfer.transfer import ParameterPlan, Recipe, export_recipe, make_recipe
from tests.model.conftest import gpt_spec, mlp_spec

Case = tuple[Recipe, tuple[ParameterPlan, ...]]


def case_of(spec: RunSpec) -> Case:
    rows = plan_of(outline(spec), spec)
    return make_recipe(rules_of(spec), spec.model, spec.base_width, spec.sparsity, rows, None), rows


HUGGING_FACE = {
    "tokens.": "model.embed_tokens.",
    "positions.": "model.positions.",
    "blocks.": "model.layers.",
    "readout.": "lm_head.",
    "norm.": "model.norm.",
}


def own(case: Case) -> Case:
    """The same as a model of a person's own, with names as in transformers."""
    recipe, rows = case
    renamed = []
    for row in rows:
        start = next(start for start in HUGGING_FACE if row.name.startswith(start))
        renamed.append(replace(row, name=HUGGING_FACE[start] + row.name.removeprefix(start)))
    layers = {row.name: row.values for row in renamed}
    return replace(recipe, model=ModuleSpec(recipe.model.width, "ab" * 32, "task.py"), layers=layers), tuple(renamed)


def cases() -> list[Any]:
    made = {
        f"{table} at density {density}": gpt_spec(parametrization=table, density=density, bias=True)
        for table in ("sp", "sp_embedding", "mup", "smupar", "init_only", "lr_only")
        for density in (1.0, 0.25)
    }
    made |= {
        "layers of different densities": gpt_spec(density=0.3001, tied=False, positions="alibi"),
        "a hundred layers": gpt_spec(density=0.25, depth=12),
        "mlp": mlp_spec(density=0.25),
    }
    found = [pytest.param(case_of(spec), id=name) for name, spec in made.items()]
    return [*found, pytest.param(own(case_of(gpt_spec(density=0.25, tied=False))), id="one's own")]


def text(case: Case, to: str) -> str:
    return export_recipe(*case, to).text


def executed(code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names that exported Python defines; what it imports from stacks keeps its arguments and does nothing."""

    def held(**arguments: Any) -> SimpleNamespace:
        return SimpleNamespace(**arguments)

    titan, olmo = ModuleType("titan"), ModuleType("olmo")
    titan.__dict__.update(OptimizersContainer=SimpleNamespace(Config=held), ParamGroupConfig=held)
    olmo.__dict__.update(AdamWConfig=held, OptimGroupOverride=held)
    for name in ("torchtitan", "torchtitan.components", "torchtitan.components.optimizer"):
        monkeypatch.setitem(sys.modules, name, titan)
    for name in ("olmo_core", "olmo_core.optim"):
        monkeypatch.setitem(sys.modules, name, olmo)
    names: dict[str, Any] = {}
    exec(compile(code, "exported.py", "exec"), names)
    return names


def numbers(row: ParameterPlan) -> dict[str, float]:
    """A parameter's numbers, as torch's AdamW calls them."""
    return {"lr": row.learning_rate, "weight_decay": row.weight_decay, "eps": row.epsilon}
