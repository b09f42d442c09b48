"""Sizes at parameters that no layer of their own computes with, against those of layers with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.theory import Role
from smupar_transfer.training.module_check import coordinate_check
from smupar_transfer.training.module_coordinates import AnyProbe, module_probes

WEIGHT = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
INPUTS = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
Forward = Callable[[Tensor, Tensor], Tensor]

FORMS: dict[str, Forward] = {
    "linear": F.linear,
    "linear with a bias": lambda inputs, weight: F.linear(inputs, weight, torch.ones(6)),
    "matmul": lambda inputs, weight: inputs @ weight.T,
    "the other way round": lambda inputs, weight: (weight @ inputs.mT).mT,
    "mm": lambda inputs, weight: torch.mm(inputs, weight.transpose(0, 1)),
    "addmm": lambda inputs, weight: torch.addmm(torch.ones(6), inputs, weight.t()),
    "bmm": lambda inputs, weight: torch.bmm(inputs[None], weight.t()[None])[0],
    "einsum": lambda inputs, weight: torch.einsum("bi,oi->bo", inputs, weight),
    "rows apart": lambda inputs, weight: torch.cat([F.linear(inputs, part) for part in weight.chunk(2)], dim=1),
    "a selected part": lambda inputs, weight: F.linear(inputs, weight[torch.arange(6)]),
    "reshaped": lambda inputs, weight: F.linear(inputs, weight.reshape(2, 3, 4).view(6, 4)),
}


class Raw(nn.Module):
    """Computes with a parameter of its own."""

    def __init__(self, form: Forward) -> None:
        super().__init__()
        self.raw, self._form = nn.Parameter(WEIGHT.clone()), form

    def forward(self, inputs: Tensor) -> Tensor:
        return self._form(inputs, self.raw)


class Layered(nn.Module):
    """Computes with a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6, bias=False)
        self.layer.weight = nn.Parameter(WEIGHT.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = self.layer(inputs)
        return made


def measured(network: nn.Module, name: str, steps: int = 2) -> AnyProbe:
    """The only probe of a network after some steps of training, and one more pass."""
    rows: Any = [SimpleNamespace(name=name, role=Role.HIDDEN)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with module_probes(network, rows) as probes:
        (probe,) = probes.values()
        for step in range(steps + 1):
            optimizer.zero_grad()
            network(INPUTS).square().mean().backward()
            if step < steps:
                probe.before_step()
                optimizer.step()
                probe.after_step()
    sizes: AnyProbe = probe
    return sizes


SIZES = ("activation", "gradient", "update")
CASES = [
    (form, size)
    for form in FORMS
    for size in SIZES
    # a bias moves gradients, which this loss makes of outputs; parts of the rows pass gradients back apart
    if not (form in ("linear with a bias", "addmm") and size != "activation")
    if (form, size) != ("rows apart", "gradient")
]


@pytest.mark.parametrize(("form", "size"), CASES)
def test_sizes_are_those_of_a_layer_with_the_same_weights(form: str, size: str) -> None:
    ours, theirs = measured(Raw(FORMS[form]), "raw"), measured(Layered(), "layer.weight")
    assert len(ours.activation) == 3
    same = 3 if (form, "update") in CASES else 1  # a bias trains the weight otherwise from the first step on
    assert getattr(ours, size)[:same] == pytest.approx(getattr(theirs, size)[:same], rel=1e-5)


@pytest.mark.parametrize(
    "form", [lambda inputs, weight: inputs @ (weight * 2).T, lambda inputs, weight: inputs[:, :1] * weight[:, 0]]
)
def test_what_is_no_product_with_the_parameter_is_not_measured(form: Forward) -> None:
    assert measured(Raw(form), "raw").activation == []


class Experts(nn.Module):
    """Two experts in one tensor, each of which gets half of the examples."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stack = nn.Parameter(torch.randn(2, width, width) / width**0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.cat([F.linear(part, self.stack[index]) for index, part in enumerate(hidden.chunk(2))])


class Twice(nn.Module):
    """Multiplies a parameter with a number before it computes: what that does is not known."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(width, width) / width**0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden @ (self.matrix * 1.0).T


def network(width: int) -> nn.Sequential:
    ends = nn.Linear(10, width), nn.Linear(width, 3)
    return nn.Sequential(ends[0], nn.Tanh(), Experts(width), nn.Tanh(), nn.Linear(width, width), Twice(width), ends[1])


def test_a_check_measures_experts_and_says_what_it_leaves_out() -> None:
    batch = torch.randn(64, 10, generator=torch.Generator().manual_seed(2))
    made = coordinate_check(
        network,
        batch,
        widths=(64, 128, 256),
        loss=lambda model, batch: model(batch).square().mean(),
        parametrizations=["sp", "smupar"],
        sample=batch[:2],
        roles={"5.matrix": "hidden"},
    )
    assert {slope.layer for slope in made.slopes["width"]} == {"2.stack", "4"}
    assert made.left_out == ("5.matrix",)
    assert str(made).splitlines()[-1] == "not measured: 5.matrix"
    updates = [
        (slope.parametrization, round(slope.estimate.mean))
        for slope in made.slopes["width"]
        if slope.layer == "2.stack" and slope.coordinate == "update" and slope.moment == "start"
    ]
    assert updates == [("sp", 1), ("smupar", 0)]
