"""C++ for sparse products, attention and GELU, built for the machine at their first use."""

from smupar_transfer.kernels.build import cache_folder, machine_key, native_is_available, native_problem
from smupar_transfer.kernels.cache import user_cache
from smupar_transfer.kernels.operators import attention_suits, is_computed

__all__ = [
    "attention_suits",
    "cache_folder",
    "is_computed",
    "machine_key",
    "native_is_available",
    "native_problem",
    "user_cache",
]
