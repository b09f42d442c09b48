"""What the gradient clip did is told where it matters, and taken out where that is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.statistics.clipping import clipping_of, first_clip
from smupar_transfer.theory import UpdateRule, UpdateSize, like_adam, update_rules

MakeCheck = Callable[..., CoordinateRecord]
UnderSGD = Callable[..., CoordinateRecord]


@pytest.fixture
def record(make_check: MakeCheck) -> CoordinateRecord:
    return make_check("smupar", 0.5)


def test_steps_that_were_clipped_are_counted(record: CoordinateRecord, under_sgd: UnderSGD) -> None:
    free, clipped = under_sgd(record, norm=0.5), under_sgd(record, norm=4.0)
    half = replace(clipped, gradient_norms=(4.0, 0.5))
    clipping = clipping_of([free, clipped, half])
    assert clipping is not None
    assert (clipping.acted, clipping.steps, clipping.known, clipping.taken_out) == (3, 6, True, True)
    assert str(clipping) == "the gradient clip acted in 3 of 6 steps of SGD"
    assert first_clip(clipped) == pytest.approx(0.25)
    assert first_clip(free) == 1.0


def test_where_it_changes_no_size_there_is_nothing_to_tell(record: CoordinateRecord, under_sgd: UnderSGD) -> None:
    under_adam = replace(record, gradient_norms=(4.0, 4.0))
    for harmless in (record, under_adam, under_sgd(record, norm=0.5), under_sgd(record, norm=4.0, clip=0.0)):
        assert clipping_of([harmless]) is None
        assert first_clip(harmless) == 1.0


def test_records_that_do_not_say_may_have_been_clipped(record: CoordinateRecord, under_sgd: UnderSGD) -> None:
    clipping = clipping_of([under_sgd(record, norm=None), under_sgd(record, norm=0.5)])
    assert clipping is not None
    assert (clipping.acted, clipping.steps, clipping.known, clipping.taken_out) == (2, 4, False, False)
    assert str(clipping) == "the gradient clip may have acted in 2 of 4 steps of SGD"


def test_with_weight_decay_it_cannot_be_taken_out(record: CoordinateRecord, under_sgd: UnderSGD) -> None:
    decayed = under_sgd(record, norm=4.0, weight_decay=0.1)
    clipping = clipping_of([decayed])
    assert clipping is not None
    assert not clipping.taken_out
    assert first_clip(decayed) == 1.0


@pytest.mark.parametrize(("size", "reached"), [(UpdateSize.FIXED, False), (UpdateSize.OTHER, True)])
def test_of_an_unknown_rule_the_clip_may_reach_sizes_but_is_not_taken_out(
    record: CoordinateRecord, under_sgd: UnderSGD, monkeypatch: pytest.MonkeyPatch, size: UpdateSize, reached: bool
) -> None:
    monkeypatch.setitem(update_rules._RULES, "mine", UpdateRule("mine", "Mine", like_adam, size=size))
    clipped = under_sgd(record, norm=4.0)
    mine = replace(clipped, spec=replace(clipped.spec, optimizer=replace(clipped.spec.optimizer, name="mine")))
    clipping = clipping_of([mine])
    assert first_clip(mine) == 1.0
    assert (clipping is not None) == reached
    if clipping is not None:
        assert not clipping.taken_out
        assert str(clipping) == "the gradient clip acted in 2 of 2 steps of Mine"
