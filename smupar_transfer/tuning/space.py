"""Which base hyperparameters are searched, and over what range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import optuna

from smupar_transfer.theory import HYPERPARAMETERS, BaseHyperparameters, InputError


@dataclass(frozen=True)
class Range:
    """One axis of the search space.

    Attributes:
        low: The smallest value, inclusive; it is less than ``high``.
        high: The largest value, inclusive.
        log: Whether to search the logarithm; then ``low`` is positive.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class SearchSpace:
    """Ranges by name of a ``BaseHyperparameters`` field; what is not named stays at its default.

    Raises:
        InputError: a range names no hyperparameter, is empty, or is logarithmic and reaches zero.
    """

    ranges: Mapping[str, Range]

    def __post_init__(self) -> None:
        known = HYPERPARAMETERS
        if not self.ranges:
            raise InputError("tuning.space", "{}", "names no hyperparameter", f"choose among {', '.join(known)}")
        for name, axis in self.ranges.items():
            key = f"tuning.space.{name}"
            if name not in known:
                raise InputError(key, name, f"is not one of {', '.join(known)}")
            if not (math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high):
                raise InputError(key, f"[{axis.low}, {axis.high}]", "low must be less than high")
            if axis.log and axis.low <= 0:
                raise InputError(key, f"[{axis.low}, {axis.high}]", "a logarithmic range must be positive")
            if axis.low < 0:
                raise InputError(key, f"[{axis.low}, {axis.high}]", "must not be negative")

    def suggest(self, trial: optuna.Trial, defaults: BaseHyperparameters) -> BaseHyperparameters:
        """Ask a trial for a point."""
        return replace(
            defaults,
            **{
                name: trial.suggest_float(name, axis.low, axis.high, log=axis.log) for name, axis in self.ranges.items()
            },
        )

    def first_point(self, defaults: BaseHyperparameters) -> dict[str, float]:
        """The defaults, moved into the ranges: the first trial of every study."""
        # so that no search ends worse than what it began with
        return {name: min(max(getattr(defaults, name), axis.low), axis.high) for name, axis in self.ranges.items()}
