"""One thread, and a compiler where there is one."""

from __future__ import annotations

from tests.sparsity.conftest import _one_thread_and_one_stream, needs_compiler

__all__ = ["_one_thread_and_one_stream", "needs_compiler"]
