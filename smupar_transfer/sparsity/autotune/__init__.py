"""``sparsity.backend=auto``: which backend is fastest for a layer, measured on this machine and remembered."""

from smupar_transfer.sparsity.autotune.choice import calibrate, choose_backend
from smupar_transfer.sparsity.autotune.decision import DENSE, fastest
from smupar_transfer.sparsity.autotune.timing import Timing
from smupar_transfer.sparsity.autotune.workload import Workload

__all__ = ["DENSE", "Timing", "Workload", "calibrate", "choose_backend", "fastest"]
