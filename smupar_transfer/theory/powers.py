"""Scale factors of a parameter relative to the proxy, and monomials in them. Both are mappings over named axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from smupar_transfer.theory.errors import InputError


@dataclass(frozen=True)
class Axis:
    """One way in which a target may differ from its proxy.

    Attributes:
        symbol: How formulas, and messages about a factor of this axis, call it.
        title: The factor in words.
        largest: The largest value that a factor may have; every factor is positive and finite.
    """

    symbol: str
    title: str
    largest: float = math.inf

    def check(self, factor: float) -> None:
        """Refuse what no scale factor of this axis can be.

        Raises:
            InputError: the factor is not positive, not finite, or larger than ``largest``.
        """
        if math.isfinite(factor) and 0 < factor <= self.largest:
            return
        limit = "be positive and finite" if math.isinf(self.largest) else f"lie in (0, {self.largest:g}]"
        raise InputError(self.symbol, factor, f"the {self.title} must {limit}")


AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "width": Axis("m_d", "width factor"),
        # at most 1: the proxy is dense (SuPar, section 3)
        "density": Axis("m_rho", "density factor", largest=1.0),
        "aspect": Axis("m_a", "growth of outputs over that of inputs"),
    }
)
"""Every axis by name, in the order in which factors are multiplied. A new one, such as depth, is one entry here."""


class _ByAxis(Mapping[str, float]):
    """A number for each axis; equal to another one if all numbers are. Axes that are left out have the default."""

    __slots__ = ("_values",)
    default = 0.0

    def __init__(self, width: float | None = None, density: float | None = None, **others: float) -> None:
        named = {"width": width, "density": density, **others}
        if strangers := sorted(named.keys() - AXES.keys()):
            raise TypeError(f"no axis is called {', '.join(strangers)}; there are {', '.join(AXES)}")
        given = ((name, named.get(name)) for name in AXES)
        self._values = {name: self.default if value is None else value for name, value in given}

    def __getitem__(self, axis: str) -> float:
        return self._values[axis]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash((type(self), *self._values.values()))

    def __eq__(self, other: object) -> bool:
        # exponents are never equal to factors, whatever their numbers
        return isinstance(other, _ByAxis) and type(other) is type(self) and other._values == self._values

    def __reduce__(self) -> tuple[partial[_ByAxis], tuple[()]]:
        # by keyword: axes may stand in another order where it is read
        return partial(type(self), **self._values), ()

    def __repr__(self) -> str:
        said = (f"{name}={value:g}" for name, value in self.items() if value != self.default)
        return f"{type(self).__name__}({', '.join(said)})"


class ScaleFactors(_ByAxis):
    """How much larger and sparser a parameter is than the same one of the dense proxy: a positive number an axis.

    ``width`` is m_d = d / d_base, the ratio of fan-ins of a matrix that maps width to width. ``density`` is
    m_rho = rho / rho_base in (0, 1]; the proxy is dense, so m_rho = rho (SuPar, arXiv 2405.15743, section 3).
    ``aspect`` is m_a, the ratio of fan-outs over that of fan-ins: 1 where both grow alike. An axis that is left out is
    as at the proxy: 1.

    Raises:
        InputError: a factor is impossible.
    """

    __slots__ = ()
    default = 1.0

    def __init__(self, width: float | None = None, density: float | None = None, **others: float) -> None:
        super().__init__(width, density, **others)
        for name, factor in self.items():
            AXES[name].check(factor)


class Power(_ByAxis):
    """A monomial in scale factors: the product over axes of factor ** exponent. Exponents left out are 0."""

    __slots__ = ()

    def at(self, factors: ScaleFactors) -> float:
        """Value of the monomial; exactly 1.0 at the proxy, whatever the exponents."""
        # a product of nothing is a whole number in Python
        return float(math.prod(factors[axis] ** exponent for axis, exponent in self._values.items() if exponent))

    def __mul__(self, other: Power) -> Power:
        return Power(**{axis: exponent + other[axis] for axis, exponent in self.items()})

    def __pow__(self, exponent: float) -> Power:
        return Power(**{axis: own * exponent for axis, own in self.items()})

    def __str__(self) -> str:
        factors = [(AXES[axis].symbol, exponent) for axis, exponent in self.items()]
        shown = [symbol if exponent == 1 else f"{symbol}^{exponent:g}" for symbol, exponent in factors if exponent]
        return " ".join(shown) or "1"


ONE = Power()
