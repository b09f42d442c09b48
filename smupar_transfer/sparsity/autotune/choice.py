"""From a layer to its backend."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

from smupar_transfer.kernels import cache_folder, machine_key
from smupar_transfer.sparsity.autotune.cache import Timings, read, remembered
from smupar_transfer.sparsity.autotune.decision import DENSE, fastest
from smupar_transfer.sparsity.autotune.doubt import doubt, is_old
from smupar_transfer.sparsity.autotune.timing import measure, quicker
from smupar_transfer.sparsity.autotune.workload import Workload
from smupar_transfer.sparsity.backends import panels

METHOD = 3
"""Of measuring; a higher one forgets what was measured by a lower one."""

_MEMORY: dict[tuple[Path, str], Timings] = {}
"""Answers of this process, by file and workload."""


def calibration_file(device: str) -> Path:
    """``$XDG_CACHE_HOME/smupar_transfer/calibration/MACHINE-METHOD.json``; ``calibrate_anew`` renews it."""
    # timings of kernels that cut their work up in another way say nothing about these
    machine = machine_key(kernels=device == "cpu", blocking=inspect.getsource(panels))
    return cache_folder().parent / "calibration" / f"{machine}-{METHOD}.json"


def calibrate(workload: Workload) -> Timings:
    """Seconds of a step of the nearest work that is on the grid, under every backend that can do it here.

    Measured once on a machine: later answers, in other processes too, are the same. But what a busy moment may have
    spoilt (see ``doubt``) is measured again at once, and, if it still looks so, by the first process an hour later.
    """
    nearest = workload.on_grid()
    path, key = calibration_file(workload.device), str(nearest)

    def measured(known: dict[str, Timings]) -> Timings:
        timings = measure(nearest)
        return quicker(timings, measure(nearest)) if doubt(nearest, timings, known) else timings

    def trusts(known: dict[str, Timings]) -> bool:
        return not (doubt(nearest, known[key], known) and is_old(known[key]))

    if (path, key) not in _MEMORY:
        _MEMORY[path, key] = remembered(path, key, measured, trusts)
    return _MEMORY[path, key]


@dataclass(frozen=True)
class Calibrated:
    """A layer that was measured.

    Attributes:
        workload: What it has to do in a step.
        timings: What that takes, by backend.
        doubt: Why it should be measured again; empty if there is no reason.
    """

    workload: Workload
    timings: Timings
    doubt: str


def calibrated(device: str) -> list[Calibrated]:
    """All layers that were measured on this machine, those of another accelerator than ``device`` left out."""
    known = read(calibration_file(device))
    works = {key: Workload.read(key) for key in known}
    return [
        Calibrated(work, known[key], doubt(work, known[key], known)) for key, work in works.items() if work is not None
    ]


def calibrate_anew(workload: Workload) -> None:
    """Measure a layer of ``calibrated`` again, in the place of what is remembered."""
    path, key = calibration_file(workload.device), str(workload)
    before = read(path).get(key)
    # another process may have renewed them meanwhile: then they are new enough
    _MEMORY[path, key] = remembered(path, key, lambda _: measure(workload), lambda known: known[key] != before)


def choose_backend(workload: Workload) -> str:
    """Name of the backend that computes this work fastest here; ``dense``, without measuring, if the mask is full."""
    if workload.full:
        return DENSE
    return fastest({name: timing.seconds for name, timing in calibrate(workload).items()})
