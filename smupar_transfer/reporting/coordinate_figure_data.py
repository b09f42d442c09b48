"""From sizes and slopes to what figures of a coordinate check draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from smupar_transfer.reporting.figures.coordinates import PanelRow, SizeLine, SizePanel
from smupar_transfer.statistics.coordinate_slopes import LayerSlope, Moment, mean_of
from smupar_transfer.theory import PARAMETRIZATIONS, Coordinate

SHOWN_STEPS = 5  # lines in a panel, from the first step to the last
ROW_LABELS = {
    Coordinate.ACTIVATION: "activation\nlog2 rms($Wx$) / rms($x$)",
    Coordinate.GRADIENT: "gradient\nlog2 rms($W^T g$) / rms($g$)",
    Coordinate.UPDATE: "update\nlog2 rms($\\Delta W x$) / rms($x$)",
}


def scale_rows(sizes: pd.DataFrame, slopes: Sequence[LayerSlope]) -> list[PanelRow]:
    """A row a coordinate, a panel a parametrization, a line a step: log2 size against log2 scale.

    Sizes are geometric means over layers and seeds; those that are zero or missing are left out.
    """
    steps = [str(step) for step in chosen_steps(int(sizes["step"].max()))]
    means = log2_means(sizes)
    rows = []
    for coordinate in Coordinate:
        panels = []
        for name in _names(sizes):
            here = means[(means["parametrization"] == name) & (means["coordinate"] == str(coordinate))]
            lines = tuple(
                _line(step, np.log2(members["scale"]), members["height"])
                for step in steps
                if len(members := here[here["step"] == int(step)])
            )
            panels.append(SizePanel(PARAMETRIZATIONS[name].title, lines, slope_note(slopes, name, coordinate)))
        rows.append(PanelRow(ROW_LABELS[coordinate], tuple(panels)))
    return rows


def step_rows(sizes: pd.DataFrame, axis: str) -> list[PanelRow]:
    """One row, a panel a parametrization, a line a scale from the proxy's on: log2 rms of layer outputs over steps."""
    means = log2_means(sizes)
    outputs = means[means["coordinate"] == "output"]
    panels = []
    for name in _names(sizes):
        here = outputs[outputs["parametrization"] == name]
        lines = tuple(
            _line(f"{scale:g}", here[here["scale"] == scale]["step"], here[here["scale"] == scale]["height"])
            # density falls away from the proxy, width grows
            for scale in sorted(here["scale"].unique(), reverse=axis == "sparsity")
        )
        panels.append(SizePanel(PARAMETRIZATIONS[name].title, lines, ""))
    return [PanelRow("layer outputs\nlog2 rms($Wx$)", tuple(panels))]


def log2_means(sizes: pd.DataFrame) -> pd.DataFrame:
    """Column ``height``: mean log2 size over layers and seeds, per parametrization, coordinate, step and scale."""
    # a size of zero has no logarithm
    positive = sizes[sizes["size"] > 0]
    heights = positive.assign(height=np.log2(positive["size"]))
    keys = ["parametrization", "coordinate", "step", "scale"]
    return heights.groupby(keys, sort=True)["height"].mean().reset_index()


def chosen_steps(last: int) -> list[int]:
    """At most ``SHOWN_STEPS`` steps from 0 to the last, denser at the beginning."""
    # sizes change most in the first steps
    fractions = np.linspace(0.0, 1.0, SHOWN_STEPS) ** 2
    return sorted({round(float(fraction) * last) for fraction in fractions})


def slope_note(slopes: Sequence[LayerSlope], name: str, coordinate: Coordinate) -> str:
    """Slopes of a panel, mean over layers, at every moment that is judged."""
    parts = []
    for moment in Moment:
        chosen = [s for s in slopes if (s.parametrization, s.coordinate, s.moment) == (name, coordinate, moment)]
        mean = mean_of(s.estimate for s in chosen).mean if chosen else float("nan")
        if np.isfinite(mean):
            parts.append(f"{shown(mean)} ({moment})")
    return "slope " + ", ".join(parts) if parts else ""


def shown(value: float, sign: str = "+") -> str:
    """Two decimals, and no negative zero."""
    # -0.0 + 0.0 is 0.0
    return f"{round(value, 2) + 0.0:{sign}.2f}"


def _names(sizes: pd.DataFrame) -> list[str]:
    measured = set(sizes["parametrization"])
    return [name for name in PARAMETRIZATIONS if name in measured]


def _line(label: str, positions: pd.Series, heights: pd.Series) -> SizeLine:
    return SizeLine(label, tuple(map(float, positions)), tuple(map(float, heights)))
