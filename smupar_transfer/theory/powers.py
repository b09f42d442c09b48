"""Scale factors relative to the proxy, and monomials in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smupar_transfer.theory.errors import InputError


@dataclass(frozen=True)
class ScaleFactors:
    """How much larger and sparser a target is than its dense proxy (SuPar, arXiv 2405.15743, section 3).

    Attributes:
        width: m_d = d / d_base, positive.
        density: m_rho = rho / rho_base in (0, 1]; the proxy is dense, so m_rho = rho.
    """

    width: float = 1.0
    density: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise InputError("m_d", self.width, "the width factor must be positive and finite")
        if not 0 < self.density <= 1:
            raise InputError("m_rho", self.density, "the density factor must lie in (0, 1]")


@dataclass(frozen=True)
class Power:
    """The monomial m_d**width * m_rho**density."""

    width: float = 0.0
    density: float = 0.0

    def at(self, factors: ScaleFactors) -> float:
        """Value of the monomial; exactly 1.0 at the proxy, whatever the exponents."""
        return float(factors.width**self.width * factors.density**self.density)

    def __mul__(self, other: Power) -> Power:
        return Power(self.width + other.width, self.density + other.density)

    def __pow__(self, exponent: float) -> Power:
        return Power(self.width * exponent, self.density * exponent)

    def __str__(self) -> str:
        factors = [("m_d", self.width), ("m_rho", self.density)]
        shown = [name if power == 1 else f"{name}^{power:g}" for name, power in factors if power]
        return " ".join(shown) or "1"


ONE = Power()
