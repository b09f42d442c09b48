"""Initial values relative to the base: what a model drew is rescaled, so that its distribution and zeros stay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smupar_transfer.theory import InputError

CERTAINTY = 4.0
"""Standard errors within which a measured ratio of standard deviations may lie from the law that it is taken for."""


@dataclass(frozen=True)
class InitialValues:
    """How a model's own initialisation is turned into the planned one.

    A model's initialisation may follow its width by itself (Kaiming's does, a fixed 0.02 does not). How it does is
    measured, as a ratio of standard deviations; and since one measured on a few hundred values is uncertain by several
    percent, and the laws that initialisations follow are few, the law within the uncertainty is taken for it.

    Attributes:
        base_std: The root mean square of the base's non-zero values; 0 where all are zero, None where it has none.
        base_count: The number of the base's non-zero values.
        laws: The ratios of standard deviations, model over base, that usual initialisations would have; (1,) where the
            model has the base's shape.
        factor: What the parametrization multiplies the base's standard deviation with.
        is_vector: Whether values that follow no law are left as they are; other parameters are brought to the planned
            standard deviation by what was measured.
    """

    base_std: float | None
    base_count: int
    laws: tuple[float, ...]
    factor: float
    is_vector: bool = False

    @property
    def std(self) -> float | None:
        """The planned standard deviation; None where the base has no values."""
        return None if self.base_std is None else self.base_std * self.factor

    def multiplier(self, name: str, values: Tensor) -> float:
        """What the values of a model are to be multiplied with; exactly ``factor`` at the base's own shape.

        Args:
            name: The name of the parameter, for messages.
            values: What the model drew.

        Raises:
            InputError: the base has no values to compare with, the model has none where the base has some, or the
                model's are not finite.
        """
        # nothing is measured here: at the base's shape the model is to be what it was, to the last bit
        if self.laws == (1.0,):
            return self.factor
        if self.base_std is None:
            problem = "cannot be initialised relative to a base on the meta device"
            raise InputError("base", name, problem, "make the base with values: it is small")
        std, count = std_of(values)
        if not math.isfinite(std):
            raise InputError("model", name, "has values that are not finite", "initialise it first")
        if self.base_std == 0 or std == 0:
            if self.base_std == 0 and (std == 0 or not self.is_vector):
                # what the base starts at zero starts at zero; zeros need no factor
                return 0.0 if std else 1.0
            if self.is_vector:
                return 1.0
            raise InputError("model", name, "is zero everywhere, and not in the base", "initialise both alike")
        # what the model's own rule did already is taken out (decision 22)
        return self.factor / self._law(std / self.base_std, count)

    def _law(self, measured: float, count: int) -> float:
        error = math.sqrt(0.5 / count + 0.5 / self.base_count)  # of the log of a ratio, for normal values
        nearest = min(self.laws, key=lambda law: abs(math.log(law / measured)))
        if abs(math.log(nearest / measured)) <= CERTAINTY * error:
            return nearest
        return 1.0 if self.is_vector else measured


@torch.no_grad()
def std_of(values: Tensor) -> tuple[float, int]:
    """The root mean square of all values that are not zero, and their number; (0, 0) if all are zero."""
    count = int(torch.count_nonzero(values))
    if count == 0:
        return 0.0, 0
    magnitudes = values.detach().abs() if values.is_complex() else values.detach()  # of booleans there are none
    # squares of values in half precision over- and underflow
    square = magnitudes.double().square().sum()
    return math.sqrt(float(square) / count), count


def usual_laws(base: tuple[int, int], own: tuple[int, int]) -> tuple[float, ...]:
    """Ratios of standard deviations that usual initialisations have from one shape to another.

    Args:
        base: The fan-in and fan-out of the base.
        own: The fan-in and fan-out of the model.

    Returns:
        Those of Kaiming's and LeCun's by inputs and by outputs, of Xavier's, and of one over fan-in.
    """
    inputs, outputs, both = own[0] / base[0], own[1] / base[1], sum(own) / sum(base)
    # 1 / sqrt(fan_in), 1 / sqrt(fan_out), 1 / sqrt(fan_in + fan_out), 1 / fan_in
    return (inputs**-0.5, outputs**-0.5, both**-0.5, 1 / inputs)
