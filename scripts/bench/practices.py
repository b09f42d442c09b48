"""The ways of tuning that are compared, each by searches of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smupar_transfer.reporting.figures.style import colour_of


@dataclass(frozen=True)
class Practice:
    """A way to come by hyperparameters.

    Attributes:
        name: What files call it.
        title: What people call it.
        parametrization: Under what is searched and the target trained.
        is_narrow: Whether the searched network is as wide as the proxy; else as the target.
        is_sparse: Whether it is as sparse as the target.
        colour: Its colour in the figure.
    """

    name: str
    title: str
    parametrization: str
    is_narrow: bool
    is_sparse: bool
    colour: str


SMUPAR_PROXY = Practice(
    "smupar_proxy", "SμPar, tuned on a small dense proxy", "smupar", True, False, colour_of("smupar")
)
DENSE = Practice("sp_dense", "SP, tuned dense at the target's width", "sp", False, False, colour_of("sp"))
PRACTICES = (
    SMUPAR_PROXY,
    Practice("sp_proxy", "SP, tuned on a small dense proxy", "sp", True, False, "#cc79a7"),
    DENSE,
    Practice("smupar_target", "SμPar, tuned on the sparsest target itself", "smupar", False, True, "#777777"),
)
CUT = replace(DENSE, name="sp_dense_cut", title=f"{DENSE.title}, for the proxy's budget", colour="#56b4e9")
