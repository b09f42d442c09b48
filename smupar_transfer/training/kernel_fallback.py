"""What a person is told where the C++ kernels cannot be built: once a command, whoever computes in the end."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

from smupar_transfer.kernels import native_problem
from smupar_transfer.sparsity import AUTO
from smupar_transfer.training.runs import Execution

INSTEAD = {AUTO: "expand, csr or masked", "native": "csr"}
"""What computes sparse layers without the kernels, by the backend that was asked for."""


def resolved(execution: Execution) -> Execution:
    """The execution that training will have; asked for only where there is something to train, as it builds kernels.

    Where they are wanted and cannot be built, a line on standard error says why, once a process. ``native`` then
    becomes ``csr``: no worker finds out for itself, and warns.
    """
    # the C++ kernels are for processors; other backends do without them
    if execution.device != "cpu" or execution.backend not in INSTEAD:
        return execution
    problem = native_problem()
    if problem is None:
        return execution
    _tell(f"{problem}; sparse layers compute with {INSTEAD[execution.backend]}, which is slower")
    # auto leaves out by itself what cannot compute
    return execution if execution.backend == AUTO else replace(execution, backend="csr")


@functools.cache
def _tell(message: str) -> None:
    print(f"smupar: {message}", file=sys.stderr, flush=True)
