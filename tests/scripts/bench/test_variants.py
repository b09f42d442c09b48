from __future__ import annotations

import pytest
import torch

from bench import variants
from bench.cells import Cell
from bench.variants import VARIANTS, TextbookLinear, Variant, make, require_variants
from smupar_transfer.sparsity import AUTO, BACKENDS, SparseLinear
from smupar_transfer.theory import InputError

CELL = Cell(64, 0.75, 2, 8, 1)


def test_every_backend_is_a_variant() -> None:
    assert set(BACKENDS) <= set(VARIANTS)
    assert [name for name in VARIANTS if name not in BACKENDS] == ["textbook", "dense", "dense_bf16", AUTO]


def test_textbook_always_comes_first_and_once() -> None:
    assert require_variants(["csr", "textbook", "csr"]) == ("textbook", "csr")


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(InputError, match="textboook"):
        require_variants(["textboook"])


def test_native_is_left_out_where_another_would_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "native_problem", lambda: "there is no compiler")
    assert require_variants(["native", "csr"]) == ("textbook", "csr")


def test_the_textbook_network_is_the_masked_one() -> None:
    """Same weights, same masks, hence the same function; and no sparse layer is left in it."""
    textbook, _ = make(VARIANTS["textbook"], CELL)
    masked, _ = make(VARIANTS["masked"], CELL)
    tokens = torch.arange(16).view(2, 8)
    assert torch.allclose(textbook(tokens), masked(tokens), atol=1e-6)
    kinds = [type(module) for module in textbook.modules()]
    assert kinds.count(TextbookLinear) == 8
    assert SparseLinear not in kinds


def test_textbook_gradients_stay_on_the_mask() -> None:
    network, _ = make(VARIANTS["textbook"], CELL)
    network(torch.arange(16).view(2, 8)).sum().backward()
    (layer, *_) = (module for module in network.modules() if isinstance(module, TextbookLinear))
    (weight,) = layer.parameters()
    assert weight.grad is not None
    assert 0.2 < float((weight.grad != 0).float().mean()) < 0.3


def test_dense_has_no_mask() -> None:
    network, _ = make(VARIANTS["dense"], CELL)
    assert {module.density for module in network.modules() if isinstance(module, SparseLinear)} == {1.0}
    assert VARIANTS["dense_bf16"] == Variant(masked=False, bfloat16=True)
