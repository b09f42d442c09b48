"""The ``native`` backend, and attention beside it: C++ kernels, built for the machine at their first use."""

from smupar_transfer.sparsity.native.backend import NativeBackend
from smupar_transfer.sparsity.native.build import cache_folder, machine_key, native_is_available, native_problem
from smupar_transfer.sparsity.native.operators import attention_suits

__all__ = ["NativeBackend", "attention_suits", "cache_folder", "machine_key", "native_is_available", "native_problem"]
