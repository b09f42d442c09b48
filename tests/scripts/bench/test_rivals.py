from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from bench import rivals
from bench.rivals import TOLERANCE, error_of, makers
from smupar_transfer.sparsity import SparseLinear, named_generator


@pytest.fixture
def model() -> SparseLinear:
    layer = SparseLinear(48, 40, density=0.2)
    layer.draw_mask(named_generator(0, "mask", "layer"))
    layer.set_weight(torch.randn(layer.shape, generator=named_generator(0, "weight", "layer")))
    return layer


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 48, generator=generator), torch.randn(30, 40, generator=generator)


class _Prop(nn.Module):
    """What the package sparseprop offers, on top of a dense product."""

    def __init__(self, dense: torch.Tensor) -> None:
        super().__init__()
        self.mask = dense != 0
        self.W_val = nn.Parameter(dense[self.mask])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ torch.zeros(self.mask.shape).masked_scatter(self.mask, self.W_val).T


@pytest.fixture
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sparseprop is installed, and no sparselab."""
    stand_in: Any = ModuleType("sparseprop.modules")
    stand_in.SparseLinear = _Prop
    monkeypatch.setitem(sys.modules, "sparseprop.modules", stand_in)
    monkeypatch.setattr(rivals, "find_spec", lambda name: object() if name == "sparseprop" else None)


@pytest.mark.usefixtures("_packages")
def test_all_ways_agree_with_the_dense_product(model: SparseLinear, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    by_name = makers()
    assert {"textbook", "masked", "csr", "sparseprop"} <= set(by_name)
    assert "sparselab" not in by_name
    for name, make in by_name.items():
        assert error_of(make(model), model, *batch) <= TOLERANCE, name


def test_a_wrong_weight_or_gradient_is_noticed(model: SparseLinear, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = makers()["csr"](model)
    shifted = replace(layer, dense_gradient=lambda: layer.dense_gradient().roll(1, 0))
    assert error_of(shifted, model, *batch) > TOLERANCE
    with torch.no_grad():
        layer.weight[0] += 1e-2
    assert error_of(makers()["csr"](model), model, *batch) <= TOLERANCE  # each way has weights of its own
    layer.weight.grad = None
    assert error_of(layer, model, *batch) > TOLERANCE


@pytest.mark.skipif("not __import__('importlib.util').util.find_spec('sparselab')", reason="sparselab is not installed")
def test_sparselab_agrees_too(model: SparseLinear, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert error_of(makers()["sparselab"](model), model, *batch) <= TOLERANCE
