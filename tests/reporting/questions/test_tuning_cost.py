"""What tuning costs, in words, tables and a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of

MakeRecord = Callable[..., RunRecord]
SWEPT = ("learning_rate", "init_std")
LOSSES = np.linspace(2.0, 2.7, 16)


@pytest.fixture
def outcome(make_record: MakeRecord, make_manifest: Callable[..., Manifest]) -> Callable[..., Outcome]:
    """Of sixteen points on a proxy and on a target of a hundred times its cost."""

    def of(proxy: np.ndarray, *, timed: bool = True, seeds: tuple[int, ...] = (0, 1)) -> Outcome:
        records = [
            replace(
                make_record(
                    "smupar", sparsity, -point, losses[point], seed, width, 1e9 * cost, init_std=0.01 * (point + 1)
                ),
                cpu_seconds=cost if timed else None,
            )
            for width, sparsity, cost, losses in ((32, 0.0, 1.0, proxy), (128, 0.75, 100.0, LOSSES))
            for point in range(16)
            for seed in seeds
        ]
        return outcome_of(make_manifest(records, kind="tuning_cost", swept=SWEPT, claim="supar"), records)

    return of


def test_a_proxy_that_ranks_as_the_target_makes_tuning_cheap(outcome: Callable[..., Outcome]) -> None:
    made = outcome(LOSSES)
    assert made.verdict == "holds"
    assert "(16 draws)" in made.sentence
    assert "costs 1.2 trainings of the target; direct search pays 13.8" in made.sentence
    assert made.summary.rows[0][:3] == ("proxy of width 32", "8", "1.08")
    assert "target / proxy 100 by processor time, 100 by operations" in made.notes[0]
    assert len(made.pictures[0].figure.axes) == 2


def test_a_proxy_that_ranks_backwards_does_not(outcome: Callable[..., Outcome]) -> None:
    made = outcome(LOSSES[::-1])
    assert made.verdict == "does not hold"
    assert "nats below it" in made.sentence


def test_without_times_operations_are_counted_and_said(outcome: Callable[..., Outcome]) -> None:
    made = outcome(LOSSES, timed=False)
    assert "by operations of the weights that exist" in made.summary.note
    assert len(made.pictures[0].figure.axes) == 1


def test_a_single_seed_is_said_to_judge_itself(outcome: Callable[..., Outcome]) -> None:
    assert "both judges and is reported" in outcome(LOSSES, seeds=(0,)).notes[1]
    assert "judges by one" in outcome(LOSSES).notes[1]
