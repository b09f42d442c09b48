"""How a sparse linear layer computes: the replaceable part of ``SparseLinear``.

A backend owns the layout of the weight parameter. ``pack`` turns a dense masked matrix into that layout, ``unpack``
turns it back, ``linear`` multiplies; gradients have the layout of the parameter. Everything else (masks, checkpoints,
initialisation, reports) speaks dense matrices and knows no backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from smupar_transfer.kernels import native_is_available
from smupar_transfer.sparsity.backends.compact_layout import autocast_type
from smupar_transfer.sparsity.backends.csr import CsrBackend
from smupar_transfer.sparsity.backends.expand import ExpandBackend
from smupar_transfer.sparsity.backends.native import NativeBackend
from smupar_transfer.theory import InputError


@runtime_checkable
class Backend(Protocol):
    """Compute of one layer, made for one mask."""

    def pack(self, dense: Tensor) -> Tensor:
        """Values of the weight parameter for a dense (fan_out, fan_in) matrix that is zero off the mask."""

    def unpack(self, weight: Tensor) -> Tensor:
        """The dense (fan_out, fan_in) matrix that the parameter stands for."""

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``inputs`` (..., fan_in) times the transposed weight, plus bias: (..., fan_out)."""


class DenseBackend:
    """Every weight exists: an ordinary linear layer."""

    def pack(self, dense: Tensor) -> Tensor:
        """See ``Backend``."""
        return dense

    def unpack(self, weight: Tensor) -> Tensor:
        """See ``Backend``."""
        return weight

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``."""
        return F.linear(inputs, weight, bias)


class _MaskedGradient(torch.autograd.Function):
    """Linear layer whose weight is zero off the mask already: only the gradient has to be masked."""

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG004 - the backward pass needs it
        return F.linear(inputs, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004 - torch's signature
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        inputs, weight, mask = ctx.saved_tensors
        gradient = gradients[0]
        for_inputs = gradient @ weight if ctx.needs_input_grad[0] else None
        for_weight = None
        if ctx.needs_input_grad[1]:
            dense = gradient.reshape(-1, weight.shape[0]).T @ inputs.reshape(-1, weight.shape[1])
            # in place: nobody else has this matrix
            for_weight = dense.mul_(mask)
        return for_inputs, for_weight, None


class MaskedBackend:
    """Dense storage with exact zeros off the mask, and no multiplication by the mask in the forward pass.

    Off the mask the weight and its gradient are zero, hence Adam's moments and its decoupled decay are too: no
    step of an optimizer that moves each weight by its own gradient (as Muon, for one, does not) revives a weight.
    Masking the gradient rather than the weight after the step also keeps the gradient norm that clipping sees that of
    the weights which exist.

    Args:
        mask: Which weights exist, boolean (fan_out, fan_in).
    """

    def __init__(self, mask: Tensor) -> None:
        # As floats: products of floats and booleans convert first, which takes several times the product itself.
        self.mask = mask.float()

    def pack(self, dense: Tensor) -> Tensor:
        """See ``Backend``."""
        return dense

    def unpack(self, weight: Tensor) -> Tensor:
        """See ``Backend``."""
        return weight

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``."""
        shorter = autocast_type(inputs)
        if shorter is not None:
            inputs, weight = inputs.to(shorter), weight.to(shorter)
        output: Tensor = _MaskedGradient.apply(inputs, weight, self.mask)  # type: ignore[no-untyped-call]
        return output if bias is None else output + bias


BACKENDS: dict[str, Callable[[Tensor], Backend]] = {
    "masked": MaskedBackend,
    "expand": ExpandBackend,
    "csr": CsrBackend,
    "native": NativeBackend,
}
"""What computes; a full mask always computes densely."""

AUTO = "auto"
"""What a configuration may ask for besides: whichever of ``BACKENDS`` is fastest for a layer; see ``autotune``."""


def require_backend(name: str) -> None:
    """Check a name that a person gave: ``auto``, or one of ``BACKENDS``.

    Raises:
        InputError: there is no backend of that name.
    """
    if name != AUTO and name not in BACKENDS:
        raise InputError("sparsity.backend", name, f"is not one of {', '.join([AUTO, *BACKENDS])}")


def computing_backend(name: str, device: str = "cpu") -> str:
    """The backend that computes where ``name``, one of ``BACKENDS``, is asked for.

    That is ``name``, but ``csr`` in place of ``native`` on other devices than the CPU and, with a warning, where the
    kernels cannot be built.

    Raises:
        InputError: there is no backend of that name.
    """
    require_backend(name)
    if name == "native" and not (device == "cpu" and native_is_available()):
        return "csr"
    return name


def make_backend(name: str, mask: Tensor) -> Backend:
    """The backend of that name (one of ``BACKENDS``) for one mask; dense, also under ``auto``, if the mask is full.

    Raises:
        InputError: there is no backend of that name.
    """
    require_backend(name)
    if bool(mask.all()):
        return DenseBackend()
    return BACKENDS[computing_backend(name, mask.device.type)](mask)
