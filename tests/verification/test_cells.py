"""Records as tables, and as curves of loss against learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.verification import Cell, cells, runs_table

MakeRecord = Callable[..., RunRecord]


def test_a_run_is_a_row(make_record: MakeRecord) -> None:
    record = make_record("sp", sparsity=0.75, log2_rate=-6, loss=2.5, seed=3)
    (row,) = runs_table([record]).to_dict("records")
    assert row == {
        "key": record.key,
        "parametrization": "sp",
        "width": 64,
        "sparsity": 0.75,
        "learning_rate": 2**-6,
        "log2_learning_rate": -6.0,
        "seed": 3,
        "train_loss": 2.375,
        "validation_loss": 2.5,
        "bits_per_byte": 2.5 / math.log(2),
        "diverged": False,
        "weights_per_neuron": 16.0,
        "tokens": 204_800,
        "wall_seconds": 18.0,
    }


def test_losses_of_a_diverged_run_are_missing(make_record: MakeRecord) -> None:
    table = runs_table([make_record(loss=None), make_record(seed=1)])
    assert list(table["diverged"]) == [True, False]
    for column in ("train_loss", "validation_loss", "bits_per_byte"):
        assert list(table[column].isna()) == [True, False]


def test_a_cell_has_a_row_a_seed_and_a_column_a_rate(make_record: MakeRecord) -> None:
    loss = {(seed, rate): seed + rate / 100 + 9 for seed in (0, 2, 5) for rate in (-7, -6.5, -6)}
    records = [make_record(seed=seed, log2_rate=rate, loss=value) for (seed, rate), value in loss.items()]
    (cell,) = cells(runs_table(records[::-1]))
    assert cell.seeds == (0, 2, 5)
    assert cell.log2_learning_rates.tolist() == [-7, -6.5, -6]
    assert cell.losses.tolist() == [[loss[seed, rate] for rate in (-7, -6.5, -6)] for seed in (0, 2, 5)]
    assert cell.mean_losses == pytest.approx(
        [np.mean([loss[seed, rate] for seed in (0, 2, 5)]) for rate in (-7, -6.5, -6)]
    )


def test_runs_are_told_apart_by_parametrization_width_and_sparsity(make_record: MakeRecord) -> None:
    where = list(product(["sp", "mup"], [64, 128], [0.0, 0.9375]))
    records = [make_record(name, sparsity, width=width) for name, width, sparsity in where]
    found = cells(runs_table(records[::-1]))
    assert [(cell.parametrization, cell.width, cell.sparsity) for cell in found] == where
    assert [cell.density for cell in found] == [1.0, 0.0625] * 4


def test_divergence_is_infinite_and_absence_is_missing(make_record: MakeRecord) -> None:
    records = [
        make_record(seed=0, log2_rate=-6),
        make_record(seed=0, log2_rate=-5, loss=None),
        make_record(seed=0, log2_rate=-4, loss=None),
        make_record(seed=1, log2_rate=-6),
        make_record(seed=1, log2_rate=-4, loss=None),
    ]
    (cell,) = cells(runs_table(records))
    assert cell.losses[0].tolist() == [2.0, math.inf, math.inf]
    assert cell.losses[1, [0, 2]].tolist() == [2.0, math.inf]
    assert math.isnan(cell.losses[1, 1])
    assert cell.mean_losses[[0, 2]].tolist() == [2.0, math.inf]
    assert math.isnan(cell.mean_losses[1])


def test_a_cell_in_which_everything_diverged_keeps_its_grid(make_record: MakeRecord) -> None:
    (cell,) = cells(runs_table([make_record(log2_rate=rate, loss=None) for rate in (-3, -2)]))
    assert cell.log2_learning_rates.tolist() == [-3, -2]
    assert np.isinf(cell.losses).all()


def test_density_is_exact_for_powers_of_two() -> None:
    assert Cell("sp", 64, 0.984375, np.zeros(1), (0,), np.zeros((1, 1))).density == 1 / 64
