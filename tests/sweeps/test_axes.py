"""Axes of grids: listed values, powers of two, random points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from smupar_transfer.sweeps.axes import (
    Grid,
    GridAxis,
    RandomPoints,
    expand_grid,
    keys_of,
    parse_grids,
    parse_octaves,
    size_of,
)
from smupar_transfer.theory import InputError

FILE = Path("a.yaml")
SPACE = {"hparams.learning_rate": (-10.0, -3.0), "hparams.init_std": (-6.0, -1.0)}


def random_grid(**changes: Any) -> list[dict[str, Any]]:
    points = {"count": 2, "seed": 0, "space": {"a": {"log2": {"first": -1, "last": 1}}}}
    return [{"random": {**points, **changes}}]


def test_an_axis_is_a_list_or_powers_of_two() -> None:
    assert GridAxis(values=[3, "a"]).expand() == [3, "a"]
    assert GridAxis(first=-3, last=-1, step=1).expand() == [0.125, 0.25, 0.5]
    assert GridAxis(first=-2, last=-1, step=0.5).expand() == [0.25, 2**-1.5, 0.5]
    assert GridAxis(first=-4, last=-4, step=1).expand() == [0.0625]


def test_random_points_lie_in_their_space_and_more_of_them_begin_with_the_same() -> None:
    points = RandomPoints(200, 0, SPACE).expand()
    assert len(points) == len({tuple(point.items()) for point in points}) == 200
    for key, (first, last) in SPACE.items():
        places = [math.log2(point[key]) for point in points]
        assert first - 0.001 <= min(places) < first + 0.3
        assert last - 0.3 < max(places) <= last + 0.001
        assert sum(places) / 200 == pytest.approx((first + last) / 2, abs=(last - first) / 10)  # uniform in log2
    assert RandomPoints(8, 0, SPACE).expand() == points[:8]
    assert RandomPoints(8, 0, dict(reversed(SPACE.items()))).expand() == points[:8]
    assert RandomPoints(8, 1, SPACE).expand() != points[:8]


def test_random_points_are_crossed_with_the_other_axes() -> None:
    grid: Grid = {"w": GridAxis(values=[64, 256]), "random": RandomPoints(3, 0, SPACE), "seed": GridAxis(values=[0])}
    points = list(expand_grid(grid))
    assert [set(point) for point in points] == [{"w", *SPACE, "seed"}] * 6
    narrow, wide = points[:3], points[3:]
    assert [{**point, "w": 256} for point in narrow] == wide


def test_points_are_counted_without_making_them() -> None:
    grid: Grid = {
        "w": GridAxis(first=-2, last=0, step=0.5),
        "random": RandomPoints(3, 0, SPACE),
        "seed": GridAxis(values=[0]),
    }
    assert size_of(grid) == len(list(expand_grid(grid))) == 15
    assert keys_of(grid) == ["w", *SPACE, "seed"]
    assert size_of({"w": GridAxis(first=0, last=1e300, step=1)}) > 10**299


def test_parsed_grids() -> None:
    value = [{"a": [1, 2], "b": {"log2": {"first": -1, "last": 0, "step": 1}}}, *random_grid()]
    first, second = parse_grids(value, FILE)
    assert list(expand_grid(first)) == [{"a": 1, "b": 0.5}, {"a": 1, "b": 1.0}, {"a": 2, "b": 0.5}, {"a": 2, "b": 1.0}]
    assert second == {"random": RandomPoints(2, 0, {"a": (-1.0, 1.0)})}


@pytest.mark.parametrize(
    "bounds",
    [
        *(None, 3, [], {}, {"first": 0, "last": 1}, {"first": 0, "last": 1, "step": 0}),
        *(
            {"first": 1, "last": 0, "step": 1},
            {"first": "a", "last": 1, "step": 1},
            {"first": 0, "last": 1, "step": True},
            {"first": 0, "last": math.inf, "step": 1},
        ),
    ],
)
def test_octaves_that_are_none(bounds: Any) -> None:
    assert parse_octaves({"log2": bounds}, "a.key", FILE) is None


def test_steps_lead_from_first_to_last() -> None:
    axis = parse_octaves({"log2": {"first": 0, "last": 0.3, "step": 0.1}}, "a.key", FILE)
    assert axis is not None
    assert axis.expand() == pytest.approx([1, 2**0.1, 2**0.2, 2**0.3])
    with pytest.raises(InputError, match=r"^a\.key=.* whole number of steps from first to last; last: -2\.5 or -1\.75"):
        parse_octaves({"log2": {"first": -10, "last": -2, "step": 0.75}}, "a.key", FILE)


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        (3, r"^grids=3: "),
        ([], r"^grids=\[\]: "),
        ([{"a": [1, float("nan")]}], r"^a=nan: in a\.yaml is not finite"),
        ([{"a": {"log2": {"first": -1e30, "last": 1, "step": 1}}}], r"^a=2\^-1e\+30: .* no number that a computer"),
        ([{"a": {"log2": {"first": 0, "last": 1, "step": 1e-7}}}], r"^a=.* has more than 100,000 values"),
        (random_grid(count=True), r"^random=.*positive whole count"),
        (random_grid(space={"a": {"log2": {"first": 0, "last": 2000}}}), r"^a=2\^2000: .* no number that a computer"),
        ([{**random_grid()[0], "a": [1]}], r"^a=random: in a\.yaml is an axis of the same grid too"),
        ([3], r"^grids=\[3\]: "),
        ([{"a": 3}], r"^a=3: in a\.yaml is neither a list nor log2"),
        ([{"random": [1]}], r"^random=\[1\]: in a\.yaml is not \{count"),
        (random_grid(more=1), r"^random=.*is not \{count"),
        (random_grid(count=0), r"^random=.*positive whole count"),
        (random_grid(count="many"), r"^random=.*positive whole count"),
        (random_grid(seed=0.5), r"^random=.*whole seed"),
        (random_grid(space={}), r"^random=.*has no space"),
        (random_grid(space={"a": [1, 2]}), r"^a=\[1, 2\]: in a\.yaml is not log2: \{first, last\}"),
        (random_grid(space={"a": {"log2": {"first": 1, "last": 0}}}), r"^a=.*is not log2: \{first, last\}"),
    ],
)
def test_wrong_grids_are_refused_in_one_line(grids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_grids(grids, FILE)
    assert "\n" not in str(caught.value)
