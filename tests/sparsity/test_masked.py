"""Dense and masked compute, on their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import Backend, make_backend
from smupar_transfer.sparsity.backends.base import DenseBackend
from smupar_transfer.theory import InputError

MASK = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) < 0.4
FULL = torch.ones(5, 7, dtype=torch.bool)
by_name = pytest.mark.parametrize("name", ["masked"])


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@by_name
@pytest.mark.parametrize("mask", [MASK, FULL], ids=["sparse", "full"])
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 7)])
def test_gradients_are_right_by_finite_differences(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    backend = make_backend(name, mask)

    def apply(inputs: Tensor, kept: Tensor, bias: Tensor) -> Tensor:
        dense = torch.zeros(mask.shape, dtype=torch.float64).masked_scatter(mask, kept)
        return backend.linear(inputs, backend.pack(dense), bias)

    arguments = (double(*shape), double(int(mask.sum())), double(5))
    assert torch.autograd.gradcheck(apply, arguments)
    assert torch.autograd.gradgradcheck(apply, arguments)


def test_finite_differences_off_the_mask_disagree() -> None:
    """The control of the test above: the gradient of a weight that does not exist is withheld."""
    backend = make_backend("masked", MASK)
    weight = (double(5, 7).detach() * MASK).requires_grad_()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda x, w: backend.linear(x, w, None), (double(3, 7), weight))


@by_name
@pytest.mark.parametrize("mask", [MASK, FULL], ids=["sparse", "full"])
def test_packing_loses_nothing(name: str, mask: Tensor) -> None:
    backend = make_backend(name, mask)
    assert isinstance(backend, Backend)
    dense = torch.randn(mask.shape) * mask
    assert torch.equal(backend.unpack(backend.pack(dense)), dense)


@by_name
def test_only_what_is_asked_for_gets_a_gradient(name: str) -> None:
    backend = make_backend(name, MASK)
    weight = backend.pack(double(5, 7).detach() * MASK).requires_grad_()
    inputs = double(3, 7)
    for asked, frozen in ((inputs, weight), (weight, inputs)):
        asked.grad = frozen.grad = None
        x, w = (leaf if leaf is asked else leaf.detach() for leaf in (inputs, weight))
        torch.autograd.backward(backend.linear(x, w, None).sum())
        assert [leaf.grad is not None for leaf in (asked, frozen)] == [True, False]


@by_name
def test_a_full_mask_computes_densely_and_one_hole_does_not(name: str) -> None:
    hole = FULL.clone()
    hole[2, 3] = False
    assert isinstance(make_backend(name, FULL), DenseBackend)
    assert not isinstance(make_backend(name, hole), DenseBackend)


@pytest.mark.parametrize("mask", [MASK, FULL], ids=["sparse", "full"])
def test_an_unknown_name_is_refused_by_its_key(mask: Tensor) -> None:
    with pytest.raises(InputError, match=r"^sparsity\.backend=nonsense: is not one of auto, masked"):
        make_backend("nonsense", mask)
