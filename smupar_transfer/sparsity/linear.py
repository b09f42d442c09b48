"""A linear layer with a static mask."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from smupar_transfer.sparsity.autotune.choice import choose_backend
from smupar_transfer.sparsity.autotune.workload import Workload
from smupar_transfer.sparsity.backends.base import AUTO, Backend, DenseBackend, make_backend, require_backend
from smupar_transfer.sparsity.mask_bits import pack_bits, unpack_bits
from smupar_transfer.sparsity.masks import draw_mask, nominal_nonzero
from smupar_transfer.sparsity.moments import watch
from smupar_transfer.theory import InputError

TYPICAL_TOKENS = 1024
"""Rows of a step, where nobody said how many."""


class SparseLinear(nn.Module):
    """y = x W^T + b where W is zero off a static mask.

    Until ``set_weight`` is called the weight holds no values; a network's initialisation calls it once per layer.

    Args:
        in_features: The fan-in.
        out_features: The fan-out.
        bias: Whether there is a bias; it is dense.
        density: The part rho of the weights that exists, in (0, 1].
        mask_kind: The name of the structure in which the mask is drawn (see ``masks.register_mask``).
        backend: The name of the compute backend (``backends.BACKENDS``); ``auto`` becomes one of them by measurement,
            in ``choose_backend`` or, for ``TYPICAL_TOKENS`` a step, when weights are first set.

    Attributes:
        weight: The parameter in the layout of the backend; ``dense_weight()`` is layout-free.
        bias: The parameter that is added to every output; None for a layer without one.
        mask_bits: A buffer with a bit per entry of the mask (see ``pack_bits``), part of the ``state_dict``.
    """

    mask_bits: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        density: float = 1.0,
        mask_kind: str = "random",
        backend: str = "masked",
    ) -> None:
        super().__init__()
        require_backend(backend)
        self.in_features, self.out_features = in_features, out_features
        self.nominal_density, self.mask_kind, self.backend_name = density, mask_kind, backend
        self.weight = nn.Parameter(torch.empty(self.shape))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.register_buffer("mask_bits", pack_bits(torch.ones(self.shape, dtype=torch.bool)))
        self._backend: Backend | None = None
        self._layout: int | None = None
        watch(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""
        return self.out_features, self.in_features

    @property
    def mask(self) -> Tensor:
        """Boolean (fan_out, fan_in), True where a weight exists: a new tensor, since the layer keeps bits.

        Assigning another mask keeps the weights that exist under both, and their gradients; new ones are zero. An
        optimizer that holds moments for the old mask refuses its next step: in training, use ``moments.change_mask``.
        """
        return unpack_bits(self.mask_bits, self.in_features)

    @mask.setter
    @torch.no_grad()
    def mask(self, mask: Tensor) -> None:
        self.require_mask(mask)
        # read in the old layout, before the bits change it
        dense, gradient = self.dense_weight(), self._dense_gradient()
        self.mask_bits = pack_bits(mask.to(self.mask_bits.device))
        self._forget()
        self.set_weight(dense)
        self._set_gradient(gradient)

    def require_mask(self, mask: Tensor) -> None:
        """Check a mask before anything is made of it.

        Raises:
            InputError: it is not boolean, or not of the layer's shape.
        """
        if mask.dtype is not torch.bool or mask.shape != self.shape:
            problem = f"must be boolean, of shape (fan_out, fan_in) = {self.shape}"
            raise InputError("mask", f"{mask.dtype} {tuple(mask.shape)}", problem)

    def _dense_gradient(self) -> Tensor | None:
        return None if self.weight.grad is None else self.backend.unpack(self.weight.grad)

    def _set_gradient(self, dense: Tensor | None) -> None:
        self.weight.grad = None if dense is None else self.in_layout(dense)

    @property
    def layout(self) -> int:
        """Which weight each entry of the parameter stands for, as a number of 63 bits.

        Equal where mask and shape of the parameter are, in other processes too; other masks have other numbers but for
        a chance of 2^-63.
        """
        if self._layout is None:
            content = f"{self.shape} {self.weight.ndim}\n".encode() + self.mask_bits.cpu().numpy().tobytes()
            self._layout = int.from_bytes(hashlib.sha256(content).digest()[:8], "little") >> 1
        return self._layout

    @property
    def nonzero(self) -> int:
        """Weights that exist: counted on the mask; what a draw would keep as long as there is none."""
        if self.mask_bits.is_meta:
            return nominal_nonzero(self.mask_kind, self.shape, self.nominal_density)
        return int(self.mask.sum())

    @property
    def density(self) -> float:
        """Actual density, rho of this layer, from which its m_rho follows."""
        return self.nonzero / (self.in_features * self.out_features)

    def draw_mask(self, generator: torch.Generator) -> None:
        """Draw the mask anew, to the nominal density; weights off the new mask become zero."""
        self.mask = draw_mask(self.mask_kind, self.shape, self.nominal_density, generator)

    @torch.no_grad()
    def set_weight(self, dense: Tensor) -> None:
        """Take values for the weights that exist from a dense (fan_out, fan_in) matrix; the others become zero."""
        self.weight.data = self.in_layout(dense.to(self.weight))
        increment_version(self.weight)  # a graph of the old weights must not be run backwards into the new ones

    def dense_weight(self) -> Tensor:
        """The weight as a dense matrix (fan_out, fan_in), zero off the mask."""
        return self.backend.unpack(self.weight)

    def choose_backend(self, tokens: int, device: str, precision: torch.dtype = torch.float32) -> None:
        """Turn ``auto`` into what computes fastest on a device, for a mask of the nominal density; see ``autotune``.

        To be called before weights are set: it decides their layout. Another backend than ``auto``, and a layer of full
        density, stay as they are.
        """
        nonzero = nominal_nonzero(self.mask_kind, self.shape, self.nominal_density)
        self._resolve(nonzero, tokens, device, precision)

    def _resolve(self, nonzero: int, tokens: int, device: str, precision: torch.dtype = torch.float32) -> None:
        full = nonzero == self.in_features * self.out_features
        # a full mask is computed densely whatever is asked for: there is nothing to measure
        if self.backend_name == AUTO and not full:
            threads, dtype = torch.get_num_threads(), self.weight.dtype
            workload = Workload(*self.shape, nonzero, full, tokens, threads, dtype, device, precision)
            self.backend_name = choose_backend(workload)

    def _make_backend(self, mask: Tensor) -> Backend:
        if self.backend_name == AUTO:
            self._resolve(int(mask.sum()), TYPICAL_TOKENS, str(mask.device))
        return make_backend(self.backend_name, mask)

    @property
    def backend(self) -> Backend:
        """The compute backend, made for the present mask."""
        if self._backend is None:
            # an outline has no mask to look at, and computes no values
            self._backend = DenseBackend() if self.mask_bits.is_meta else self._make_backend(self.mask)
        return self._backend

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return self.backend.linear(inputs, self.weight, self.bias)

    def extra_repr(self) -> str:
        """What ``print(module)`` shows."""
        return f"{self.in_features}, {self.out_features}, density={self.density:.6g}, backend={self.backend_name}"

    def in_layout(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """One number per weight in the layout of this layer's parameter, from that of any backend.

        Args:
            values: The numbers, dense (fan_out, fan_in) or one for each weight that exists, in row-major order.
            mask: The mask by which weights exist, and which the layer would then have; the layer's own if left out.

        Raises:
            ValueError: ``values`` has neither layout.
        """
        backend = self.backend if mask is None else self._make_backend(mask)
        mask = self.mask if mask is None else mask
        existing = int(mask.sum())
        if values.shape == (existing,):
            values = values.new_zeros(mask.shape).masked_scatter(mask, values)
        if values.shape != mask.shape:
            raise ValueError(f"shape {tuple(values.shape)} is neither {tuple(mask.shape)} nor ({existing},)")
        # exact zeros off the mask: masked products, which read the whole matrix, rest on them (decision 5)
        return backend.pack(values.masked_fill(~mask, 0))

    def _apply(self, fn: Any, recurse: bool = True) -> SparseLinear:
        before = self.mask_bits
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.mask_bits is not before:  # on another device, say
            self._renew_backend()
        return self

    def _forget(self) -> None:
        self._backend = self._layout = None

    def _renew_backend(self) -> None:
        # At once, for compilers cannot trace it: what a mask holds decides what is made.
        self._forget()
        self._backend = self.backend
        watch(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_backend": None,
            "_layout": None,
        }  # copies and pickles make their own, around their own mask

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._renew_backend()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, *rest: Any
    ) -> None:
        *_, errors = rest
        state = {**state_dict}
        mask = state.pop(prefix + "mask", None)
        if mask is not None:  # boolean: as earlier versions kept it
            state.setdefault(prefix + "mask_bits", pack_bits(mask.bool()))
        packed, weight = state.get(prefix + "mask_bits"), state.get(prefix + "weight")
        if packed is None:
            errors.append(f"{prefix}mask_bits is missing: a sparse layer cannot be restored without its mask")
            return
        if weight is None:
            errors.append(f"{prefix}weight is missing: a mask cannot be restored without the weights it belongs to")
            return
        parameter, gradient = self.weight, self._dense_gradient()
        if packed.shape == self.mask_bits.shape:
            try:
                weight = self.in_layout(weight, unpack_bits(packed, self.in_features))
            except ValueError as error:
                errors.append(f"size mismatch for {prefix}weight: {error}")
                return
            state[prefix + "weight"] = weight
            if weight.shape != self.weight.shape:  # of another mask or backend; the optimizer keeps the parameter
                self.weight.data, self.weight.grad = self.weight.new_empty(weight.shape), None
        super()._load_from_state_dict(state, prefix, metadata, strict, *rest)
        self._renew_backend()
        if self.weight is parameter:  # and not assigned anew
            self._set_gradient(gradient)
