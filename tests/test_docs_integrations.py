"""What docs/integrations.md says is so: its code runs section by section, and its table is what tests check."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from smupar_transfer import plan
from tests.hugging_face import transformers
from tests.training.test_integrations import INTEGRATIONS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", PAGE, flags=re.MULTILINE))
NAMES = {
    "GPT-2": "gpt2_loop",
    "Llama": "llama_trainer",
    "Mixtral": "mixtral",
    "classifier of the Lightning script": "lightning_module",
    "residual network": "resnet_digits",
    "classifier of the script on pruning": "pruned_model",
}


def run(section: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the code of a section, with what earlier ones have defined."""
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", SECTIONS[section], flags=re.DOTALL)):
        exec(compile(block, f"{section}, block {number}", "exec"), names)
    return names


def cells(section: str) -> list[list[str]]:
    """The cells of a section's table, without its header."""
    lines = [line.strip("| ").split("|") for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_the_code_for_hugging_face_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = transformers()
    monkeypatch.chdir(tmp_path)
    names = run("Hugging Face: GPT-2 in a loop", {})
    loaded = package.GPT2LMHeadModel.from_pretrained("sparse-gpt2")
    tokens = torch.arange(16).view(2, 8)
    torch.testing.assert_close(loaded(tokens).logits, names["model"].eval()(tokens).logits)
    names = run("Hugging Face: Llama with `Trainer`", names)
    make_optimizer, options = names["chosen"]
    names["planned"].check(make_optimizer()(names["model"], **options))


def test_the_code_for_residual_networks_runs() -> None:
    make = importlib.import_module("examples.resnet_digits").make
    planned = run("Residual networks", {"make": make, "plan": plan})["planned"]
    assert planned["3.conv1.weight"].m_rho == 0.125
    assert not planned.cautions


def test_the_code_for_pruned_models_runs() -> None:
    module: Any = importlib.import_module("examples.pruned_model")
    model = module.make(256)
    dense = plan(model, module.make(64))
    dense.apply_(model)
    optimizer = module.optimizer_of(dense, model)
    code = SECTIONS["Pruned models"]
    first, second = re.findall(r"```python\n(.*?)```", code, flags=re.DOTALL)
    names: dict[str, Any] = {"make": module.make, "plan": plan}
    exec(first, names)
    assert [names["planned"][f"{path}.weight_orig"].m_rho for path in (2, 4)] == [0.5, 0.125]
    names = {"planned": dense, "model": model, "optimizer": optimizer}
    exec(second, names)
    assert [names["planned"][f"{path}.weight"].m_rho for path in (2, 4)] == [0.25, 0.25]


def test_the_table_of_verdicts_is_what_tests_check() -> None:
    shown = {NAMES[name]: (widths, densities) for name, widths, densities, *_ in cells("Do sizes stay put?")}
    said = {
        name: (
            ", ".join(map(str, each.widths)),
            f"{', '.join(map(str, each.densities))} at {each.density_width}",
        )
        for name, each in INTEGRATIONS.items()
    }
    assert shown == said


def test_every_script_of_the_page_is_an_example() -> None:
    scripts = re.findall(r"\]\(\.\./examples/(\w+)\.py\)", PAGE)
    assert sorted(scripts) == sorted(INTEGRATIONS)
