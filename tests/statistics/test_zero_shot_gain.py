"""What transfer gains without tuning."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from smupar_transfer.records import Design
from smupar_transfer.statistics import Cell, families
from smupar_transfer.statistics.zero_shot_gain import Gain, gain_table, gains
from smupar_transfer.theory import InputError

MakeCell = Callable[..., Cell]


def single(make_cell: MakeCell, *losses: float, **settings: object) -> Cell:
    return make_cell([[loss] for loss in losses], **settings)


def by_name(cells: list[Cell]) -> dict[tuple[str, float], Gain]:
    return {(gain.cell.parametrization, gain.position): gain for gain in gains(families(cells))}


def test_gains_are_paired_differences_to_the_reference(make_cell: MakeCell) -> None:
    by_cell = by_name(
        [single(make_cell, 2.0, 3.0, 4.0, parametrization="sp"), single(make_cell, 1.8, 2.7, 3.6)],
    )
    gain, reference = by_cell["smupar", 1.0], by_cell["sp", 1.0]
    # differences -0.2, -0.3, -0.4: mean -0.3, standard deviation 0.1, over a mean of 3; t with 2 degrees is 4.303
    assert (gain.loss, gain.nats, gain.percent) == pytest.approx((2.7, -0.3, -10.0))
    assert gain.nats_error == pytest.approx(0.1 / math.sqrt(3))
    assert gain.percent_error == pytest.approx(100 * 0.1 / math.sqrt(3) / 3)
    assert (gain.low, gain.high) == pytest.approx(
        (-0.3 - 4.3027 * gain.nats_error, -0.3 + 4.3027 * gain.nats_error), 1e-3
    )
    assert gain.standard_error == pytest.approx(np.std([1.8, 2.7, 3.6], ddof=1) / math.sqrt(3))
    assert (reference.nats, reference.nats_error) == (0.0, 0.0)


def test_pairing_matters(make_cell: MakeCell) -> None:
    sp = single(make_cell, 2.0, 3.0, 4.0, parametrization="sp")
    paired = by_name([sp, single(make_cell, 1.9, 2.9, 3.9)])["smupar", 1.0]
    crossed = by_name([sp, single(make_cell, 3.9, 1.9, 2.9)])["smupar", 1.0]
    assert paired.nats == pytest.approx(crossed.nats)
    assert paired.nats_error == pytest.approx(0.0, abs=1e-9)
    assert crossed.nats_error > 0.5


def test_only_seeds_in_common_and_the_same_position_count(make_cell: MakeCell) -> None:
    cells = [
        single(make_cell, 2.0, 2.5, parametrization="sp", seeds=(0, 1)),
        single(make_cell, 1.0, 1.9, seeds=(1, 2)),
        single(make_cell, 1.5, sparsity=0.5),
    ]
    by_cell = by_name(cells)
    assert (by_cell["smupar", 1.0].nats, by_cell["smupar", 1.0].seeds) == (-1.5, 1)
    assert math.isnan(by_cell["smupar", 1.0].low)
    assert (math.isnan(by_cell["smupar", 0.5].nats), by_cell["smupar", 0.5].seeds) == (True, 0)


def test_each_family_is_compared_with_the_reference_most_like_it(make_cell: MakeCell) -> None:
    cells = [
        single(make_cell, loss, parametrization=name, weight_decay=0.1, weight_decay_form=form)
        for name, form, loss in (
            ("sp", "coupled", 3.0),
            ("sp", "independent", 2.0),
            ("smupar", "coupled", 1.0),
            ("smupar", "independent", 1.5),
        )
    ]
    assert [gain.nats for gain in gains(families(cells))] == [0.0, 0.0, -2.0, -0.5]


def test_divergence_is_infinite(make_cell: MakeCell) -> None:
    sp = single(make_cell, 2.0, 3.0, parametrization="sp")
    lost = by_name([sp, single(make_cell, 2.0, math.inf)])["smupar", 1.0]
    assert (lost.loss, lost.nats, lost.percent) == (math.inf, math.inf, math.inf)
    assert math.isnan(lost.nats_error)
    saved = by_name([single(make_cell, math.inf, 2.0, parametrization="sp"), single(make_cell, 2.0, 2.0)])
    assert saved["smupar", 1.0].nats == -math.inf
    assert math.isnan(saved["sp", 1.0].nats), "infinitely bad less infinitely bad is nothing"


def test_a_cell_that_was_tuned_is_refused(make_cell: MakeCell) -> None:
    with pytest.raises(InputError, match="several values"):
        gains(families([make_cell([[2.0, 2.1]])]))


def test_the_table_has_a_row_a_cell(make_cell: MakeCell) -> None:
    table = gain_table(gains(families([single(make_cell, 2.0, parametrization="sp"), single(make_cell, 1.8)])))
    assert table["family"].tolist() == ["SP", "SμPar"]
    assert table["percent"].to_numpy() == pytest.approx([0.0, -10.0])


def test_networks_of_different_size_are_not_compared(make_cell: MakeCell) -> None:
    """Only SuPar has a narrow network too: nothing of SP's sets the two apart."""
    cells = [single(make_cell, 3.0, parametrization="sp", width=256)]
    cells += [single(make_cell, loss, width=width) for loss, width in ((4.0, 64), (2.5, 256))]
    by_cell = {(gain.cell.parametrization, gain.cell.width): gain for gain in gains(families(cells))}
    assert math.isnan(by_cell["smupar", 64].nats)
    assert by_cell["smupar", 256].nats == pytest.approx(-0.5)


def test_networks_at_different_positions_are_not_compared(make_cell: MakeCell) -> None:
    """Along base width all networks are of one size."""
    losses = {64: 2.0, 128: 3.0}
    cells = [
        single(make_cell, loss, parametrization=name, base_width=base)
        for name in ("mup", "smupar")
        for base, loss in losses.items()
    ]
    every_gain = gains(families(cells, Design(axis="base_width")), "mup")
    assert [gain.nats for gain in every_gain] == [0.0] * 4
