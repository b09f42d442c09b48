"""How activations, gradients and updates of hidden layers scale under a parametrization: what coordinate checks test.

Every prediction follows from the same exponents that training uses. A hidden layer y = W x sums m_d m_rho times as
many terms as at the proxy: independent ones at initialisation (their sum grows with the square root of their number),
aligned ones once weights have moved by an Adam step (their sum grows with the number itself; SuPar, arXiv 2405.15743,
section 3).
"""

from __future__ import annotations

from enum import StrEnum

from smupar_transfer.theory.parametrization import Parametrization
from smupar_transfer.theory.powers import Power
from smupar_transfer.theory.roles import Role

NONZERO_FAN_IN = Power(width=1, density=1)  # m_d m_rho


class Coordinate(StrEnum):
    """A measured size, relative to the size of what went in, of one hidden layer."""

    ACTIVATION = "activation"
    """rms(W x) / rms(x) at initialisation."""
    GRADIENT = "gradient"
    """rms(W^T g) / rms(g) at initialisation, for the gradient g of the layer's output."""
    UPDATE = "update"
    """rms(dW x) / rms(x) for the first Adam step dW."""


def predicted(table: Parametrization, coordinate: Coordinate) -> Power:
    """Exponents with which a coordinate of a hidden layer scales; all zero under SuPar."""
    rule = table[Role.HIDDEN]
    if coordinate is Coordinate.UPDATE:
        return NONZERO_FAN_IN * rule.adam_learning_rate
    return (NONZERO_FAN_IN * rule.init_variance) ** 0.5
