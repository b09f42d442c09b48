"""``smupar explain``: the stable JSON shape, and numbers that follow the formulas."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from smupar_transfer.theory import Role
from smupar_transfer.transfer import read_recipe

Run = Callable[..., CompletedProcess[str]]
Rows = dict[str, dict[str, Any]]

TYPES = {
    "name": str,
    "shape": list,
    "role": str,
    "fan_in": int,
    "density": float,
    "init_std": float,
    "learning_rate": float,
    "weight_decay": float,
    "epsilon": float,
    "forward_multiplier": float,
}


@pytest.fixture
def explained(smupar: Run, tiny: tuple[str, ...]) -> Callable[..., Rows]:
    def run(*words: str) -> Rows:
        result = smupar("explain", *tiny, *words, "format=json")
        assert result.returncode == 0, result.stderr
        assert all(line.startswith("caution: ") for line in result.stderr.splitlines())
        return {row["name"]: row for row in json.loads(result.stdout)}

    return run


def test_json_is_a_list_of_objects_of_a_fixed_shape(explained: Callable[..., Rows]) -> None:
    rows = explained("target.width=64", "target.sparsity=0.75", "model.tied=false", "model.bias=true")
    for row in rows.values():
        assert {key: type(value) for key, value in row.items()} == TYPES
        assert list(row) == list(TYPES)
        assert all(type(extent) is int for extent in row["shape"])
    assert {row["role"] for row in rows.values()} == set(Role) == {"embedding", "hidden", "readout", "vector"}


def test_every_parameter_is_there_with_its_shape(explained: Callable[..., Rows]) -> None:
    rows = explained("target.width=64", "model.tied=false")
    assert {name: tuple(row["shape"]) for name, row in rows.items()} == {
        "tokens.weight": (256, 64),
        "blocks.0.attention_norm.weight": (64,),
        "blocks.0.attention.qkv.weight": (192, 64),
        "blocks.0.attention.out.weight": (64, 64),
        "blocks.0.mlp_norm.weight": (64,),
        "blocks.0.mlp.up.weight": (256, 64),
        "blocks.0.mlp.down.weight": (64, 256),
        "norm.weight": (64,),
        "readout.weight": (256, 64),
    }
    assert rows["blocks.0.mlp.down.weight"]["fan_in"] == 256
    assert rows["readout.weight"]["fan_in"] == 64


HPARAMS = {
    "learning_rate": 0.02,
    "init_std": 0.3,
    "input_multiplier": 5.0,
    "output_multiplier": 3.0,
    "weight_decay": 0.1,
}


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.75, 0.9375])
def test_smupar_scales_hidden_weights_by_width_and_density(explained: Callable[..., Rows], sparsity: float) -> None:
    """SuPar, arXiv 2405.15743, Table 1, at four times the proxy's width."""
    by_hand = [f"hparams.{name}={value}" for name, value in HPARAMS.items()]
    rows = explained("target.width=64", f"target.sparsity={sparsity}", "model.tied=false", *by_hand)
    m_d, m_rho = 4.0, 1 - sparsity
    for row in rows.values():
        hidden, vector = row["role"] == "hidden", row["role"] == "vector"
        fan_in = m_d * m_rho if hidden else 1.0
        assert row["density"] == (m_rho if hidden else 1.0)
        assert row["learning_rate"] == pytest.approx(0.02 / fan_in)
        assert row["init_std"] == pytest.approx(0.0 if vector else 0.3 / math.sqrt(fan_in))
        assert row["weight_decay"] == pytest.approx(0.0 if vector else 0.1 * fan_in)
        assert row["epsilon"] == pytest.approx(1e-8 / m_d)
        assert row["forward_multiplier"] == pytest.approx(
            {"embedding": 5.0, "readout": 3.0 / m_d}.get(row["role"], 1.0)
        )


def test_mup_ignores_density_and_sp_ignores_width_too(explained: Callable[..., Rows]) -> None:
    name, target = "blocks.0.mlp.up.weight", ("target.width=64", "target.sparsity=0.75")
    smupar, mup, sp = (explained(*target, f"parametrization={table}")[name] for table in ("smupar", "mup", "sp"))
    assert (mup["learning_rate"], mup["init_std"]) == (pytest.approx(2**-6 / 4), pytest.approx(0.1 / 2))
    assert (sp["learning_rate"], sp["init_std"]) == (2**-6, 0.1)
    assert smupar["learning_rate"] == pytest.approx(4 * mup["learning_rate"])
    dense_mup = explained("target.width=64", "parametrization=mup")[name]
    assert dense_mup["learning_rate"] == mup["learning_rate"]


def test_the_proxy_itself_gets_the_base_values(explained: Callable[..., Rows]) -> None:
    for row in explained("target=proxy").values():
        assert row["learning_rate"] == 2**-6
        assert row["init_std"] == (0.0 if row["role"] == "vector" else 0.1)
        assert row["epsilon"] == 1e-8


def test_weight_decay_may_be_coupled(explained: Callable[..., Rows]) -> None:
    words = ("target.width=64", "hparams.weight_decay=0.5", "optimizer.weight_decay_form=coupled")
    assert explained(*words)["blocks.0.mlp.up.weight"]["weight_decay"] == 0.5


def test_csv_says_the_same(smupar: Run, explained: Callable[..., Rows], tiny: tuple[str, ...]) -> None:
    words = ("target.width=64", "target.sparsity=0.75")
    rows = explained(*words)
    table = list(csv.DictReader(io.StringIO(smupar("explain", *tiny, *words, "format=csv").stdout)))
    assert [row["name"] for row in table] == list(rows)
    for row in table:
        assert list(row) == list(TYPES)
        assert [int(extent) for extent in row["shape"].split("x")] == rows[row["name"]]["shape"]
        for key in ("density", "init_std", "learning_rate", "weight_decay", "epsilon", "forward_multiplier"):
            assert float(row[key]) == rows[row["name"]][key]


def test_the_table_shows_the_rules_and_every_parameter(
    smupar: Run, explained: Callable[..., Rows], tiny: tuple[str, ...]
) -> None:
    result = smupar("explain", *tiny, "target.width=64", "target.sparsity=0.75")
    assert result.returncode == 0
    assert "m_d^-1 m_rho^-1" in result.stdout
    assert all(name in result.stdout for name in explained("target.width=64"))
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_a_recipe_explains_itself(explained: Callable[..., Rows], results: Path) -> None:
    roles = read_recipe(results / "recipe.yaml").roles
    for row in explained(f"recipe={results / 'recipe.yaml'}", "model.width=16").values():
        values = roles[Role(row["role"])]
        assert row["learning_rate"] == pytest.approx(values.learning_rate)
        assert row["init_std"] == pytest.approx(values.init_std)
        assert row["forward_multiplier"] == pytest.approx(values.forward_multiplier)


def test_a_giant_is_explained_without_its_memory(explained: Callable[..., Rows]) -> None:
    rows = explained("target.width=65536", "target.sparsity=0.999", "model.depth=2")
    assert rows["blocks.1.mlp.up.weight"]["shape"] == [262144, 65536]
