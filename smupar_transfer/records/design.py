"""What a sweep asks: which hyperparameter is swept, and along which axis its optimum should stay."""

from __future__ import annotations

from dataclasses import dataclass

AXES = ("sparsity", "width", "base_width", "depth", "tokens")
SWEPT_BY_KIND = {
    "stability": 1,
    "contours": 2,
    "gain": 1,
    "proxy_size": 1,
    "search": None,
    "tuning_cost": None,
    "coordinates": None,
}
"""Kinds of analysis, with the number of hyperparameters that each looks at; None for any."""
CLAIMS = ("supar",)
"""By whose claims an outcome can be judged: those of the SuPar paper (arXiv 2405.15743)."""


@dataclass(frozen=True)
class Design:
    """What one sweep looks for, and along which scale.

    Attributes:
        kind: The kind of question, which says how runs become an outcome.
        swept: Base hyperparameters that are swept within a cell; two for ``contours``, else one.
        axis: The scale along which cells of a family are compared; one of ``AXES``.
        tied: Settings that move along with the axis (sparsity in an iso-parameter sweep over width), and so set no
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
