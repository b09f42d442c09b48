"""Runs that compute the same under different names."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import astuple, replace

from smupar_transfer.model.multipliers import multipliers
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import Role, ScaleFactors, WeightDecayForm, scale


def computation(spec: RunSpec) -> Hashable:
    """Equal for two runs only if they train the same network on the same data with the same numbers, bit for bit.

    It holds the absolute numbers of every role, as ``plan_parameters`` takes them, and what of the specification does
    not end in them. So muP, SuPar and its ablations are one run where nothing is sparse, and the two forms of weight
    decay are one where nothing decays. What a mask's density comes out as is not known here; numbers, being products of
    powers, are compared with and without width and density, and then agree at any density.
    """
    numbers = tuple(
        astuple(scale(spec.table, role, ScaleFactors(width, rho), spec.hparams, spec.optimizer))
        for role in Role
        for width in (1.0, spec.width_factor)
        for rho in (1.0, spec.sparsity.density)
    )
    optimizer = replace(spec.optimizer, weight_decay_form=WeightDecayForm.COUPLED, epsilon=1.0)
    data = replace(spec.data, path=None)
    return numbers, multipliers(spec), spec.model, spec.sparsity, optimizer, data, spec.budget, spec.seed
