from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from bench.cells import Result
from bench.figures import draw_speed_up, draw_split
from bench.numbers import milliseconds
from bench.parts import PARTS


def _words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_speed_up_draws_every_rival_and_rings_crossovers(results: list[Result]) -> None:
    figure = draw_speed_up(results, "a setting")
    (axes,) = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}  # type: ignore[arg-type]
    assert lines["auto"] == pytest.approx([2190 / t for t in (1248, 863, 481, 262)])
    assert {"dense", "dense bf16", "csr"} <= set(lines)
    assert sorted(_words(figure)) == ["0.68", "0.89", "0.96"]  # auto over bf16, csr over both
    assert axes.get_title() == "width 1024"


def test_split_stacks_parts_to_the_whole_step(results: list[Result]) -> None:
    (axes,) = draw_split(results, "auto", "a setting").axes
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert len(heights) == len(PARTS)
    steps = [milliseconds(result.variants["auto"]).middle for result in results]
    assert [sum(column) for column in zip(*heights, strict=True)] == pytest.approx(steps)
