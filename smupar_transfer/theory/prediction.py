"""How activations, gradients and updates of hidden layers scale under a parametrization: what coordinate checks test.

Every prediction follows from the same exponents that training uses. A hidden layer y = W x sums m_d m_rho times as
many terms as at the proxy: independent ones at initialisation (their sum grows with the square root of their number),
aligned ones once weights have moved by a step (their sum grows with the number itself; SuPar, arXiv 2405.15743,
section 3).
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from smupar_transfer.theory.parametrizations import Parametrization, Rule
from smupar_transfer.theory.powers import Power
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.update_rules import ADAMW, UpdateRule, UpdateSize

NONZERO_FAN_IN = Power(width=1, density=1)  # m_d m_rho


class Coordinate(StrEnum):
    """A measured size, relative to the size of what went in, of one hidden layer."""

    ACTIVATION = "activation"
    """rms(W x) / rms(x) at initialisation."""
    GRADIENT = "gradient"
    """rms(W^T g) / rms(g) at initialisation, for the gradient g of the layer's output."""
    UPDATE = "update"
    """rms(dW x) / rms(x) for the first step dW of the optimizer."""


def predicted(table: Parametrization, coordinate: Coordinate, update_rule: UpdateRule = ADAMW) -> Power | None:
    """Exponents with which a coordinate of a hidden layer scales; all zero under SuPar with AdamW.

    Updates that are proportional to the gradient depend, unlike Adam's, on what other layers do: what is predicted of
    them holds only on an axis along which activations and gradients keep their size at initialisation, and only if
    gradients are not clipped.

    Args:
        table: under which a network is trained.
        coordinate: which size.
        update_rule: that makes the first update.

    Returns:
        The exponents; None of updates of whose size theory says nothing.
    """
    if coordinate is not Coordinate.UPDATE:
        # independent terms: variances add, and sizes are roots of variances
        return (NONZERO_FAN_IN * table[Role.HIDDEN].init_variance) ** 0.5
    # aligned terms: sizes themselves add, so that there is no root
    aligned = NONZERO_FAN_IN * update_rule.learning_rate(table[Role.HIDDEN], Role.HIDDEN)
    match update_rule.size:
        case UpdateSize.FIXED:
            return aligned
        case UpdateSize.PROPORTIONAL:
            return aligned * _gradient(table[Role.READOUT])
        case UpdateSize.OTHER:
            return None
    assert_never(update_rule.size)


def _gradient(readout: Rule) -> Power:
    """How the gradient g of a hidden layer's output scales, which comes through the readout.

    A step dW = -eta g x^T makes dW x a sum of as many aligned terms as there are non-zero weights a neuron, each
    proportional to g.
    """
    power = readout.forward_multiplier * readout.init_variance**0.5
    # g has an entry for each of the layer's outputs, which are m_d m_a times as many as at the proxy
    return power * Power(aspect=power["width"])
