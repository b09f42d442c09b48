"""Masks, and linear layers that compute with them. Knows no parametrization."""

from smupar_transfer.sparsity.autotune.choice import (
    Calibrated,
    calibrate,
    calibrate_anew,
    calibrated,
    calibration_file,
    choose_backend,
)
from smupar_transfer.sparsity.autotune.decision import DENSE
from smupar_transfer.sparsity.autotune.timing import Timing
from smupar_transfer.sparsity.autotune.workload import Workload
from smupar_transfer.sparsity.backends.base import (
    AUTO,
    BACKENDS,
    Backend,
    computing_backend,
    make_backend,
    require_backend,
)
from smupar_transfer.sparsity.linear import SparseLinear
from smupar_transfer.sparsity.masks import (
    MaskStructure,
    draw_mask,
    expected_dead_outputs,
    is_counted,
    mask_structure,
    nominal_nonzero,
    register_mask,
)
from smupar_transfer.sparsity.moments import LAYOUTS, change_mask, check_moments
from smupar_transfer.sparsity.report import backends_in_use, mask_sparsity, sparsity_report
from smupar_transfer.sparsity.seeds import named_generator
from smupar_transfer.sparsity.structures import BlockMask, NOfMMask, erdos_renyi_kernel

__all__ = [
    "AUTO",
    "BACKENDS",
    "DENSE",
    "LAYOUTS",
    "Backend",
    "BlockMask",
    "Calibrated",
    "MaskStructure",
    "NOfMMask",
    "SparseLinear",
    "Timing",
    "Workload",
    "backends_in_use",
    "calibrate",
    "calibrate_anew",
    "calibrated",
    "calibration_file",
    "change_mask",
    "check_moments",
    "choose_backend",
    "computing_backend",
    "draw_mask",
    "erdos_renyi_kernel",
    "expected_dead_outputs",
    "is_counted",
    "make_backend",
    "mask_sparsity",
    "mask_structure",
    "named_generator",
    "nominal_nonzero",
    "register_mask",
    "require_backend",
    "sparsity_report",
]
