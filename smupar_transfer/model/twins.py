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
    decay are one where nothing decays. A sparse layer's density is its own; numbers, which are products of powers of it,
    are compared at two densities, for then they agree at all.
    """
    density = spec.sparsity.density
    densities = (1.0,) if density == 1 else (1.0, density, density / 2)
    numbers = tuple(
        astuple(scale(spec.table, role, ScaleFactors(width, rho), spec.hparams, spec.optimizer))
        for role in Role
        for width in (1.0, spec.width_factor)
        for rho in densities
    )
    optimizer = replace(spec.optimizer, weight_decay_form=WeightDecayForm.COUPLED, epsilon=1.0)
    data = replace(spec.data, path=None)
    return numbers, multipliers(spec), spec.model, spec.sparsity, optimizer, data, spec.budget, spec.seed
