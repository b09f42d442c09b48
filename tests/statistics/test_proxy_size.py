"""How small a proxy may be."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from smupar_transfer.statistics import Cell
from smupar_transfer.statistics.proxy_size import proxy_size_table, proxy_sizes

MakeCell = Callable[..., Cell]
GRID = np.arange(-8.0, -1.0)


def valley(optimum: float, noise: float = 1e-4) -> list[list[float]]:
    curve = 2 + 0.1 * (GRID - optimum) ** 2
    steps = noise * (GRID + 5)
    return [list(curve + steps), list(curve + 0.2 - steps), list(curve - 0.2)]


@pytest.fixture
def sweep(make_cell: MakeCell) -> list[Cell]:
    """The smaller the proxy, the farther its optimum lies from that of the target, 2**-5."""
    return [
        make_cell(valley(-5.0), 0.875, width=256, flops=1e12),
        *(
            make_cell(valley(-5.0 + off), width=width, flops=width * 1e9)
            for width, off in ((64, 0.0), (32, 1.0), (16, 2.5))
        ),
    ]


def test_regret_grows_as_the_proxy_shrinks(sweep: list[Cell]) -> None:
    sizes = proxy_sizes(sweep)
    assert [proxy_size.proxy.width for proxy_size in sizes] == [16, 32, 64]
    assert {id(proxy_size.target) for proxy_size in sizes} == {id(sweep[0])}
    # 2.5 octaves away, on the chord between 0.4 and 0.9, and one octave away, on the grid
    assert [proxy_size.regret.nats for proxy_size in sizes] == pytest.approx([0.65, 0.1, 0.0], abs=2e-3)
    assert [proxy_size.search_flops for proxy_size in sizes] == pytest.approx(
        [7 * width / 1000 for width in (16, 32, 64)]
    )
    for proxy_size in sizes:
        assert proxy_size.low <= proxy_size.regret.nats + 1e-5
        assert proxy_size.regret.nats <= proxy_size.high


def test_an_uncertain_proxy_makes_an_uncertain_regret(make_cell: MakeCell, sweep: list[Cell]) -> None:
    noisy = make_cell(valley(-4.0, noise=0.03), width=32, flops=32e9)
    sure, unsure = ((proxy_size.low, proxy_size.high) for proxy_size in proxy_sizes([sweep[0], sweep[2], noisy])[:2])
    assert unsure[1] - unsure[0] > 3 * (sure[1] - sure[0])


def test_noise_of_the_target_alone_makes_an_uncertain_regret(make_cell: MakeCell) -> None:
    """The proxy is as good as exact; of the target, two seeds differ in what -4 costs."""
    target, proxy = make_cell(valley(-5.0, noise=0.01), 0.875, width=256), make_cell(valley(-4.0, noise=1e-9), width=64)
    (size,) = proxy_sizes([target, proxy])
    # differences 0.11, 0.09 and 0.1: standard error 0.01 / sqrt(3), Student's t with two degrees of freedom 4.303
    assert size.high - size.low == pytest.approx(2 * 4.303 * 0.01 / 3**0.5, rel=0.2)


def test_a_target_that_may_diverge_has_a_regret_without_an_end(make_cell: MakeCell) -> None:
    losses = np.array(valley(-5.0))
    losses[0, GRID >= -3] = math.inf
    target, proxy = make_cell(losses, 0.875, width=256), make_cell(valley(-4.0, noise=0.05), width=64)
    (size,) = proxy_sizes([target, proxy])
    assert math.isfinite(size.low)
    assert size.high == math.inf


def test_one_seed_gives_a_regret_without_interval(make_cell: MakeCell) -> None:
    target, proxy = make_cell(valley(-5.0)[:1], width=128), make_cell(valley(-4.0)[:1], width=32)
    (size,) = proxy_sizes([target, proxy])
    assert size.regret.nats == pytest.approx(0.1, abs=1e-3)
    assert math.isnan(size.low)


def test_only_dense_cells_that_trained_are_proxies_of_their_own_parametrization(
    make_cell: MakeCell, sweep: list[Cell]
) -> None:
    lost = make_cell([[math.inf] * 7], width=8)
    alone = make_cell(valley(-3.0), width=32, parametrization="sp")
    sparse = make_cell(valley(-3.0), 0.5, width=32)
    assert [proxy_size.proxy.width for proxy_size in proxy_sizes([*sweep, lost, alone, sparse])] == [16, 32, 64]


def test_the_table_has_a_row_a_proxy(sweep: list[Cell]) -> None:
    table = proxy_size_table(proxy_sizes(sweep))
    assert table["proxy_width"].tolist() == [16, 32, 64]
    assert table["target_sparsity"].tolist() == [0.875] * 3
    assert table["regret_percent"].is_monotonic_decreasing
