"""Masks, and linear layers that compute with them. Knows no parametrization."""

from smupar_transfer.sparsity.backends import BACKENDS, Backend, computing_backend, make_backend, require_backend
from smupar_transfer.sparsity.linear import SparseLinear
from smupar_transfer.sparsity.masks import draw_mask, nominal_nonzero
from smupar_transfer.sparsity.report import sparsity_report
from smupar_transfer.sparsity.seeds import named_generator

__all__ = [
    "BACKENDS",
    "Backend",
    "SparseLinear",
    "computing_backend",
    "draw_mask",
    "make_backend",
    "named_generator",
    "nominal_nonzero",
    "require_backend",
    "sparsity_report",
]
