"""How activations, gradients and updates of hidden layers scale under a parametrization: what coordinate checks test.

Every prediction follows from the same exponents that training uses. A hidden layer y = W x sums m_d m_rho times as
many terms as at the proxy: independent ones at initialisation (their sum grows with the square root of their number),
aligned ones once weights have moved by an Adam step (their sum grows with the number itself; SuPar, arXiv 2405.15743,
section 3).
"""

from __future__ import annotations

from enum import StrEnum

from smupar_transfer.theory.parametrizations import Parametrization
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


def predicted_sgd_update(table: Parametrization) -> Power:
    """Exponents with which rms(dW x) / rms(x) of a hidden layer scales for the first SGD step dW, not clipped.

    dW = -eta g x^T, so that dW x sums as many aligned terms as there are non-zero weights a neuron, each proportional
    to the gradient g of the layer's output, which comes through the readout. Unlike Adam's, such a step depends on what
    other layers do: this holds only on an axis along which activations and gradients keep their size at initialisation.
    """
    hidden, readout = table[Role.HIDDEN], table[Role.READOUT]
    return NONZERO_FAN_IN * hidden.sgd_learning_rate * readout.forward_multiplier * readout.init_variance**0.5
