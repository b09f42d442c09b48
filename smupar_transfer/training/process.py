"""What a process that trains on a CPU sets once, for speed."""

from __future__ import annotations

import ctypes
import functools
import platform

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGEST_THRESHOLD = 32 * 2**20  # what glibc takes
# the largest int, which mallopt takes: memory is hardly ever given back
KEEP = 2**31 - 1


def prepare_process(threads: int) -> None:
    """Set the number of threads, have numbers below 1e-38 count as zero, and keep freed memory for the next step.

    Denormal numbers, which a nonlinearity's tails produce, take a processor a hundred times as long as others. Memory
    that goes back to the operating system after every step comes back in pages that must be cleared one by one. What
    is set lasts as long as the process.

    Args:
        threads: of the numerical library, at least 1.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()


@functools.cache
def _keep_freed_memory() -> bool:
    """Whether the allocator took it; others than glibc's are left as they are."""
    if platform.libc_ver()[0] != "glibc":
        return False
    # of this process itself, whose allocator it is
    set_option = ctypes.CDLL(None).mallopt
    # both: blocks above the first are mapped, and unmapped when they are freed, whatever the second is
    return bool(set_option(MMAP_THRESHOLD, LARGEST_THRESHOLD) and set_option(TRIM_THRESHOLD, KEEP))
