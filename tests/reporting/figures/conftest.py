from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

Points = Callable[[Axes], list[list[tuple[float, float]]]]


@pytest.fixture(scope="session")
def points() -> Points:
    """The points of every line of a panel, line by line."""

    def of(axes: Axes) -> list[list[tuple[float, float]]]:
        return [list(zip(_list(line.get_xdata()), _list(line.get_ydata()), strict=True)) for line in axes.get_lines()]

    return of


def _list(values: Any) -> list[float]:
    return [float(value) for value in np.atleast_1d(np.asarray(values, dtype=np.float64))]
