"""What a manifest says about its sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import pytest

from smupar_transfer.records import Design, Manifest
from smupar_transfer.records.design import AXES
from smupar_transfer.reporting.vocabulary import AXIS_WORDS, HYPERPARAMETER_WORDS, position_label, proxy_log2
from smupar_transfer.statistics import Cell
from smupar_transfer.theory import BaseHyperparameters

OLD = Manifest("a_sweep", "?", "!", "smupar sweep a_sweep", (), -5.0)
NEW = Manifest("a_sweep", "?", "!", "smupar sweep a_sweep", (), -5.0, {"learning_rate": 0.25, "weight_decay": 0.0})


def test_everything_that_can_be_asked_has_words() -> None:
    assert set(AXIS_WORDS) == set(AXES)
    assert set(HYPERPARAMETER_WORDS) == {field.name for field in fields(BaseHyperparameters)}


def test_a_manifest_from_before_kinds_asks_for_stability_over_sparsity() -> None:
    assert OLD.design == Design("stability", ("learning_rate",), "sparsity", ())


@pytest.mark.parametrize(
    ("manifest", "name", "value"),
    [
        (NEW, "learning_rate", -2.0),
        (OLD, "learning_rate", -5.0),
        (OLD, "init_std", None),
        (NEW, "weight_decay", None),
    ],
)
def test_the_proxys_value(manifest: Manifest, name: str, value: float | None) -> None:
    assert proxy_log2(manifest, name) == value


@pytest.mark.parametrize(
    ("design", "said"),
    [
        (Design(), "0.96875"),
        (Design(axis="width"), "128"),
        (Design(axis="tokens"), "204,800"),
        (Design(axis="width", tied=("sparsity",)), "128, s = 0.969"),
        (Design(tied=("width",)), "0.96875, width 128"),
    ],
)
def test_positions_are_said_with_what_is_tied_to_them(
    make_cell: Callable[..., Cell], design: Design, said: str
) -> None:
    cell = make_cell([[2.0]], sparsity=0.96875, width=128)
    assert position_label(cell, design) == said
    assert math.isfinite(cell.position(design.axis))
