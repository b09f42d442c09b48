"""From a layer to its backend."""

from __future__ import annotations

import inspect
from pathlib import Path

from smupar_transfer.kernels import cache_folder, machine_key
from smupar_transfer.sparsity.autotune.cache import Timings, remembered
from smupar_transfer.sparsity.autotune.decision import DENSE, fastest
from smupar_transfer.sparsity.autotune.timing import measure
from smupar_transfer.sparsity.autotune.workload import Workload
from smupar_transfer.sparsity.backends import panels

METHOD = 3
"""Of measuring; a higher one forgets what was measured by a lower one."""

_MEMORY: dict[tuple[Path, str], Timings] = {}
"""Answers of this process, by file and workload."""


def calibration_file(device: str) -> Path:
    """``$XDG_CACHE_HOME/smupar_transfer/calibration/MACHINE-METHOD.json``; deleting it measures anew."""
    machine = machine_key(kernels=device == "cpu", blocking=inspect.getsource(panels))
    return cache_folder().parent / "calibration" / f"{machine}-{METHOD}.json"


def calibrate(workload: Workload) -> Timings:
    """Seconds of a step of the nearest work that is on the grid, under every backend that can do it here.

    Measured at most once on a machine: later answers, in other processes too, are the same.
    """
    nearest = workload.on_grid()
    known = calibration_file(workload.device), str(nearest)
    if known not in _MEMORY:
        _MEMORY[known] = remembered(*known, lambda: measure(nearest))
    return _MEMORY[known]


def choose_backend(workload: Workload) -> str:
    """Name of the backend that computes this work fastest here; ``dense``, without measuring, if the mask is full."""
    if workload.full:
        return DENSE
    return fastest({name: timing.seconds for name, timing in calibrate(workload).items()})
