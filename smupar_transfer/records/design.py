"""What a sweep asks: which hyperparameter is swept, and along which axis its optimum should stay."""

from __future__ import annotations

from dataclasses import dataclass

AXES = ("sparsity", "width", "base_width", "depth", "tokens")


@dataclass(frozen=True)
class Design:
    """Of one sweep.

    Attributes:
        kind: of question; how runs become an outcome.
        swept: base hyperparameters that are swept within a cell; two for ``contours``, else one.
        axis: along which cells of a family are compared; one of ``AXES``.
        tied: settings that move along with the axis (sparsity in an iso-parameter sweep over width), and so set no
            family apart.
    """

    kind: str = "stability"
    swept: tuple[str, ...] = ("learning_rate",)
    axis: str = "sparsity"
    tied: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.axis not in AXES:
            raise ValueError(f"axis {self.axis} is none of {AXES}")
        if self.axis in self.swept or self.axis in self.tied:
            raise ValueError(f"axis {self.axis} is swept or tied as well")
