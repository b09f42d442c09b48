"""``sparsity.backend=auto``: which backend is fastest for a layer, measured on this machine and remembered."""

from smupar_transfer.sparsity.calibration.choice import calibrate, choose_backend
from smupar_transfer.sparsity.calibration.decision import DENSE, fastest
from smupar_transfer.sparsity.calibration.timing import Timing
from smupar_transfer.sparsity.calibration.work import Work

__all__ = ["DENSE", "Timing", "Work", "calibrate", "choose_backend", "fastest"]
