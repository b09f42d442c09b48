"""The numbers that a planned network is trained with, by formula, and constants that are folded into them."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan, plan
from tests.transfer.networks import HPARAMS, batch, make, planned

WIDTH, DENSITY = 2.0, 0.25
FAN_IN = WIDTH * DENSITY


def _by_name(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: group for group in groups for name, _ in group["params"]}


def test_adam_rates_decays_and_epsilons_follow_the_formulas() -> None:
    made, network = planned()
    groups = _by_name(made.groups(network))
    expected = {
        "first.weight": (1, 1, 1 / WIDTH),
        "first.bias": (1, 0, 1 / WIDTH),
        "blocks.0.weight": (1 / FAN_IN, FAN_IN, 1 / WIDTH),
        "blocks.1.bias": (1, 0, 1 / WIDTH),
        "norm.weight": (1, 0, 1 / WIDTH),
        "head.bias": (1, 0, 1),
    }
    # multipliers of the ends are hooks: their weights are trained at the base's own rate
    expected["head.weight"] = (1, 1, 1 / WIDTH)
    for name, (rate, decay, epsilon) in expected.items():
        group = groups[name]
        assert group["lr"] == group["peak_learning_rate"] == pytest.approx(0.01 * rate), name
        assert group["lr_multiplier"] == pytest.approx(rate), name
        assert group["weight_decay"] == pytest.approx(0.1 * decay), name
        assert group["eps"] == pytest.approx(1e-8 * epsilon), name
        assert made[name].learning_rate == group["lr"]


def test_sgd_rates_follow_the_formulas() -> None:
    made, network = planned(optimizer="sgd")
    groups = _by_name(made.groups(network))
    expected = {"first.weight": WIDTH, "blocks.0.weight": 1 / DENSITY, "head.weight": WIDTH, "norm.bias": WIDTH}
    for name, rate in expected.items():
        assert groups[name]["lr"] == pytest.approx(0.01 * rate), name
        decay = 0.0 if made[name].role == "vector" else 0.1 / rate
        assert groups[name]["weight_decay"] == pytest.approx(decay), name


def test_initial_values_multipliers_and_masks_follow_the_formulas() -> None:
    network, base = make("mlp", 512), make("mlp", 128, seed=1)
    bare = copy.deepcopy(network)
    made = plan(network, base, density=DENSITY, hparams={**HPARAMS, "init_scale": 1.5})
    made.apply_(network)
    # torch draws hidden weights with a variance of 1 / (3 fan_in): by itself what muP asks for, density apart
    weight, mask = network.blocks[0].weight, network.blocks[0].weight_mask
    torch.testing.assert_close(weight[mask], bare.blocks[0].weight[mask] * 1.5 / math.sqrt(DENSITY))
    assert float(weight.detach()[mask].std()) == pytest.approx(1.5 / math.sqrt(3 * 512 * DENSITY), rel=0.02)
    # and so it draws the readout's, whose multiplier stands for the width
    torch.testing.assert_close(network.head.weight, bare.head.weight * 1.5 * math.sqrt(512 / 128))
    torch.testing.assert_close(network.first.weight, bare.first.weight * 1.5)
    assert {(hook.module, hook.side, hook.factor) for hook in made.multipliers} == {
        ("first", "input", 3.0),
        ("head", "input", 2.0 * 128 / 512),
    }


@pytest.mark.parametrize("given", ["learning_rate", "weight_decay"])
def test_rates_and_decays_of_groups_win_over_those_of_the_plan(given: str) -> None:
    made, network = planned()
    groups = made.groups(network, **{given: 0.3})
    for group in groups:
        (factor,) = {getattr(made[name], f"{given}_factor") for name, _ in group["params"]}
        assert group["lr" if given == "learning_rate" else given] == pytest.approx(0.3 * factor)
    made.check(torch.optim.AdamW(groups))


def test_without_a_decay_groups_have_none_and_without_a_rate_they_are_refused() -> None:
    made, network = planned(hparams=None)
    with pytest.raises(InputError, match="learning_rate=None: is not known"):
        made.groups(network)
    groups = made.groups(network, learning_rate=0.1)
    assert all("weight_decay" not in group and "weight_decay_multiplier" not in group for group in groups)


def test_hyperparameters_are_read_from_files(tmp_path: Path) -> None:
    file = tmp_path / "tuned.yaml"
    for text in (
        "learning_rate: 0.02\noutput_multiplier: 4\n",
        "hparams:\n  learning_rate: 0.02\n  output_multiplier: 4\n",
    ):
        file.write_text(text)
        for path in (file, str(file)):
            made, network = planned(hparams=path)
            assert _by_name(made.groups(network))["first.weight"]["lr"] == 0.02
            assert made.hparams.output_multiplier == 4


def test_plans_go_through_files_whole(tmp_path: Path) -> None:
    own = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) < 0.3
    for options in ({"masks": {"blocks.0.weight": own}}, {"density": 1.0}, {"density": "2:4"}, {"optimizer": "sgd"}):
        made, network = planned(**options)
        made.save(tmp_path / "plan.json")
        loaded = Plan.load(tmp_path / "plan.json")
        assert loaded == made
        assert loaded.digest == made.digest
        assert loaded.diff(made) == []
        assert (loaded.table(), loaded.json(), loaded.csv(), loaded.html()) == (
            made.table(),
            made.json(),
            made.csv(),
            made.html(),
        )
        fresh = make("mlp", 32)
        loaded.apply_(fresh)
        assert all(torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items())


def test_masks_that_keep_everything_are_no_masks(tmp_path: Path) -> None:
    made, _ = planned(density=1.0, masks={"blocks.0.weight": torch.ones(32, 32, dtype=torch.bool)})
    assert made["blocks.0.weight"].m_rho == 1
    made.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json").digest == made.digest


def test_differences_say_what_trains_otherwise() -> None:
    made, _ = planned()
    other, _ = planned(density={"blocks.0.*": 0.5}, hparams={**HPARAMS, "output_multiplier": 1.0})
    lines = made.diff(other)
    assert any(line.startswith("blocks.0.weight: m_rho 0.25 -> 0.5") for line in lines)
    assert any(line.startswith("multipliers: ") for line in lines)
    assert not any(line.startswith("norm.") for line in lines)
    seeded, _ = planned(seed=0)
    drawn = plan(make("mlp", 32), make("mlp", 16, seed=100), density=0.25, hparams=HPARAMS, seed=1)
    assert seeded.diff(drawn) == ["masks or seeds differ, nothing else"]


def test_names_of_wrappers_are_seen_through_and_names_that_look_like_them_are_not() -> None:
    made, _ = planned()
    for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module._fsdp_wrapped_module."):
        assert made[f"{prefix}blocks.0.weight"] == made["blocks.0.weight"]
    assert made["blocks.0._checkpoint_wrapped_module.weight"] == made["blocks.0.weight"]
    with pytest.raises(InputError, match="is not in the plan"):
        made["modules.blocks.0.weight"]

    class Holder(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.module = make("mlp", width)

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x)  # type: ignore[no-any-return]

    held = plan(Holder(32), Holder(16))
    for name in ("module.head.weight", "module.module.head.weight", "_orig_mod.module.head.weight"):
        assert held[name].name == "module.head.weight"


class Recurrent(nn.Module):
    """An LSTM with input weights at the end of the network, and a readout within a block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell = nn.LSTM(4, width, batch_first=True)
        self.blocks = nn.ModuleList([Gated(width)])
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks[0](self.cell(x)[0]))  # type: ignore[no-any-return]


class Gated(nn.Module):
    """Four experts and a router among them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.router(x).softmax(-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outputs * weights[..., None, :]).sum(-1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_constants_that_no_hook_can_multiply_are_folded_into_the_same_training(optimizer: str) -> None:
    """W times c in the forward pass, against w = c W at the rates that the plan gives w."""
    rate, decay, alpha, width = 0.05, 0.1, 3.0, 4.0
    hparams = {"learning_rate": rate, "weight_decay": decay, "input_multiplier": alpha}
    torch.manual_seed(0)
    folded, base = Recurrent(32).double(), Recurrent(8).double()
    made = plan(folded, base, optimizer=optimizer, hparams=hparams)
    made.apply_(folded)
    constants = {"cell.weight_ih_l0": alpha, "blocks.0.router.weight": 1 / width}
    assert made["blocks.0.router.weight"].role == "readout"
    assert made["cell.weight_ih_l0"].role == "embedding"
    assert not made.multipliers or all(hook.module == "head" for hook in made.multipliers)

    hooked = _hooked(folded, constants)
    # what the table says of a weight whose output is multiplied with the constant
    ratio = 1.0 if optimizer == "adamw" else width
    own = {"lr": rate * ratio, "weight_decay": decay / ratio, "eps": 1e-8 / width}
    groups = [
        {"params": [_original(hooked, name)], **own}
        if name in constants
        else {**group, "params": [hooked.get_parameter(name)]}
        for group in made.groups(folded)
        for name, _ in group["params"]
    ]
    ours = _optimizer(optimizer, made.groups(folded))
    theirs = _optimizer(optimizer, groups)
    for step in range(10):
        x = torch.randn(4, 6, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        outputs = [network(x) for network in (folded, hooked)]
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-12)
        for output, trained in zip(outputs, (ours, theirs), strict=True):
            trained.zero_grad()
            (output - 1).square().mean().backward()
            trained.step()


def _hooked(folded: nn.Module, constants: dict[str, float]) -> nn.Module:
    """The same function, with constants that multiply some weights in every forward pass."""
    hooked = copy.deepcopy(folded)
    for name, constant in constants.items():
        with torch.no_grad():
            hooked.get_parameter(name).div_(constant)
        path, _, leaf = name.rpartition(".")
        nn.utils.parametrize.register_parametrization(hooked.get_submodule(path), leaf, _Constant(constant))
    return hooked


def _original(hooked: nn.Module, name: str) -> nn.Parameter:
    path, _, leaf = name.rpartition(".")
    return hooked.get_parameter(f"{path}.parametrizations.{leaf}.original")


class _Constant(nn.Module):
    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.constant


def _optimizer(name: str, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups) if name == "adamw" else torch.optim.SGD(groups, momentum=0.9)


def test_a_hooked_end_trains_as_its_folded_multiplier_would() -> None:
    _, network = planned("mlp", density=1.0)
    x = batch("mlp")
    expected = network(x)
    with torch.no_grad():
        hidden = network.first.weight * 3.0 @ x.T + network.first.bias[:, None]
        for block in network.blocks:
            hidden = hidden + nn.functional.gelu(block.weight @ hidden + block.bias[:, None])
        logits = network.head.weight * (2 / WIDTH) @ network.norm(hidden.T).T + network.head.bias[:, None]
    torch.testing.assert_close(logits.T, expected)


@pytest.mark.parametrize("head_first", [True, False])
def test_tied_weights_are_the_same_whichever_module_comes_first(head_first: bool) -> None:
    class Tied(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            tokens, head = nn.Embedding(7, width), nn.Linear(width, 7, bias=False)
            head.weight = tokens.weight
            for name, module in sorted({"tokens": tokens, "head": head}.items(), reverse=not head_first):
                self.add_module(name, module)

    hparams = {"learning_rate": 0.1, "input_multiplier": 3.0, "output_multiplier": 5.0}
    made = plan(Tied(32), Tied(8), hparams=hparams)
    (row,) = made.rows
    assert row.role == "embedding"
    assert {(hook.module, hook.side, hook.factor) for hook in made.multipliers} == {
        ("tokens", "output", 3.0),
        ("head", "input", 5 / 4),
    }


def test_an_optimizer_that_scales_rates_with_weights_is_refused() -> None:
    """Guards against a width that counts twice: the size of a weight shrinks with it, too."""
    model = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 3))
    made = plan(model, nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 3)))
    made.apply_(model)
    groups = made.groups(model, learning_rate=0.01)
    made.check(torch.optim.AdamW(groups))
    with pytest.raises(InputError, match="optimizer=Adafactor: moves a weight by its rate times the weight's own size"):
        made.check(torch.optim.Adafactor([{**group, "eps": (None, 1e-3)} for group in groups]))
