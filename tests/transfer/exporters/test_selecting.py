"""Stacks that select by name: every parameter is in one group, the one with its numbers, and no pattern is idle."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
import torch
from torch import nn

from smupar_transfer.model import outline
from tests.model.conftest import gpt_spec
from tests.transfer.exporters.recipes import Case, case_of, cases, executed, numbers, text

WRAPPED = ("", "module.", "_orig_mod.", "module._orig_mod.")


@pytest.mark.parametrize("case", cases())
def test_torchtitan(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``OptimizersContainer._build_param_groups`` has it: the first pattern that is found, none without any."""
    config = executed(text(case, "torchtitan"), monkeypatch)["optimizer"]
    settings = case[0].optimizer
    unused = list(config.param_groups)
    for row in case[1]:
        found = [group for group in config.param_groups if re.search(group.pattern, row.name)]
        assert len(found) == 1, row.name
        assert found[0].optimizer_name == "AdamW"
        assert found[0].optimizer_kwargs == {**numbers(row), "betas": (settings.beta1, settings.beta2)}
        unused = [group for group in unused if group is not found[0]]
    assert unused == []


def test_torchtitan_sees_through_what_torch_wraps_around_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(gpt_spec(density=0.25))
    groups = executed(text(case, "torchtitan"), monkeypatch)["optimizer"].param_groups
    for row in case[1]:
        for start in WRAPPED:
            name = start + row.name.replace("blocks.1.", "blocks.1._checkpoint_wrapped_module._orig_mod.")
            (found,) = (group for group in groups if re.search(group.pattern, name))
            assert found.optimizer_kwargs["lr"] == row.learning_rate
    strangers = ("xtokens.weight", "tokens.weight.x", "tokensxweight", "blocks.one.mlp.up.weight")
    assert not [name for name in strangers for group in groups if re.search(group.pattern, name)]


@pytest.mark.parametrize("case", cases())
def test_olmo_core(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``OptimConfig.build_groups`` has it: a glob takes what no earlier one took, an idle one is an error."""
    config = executed(text(case, "olmo-core"), monkeypatch)["optim"]
    assert config.betas == (case[0].optimizer.beta1, case[0].optimizer.beta2)
    left = {row.name: row for row in case[1]}
    for group in config.group_overrides:
        for pattern in group.params:
            taken = [name for name in left if fnmatch(name, pattern)]
            assert taken, pattern
            for name in taken:
                assert group.opts == numbers(left.pop(name)), name
    assert left == {}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_hf_trainer_makes_the_optimizer(tied: bool, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from smupar_transfer.theory import OptimizerSettings

    spec = gpt_spec(density=0.3001, tied=tied, bias=True, optimizer=OptimizerSettings(optimizer, momentum=0.75))
    case, network = case_of(spec), outline(spec)
    network.tokens.weight.requires_grad_(False)  # type: ignore[union-attr]
    factory = executed(text(case, "hf-trainer"), monkeypatch)["PlannedOptimizer"]
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    rows = {row.name: row for row in case[1] if row.name != "tokens.weight"}
    made: torch.optim.Optimizer = factory()(network)
    assert type(made) is {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    for group in made.param_groups:
        for parameter in group["params"]:
            expected = numbers(rows.pop(names[id(parameter)]))
            assert {key: group[key] for key in expected if key in group} == {
                key: value for key, value in expected.items() if key in group
            }
        assert group.get("betas", (0.9, 0.95)) == (0.9, 0.95)
        assert group.get("momentum", 0.75) == 0.75
    assert rows == {}
    with pytest.raises(ValueError, match="the recipe is of another model"):
        factory()(nn.Linear(2, 2))


@pytest.mark.parametrize("case", cases())
def test_hf_trainer_has_every_parameter_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = executed(text(case, "hf-trainer"), monkeypatch)["GROUPS"]
    for row in case[1]:
        assert [made for pattern, made in groups if re.search(pattern, row.name)] == [numbers(row)]


def test_layers_alike_are_one_pattern() -> None:
    """Guards against files that grow with depth."""
    shallow, deep = (text(case_of(gpt_spec(depth=depth, density=0.25)), "torchtitan") for depth in (2, 12))
    assert len(shallow.splitlines()) == len(deep.splitlines())
    assert '"blocks.*.mlp.up.weight"' in deep
