"""The ``native`` backend: C++ kernels, built for the machine at their first use."""

from smupar_transfer.sparsity.native.backend import NativeBackend
from smupar_transfer.sparsity.native.build import native_is_available

__all__ = ["NativeBackend", "native_is_available"]
