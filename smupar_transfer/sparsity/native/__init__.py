"""The ``native`` backend: C++ kernels, built for the machine at their first use."""

from smupar_transfer.sparsity.native.backend import NativeBackend
from smupar_transfer.sparsity.native.build import cache_folder, machine_key, native_is_available, native_problem

__all__ = ["NativeBackend", "cache_folder", "machine_key", "native_is_available", "native_problem"]
