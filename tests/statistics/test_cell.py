"""Records as tables, and as curves of loss against learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from smupar_transfer.records import Design, Precision, RunRecord, to_plain
from smupar_transfer.statistics import Cell, cells, families, runs_table
from smupar_transfer.statistics.cell import levelled_means, shared_words
from smupar_transfer.statistics.varying import IN_COLUMNS, _leaves, varying_fields
from smupar_transfer.theory import InputError

MakeRecord = Callable[..., RunRecord]
MakeCell = Callable[..., Cell]


def test_a_run_is_a_row(make_record: MakeRecord) -> None:
    record = make_record("sp", sparsity=0.75, log2_rate=-6, loss=2.5, seed=3)
    (row,) = runs_table([record]).to_dict("records")
    assert row == {
        "key": record.key,
        "parametrization": "sp",
        "width": 64,
        "sparsity": 0.75,
        "density": 0.25,
        "base_width": 32,
        "depth": 2,
        "tokens": 204_800,
        "learning_rate": 2**-6,
        "init_std": 0.125,
        "input_multiplier": 1.0,
        "output_multiplier": 1.75,
        "weight_decay": 0.0,
        "init_scale": 1.0,
        "log2_learning_rate": -6.0,
        "weight_decay_form": "independent",
        "optimizer": "adamw",
        "epsilon": 1e-8,
        "warmup": 0.0,
        "mask": "random",
        "seed": 3,
        "train_loss": 2.375,
        "validation_loss": 2.5,
        "bits_per_byte": 2.5 / math.log(2),
        "diverged": False,
        "chance_loss": math.log(256),
        "weights_per_neuron": 16.0,
        "flops_dense": 1e12,
        "flops_sparse": 6e11,
        "wall_seconds": 18.0,
        "cpu_seconds": 17.5,
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
    assert cell.log2_values.tolist() == [-7, -6.5, -6]
    assert cell.losses.tolist() == [[loss[seed, rate] for rate in (-7, -6.5, -6)] for seed in (0, 2, 5)]
    assert cell.mean_losses == pytest.approx(
        [np.mean([loss[seed, rate] for seed in (0, 2, 5)]) for rate in (-7, -6.5, -6)]
    )


def test_runs_are_told_apart_by_parametrization_width_and_sparsity(make_record: MakeRecord) -> None:
    where = list(product(["sp", "mup"], [64, 128], [0.0, 0.9375]))
    records = [make_record(name, sparsity, width=width) for name, width, sparsity in where]
    sweep = cells(runs_table(records[::-1]))
    assert [(cell.parametrization, cell.width, cell.sparsity) for cell in sweep] == where
    assert [cell.density for cell in sweep] == [1.0, 0.0625] * 4


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
    assert cell.mean_losses.tolist() == [2.0, math.inf, math.inf]


def test_a_cell_in_which_everything_diverged_keeps_its_grid(make_record: MakeRecord) -> None:
    (cell,) = cells(runs_table([make_record(log2_rate=rate, loss=None) for rate in (-3, -2)]))
    assert cell.log2_values.tolist() == [-3, -2]
    assert np.isinf(cell.losses).all()


def test_density_is_exact_for_powers_of_two(make_cell: MakeCell) -> None:
    assert make_cell([[2.0]], sparsity=0.984375).density == 1 / 64


def test_a_curve_does_not_jump_where_its_seeds_change(make_cell: MakeCell) -> None:
    curve = np.array([2.5, 2.1, 2.0, 2.2, 2.7])
    losses = curve + np.array([[0.3], [-0.1], [-0.2]])
    losses[1:, [0, 4]] = np.nan
    assert make_cell(losses).mean_losses == pytest.approx(curve)
    assert np.nanmean(losses, axis=0) != pytest.approx(curve), "the plain mean jumps"


@pytest.mark.parametrize("name", ["init_std", "input_multiplier", "output_multiplier", "weight_decay", "init_scale"])
def test_any_positive_hyperparameter_may_be_swept(make_record: MakeRecord, name: str) -> None:
    records = [make_record(**{name: 2.0**x}, loss=3 + (x + 3) ** 2) for x in (-4, -3.5, -3)]
    (cell,) = cells(runs_table(records), Design(swept=(name,)))
    assert cell.log2_values.tolist() == [-4, -3.5, -3]
    assert cell.losses.tolist() == [[4, 3.25, 3]]
    assert cell.settings["learning_rate"] == 2**-5
    assert name not in cell.settings
    assert len(cells(runs_table(records))) == 3, "by default the learning rate is swept"


def test_runs_that_differ_in_nothing_we_see_are_refused(make_record: MakeRecord) -> None:
    """Guards against one of two runs being dropped silently."""
    first = make_record()
    other = replace(first, key="other")
    with pytest.raises(InputError, match="nothing a sweep tells apart"):
        cells(runs_table([first, other]))


def made_otherwise(record: RunRecord, path: str, value: Any) -> RunRecord:
    """The same record of a run that has another value in one field of its specification."""
    group, _, name = path.rpartition(".")
    spec = replace(record.spec, **{name: value}) if not group else record.spec
    if group:
        spec = replace(spec, **{group: replace(getattr(spec, group), **{name: value})})
    return replace(record, key=spec.key, spec=spec)


FIELDS = [
    ("precision", Precision.BFLOAT16, "precision bfloat16"),
    ("optimizer.beta2", 0.5, "beta2 0.5"),
    ("optimizer.gradient_clip", 0.0, "gradient clip 0"),
    ("budget.batch_size", 16, "batch size 16"),
    ("budget.final_fraction", 0.5, "final fraction 0.5"),
    ("model.tied", False, "tied false"),
    ("model.activation", "swiglu", "activation swiglu"),
    ("data.sha256", "cd" * 32, "data cdcdcdcd"),
]


@pytest.mark.parametrize(("path", "value", "said"), FIELDS)
def test_any_field_of_the_specification_tells_cells_and_families_apart(
    make_record: MakeRecord, path: str, value: Any, said: str
) -> None:
    """Guards against a list of settings beside the fields of ``RunSpec``: runs of another precision at another sparsity
    were one family, and at the same one they were refused once all was trained."""
    rates = (-6, -5, -4)
    usual = [make_record(sparsity=s, log2_rate=rate) for s in (0.0, 0.5) for rate in rates]
    others = [made_otherwise(record, path, value) for record in usual]
    sweep = cells(runs_table([*usual, *others]))
    assert len(sweep) == 4
    labels = [family.label for family in families(sweep)]
    assert len(labels) == 2
    assert any(said in label for label in labels), labels
    assert len(cells(runs_table(usual))) == 2, "what does not vary tells nothing apart"
    assert [family.variant for family in families(cells(runs_table(usual)))] == [""]


def test_every_field_of_a_specification_is_a_column_or_tells_cells_apart(make_record: MakeRecord) -> None:
    spec = make_record().spec
    assert {name for name, _ in _leaves(to_plain(spec))} >= IN_COLUMNS
    assert varying_fields([spec, spec]) == {}


def test_families_go_from_dense_to_sparse_and_from_narrow_to_wide(make_cell: MakeCell) -> None:
    sweep = [make_cell([[2.0]], s, width=width) for width in (128, 64) for s in (0.875, 0.0)]
    ordered = families(sweep)
    assert [[cell.sparsity for cell in family.cells] for family in ordered] == [[0.0, 0.875]] * 2
    assert [family.apart for family in ordered] == [(("width", 128),), (("width", 64),)]
    across = families(sweep, Design(axis="width"))
    assert [family.label for family in across] == ["SμPar, s = 0.875", "SμPar, s = 0"]
    assert [[cell.width for cell in family.cells] for family in across] == [[64, 128]] * 2


def test_what_is_tied_to_the_axis_sets_no_family_apart(make_cell: MakeCell) -> None:
    sweep = [make_cell([[2.0]], 1 - 64**2 / width**2, width=width) for width in (64, 128, 256)]
    (family,) = families(sweep, Design(axis="width", tied=("sparsity",)))
    assert family.label == "SμPar"
    assert len(families(sweep, Design(axis="width"))) == 3, "untied, each is a family of its own"


def test_a_label_says_only_what_sets_apart_within_a_parametrization(make_cell: MakeCell) -> None:
    sweep = [
        make_cell([[2.0]], parametrization="sp", init_std=0.02),
        *(make_cell([[2.0]], weight_decay=0.1, weight_decay_form=form) for form in ("coupled", "independent")),
        make_cell([[2.0]]),
    ]
    labels = [family.label for family in families(sweep)]
    assert labels == ["SP", "SμPar, coupled decay 0.1", "SμPar, independent decay 0.1", "SμPar, no decay"]


def test_what_labels_leave_out_can_be_said(make_cell: MakeCell) -> None:
    wide = [make_cell([[2.0]], s, name, width=256) for name in ("sp", "smupar") for s in (0.0, 0.5)]
    assert shared_words(families(wide)) == ""
    proxies = [make_cell([[2.0]], 0.0, name, width=64) for name in ("sp", "smupar")]
    assert shared_words(families([*wide, *proxies])) == "width 256"


def test_labels_leave_out_what_most_families_agree_in(make_cell: MakeCell) -> None:
    tries: list[dict[str, float]] = [{}, {"epsilon": 1e-14}, {"warmup": 0.4}, {"tokens": 800}]
    usual: dict[str, float] = {"tokens": 200, "epsilon": 1e-8, "warmup": 0.1}
    sweep = [make_cell([[2.0]], s, **{**usual, **tried}) for tried in tries for s in (0.0, 0.5)]
    labelled = families(sweep)
    assert [family.label for family in labelled] == [
        *("SμPar", "SμPar, ε = 1e-14", "SμPar, warm-up 0.4", "SμPar, tokens 800")
    ]
    assert shared_words(labelled) == "tokens 200, ε = 1e-08, warm-up 0.1"
    assert [family.label for family in families(sweep[:4])] == ["SμPar, ε = 1e-08", "SμPar, ε = 1e-14"]


def test_one_bad_run_does_not_move_the_level_of_its_seed() -> None:
    """The second seed lies 0.1 above the first, but for one run; the last value only the first has seen."""
    losses = np.array([[2.0, 2.0, 2.0, 2.0, 2.5], [2.1, 2.1, 2.1, 4.6, math.nan]])
    assert levelled_means(losses) == pytest.approx([2.05, 2.05, 2.05, 3.3, 2.55])
    losses[1, 0] = math.inf
    assert levelled_means(losses)[0] == math.inf
    assert math.isnan(levelled_means(np.array([[2.0, math.nan], [2.1, math.nan]]))[1])
