"""The comparison of ways of tuning, run for real at the smallest size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.practices import CUT, PRACTICES
from bench_practices import Plan, main, operations, part
from smupar_transfer.tuning import TrialOutcome

SMALL = [
    "--searches=1",
    "--trials=1",
    "--steps=2",
    "--width=16",
    "--growth=2",
    "--sparsities",
    "0",
    "0.5",
    "--target-seeds=1",
]


def test_every_way_is_searched_by_itself_and_trained_on_the_target(tmp_path: Path) -> None:
    main(["--folder", str(tmp_path), *SMALL])
    rows = pd.read_csv(tmp_path / "practices.csv")
    assert set(rows["practice"]) == {*(practice.name for practice in PRACTICES), CUT.name}
    # a search on the sparse target is for that target alone
    assert set(rows.loc[rows["practice"] == "smupar_target", "sparsity"]) == {0.5}
    assert (rows.groupby("sparsity")["regret_percent"].min() == 0).all()
    costs = rows[rows["sparsity"] == 0].set_index("practice")["cost"]
    # a trial, and that confirmed with three seeds, of networks whose cost is known
    assert costs["sp_dense"] == pytest.approx(4.0)
    assert costs["smupar_proxy"] == costs["sp_proxy"] < 4
    assert costs["sp_dense_cut"] <= max(costs["smupar_proxy"], 1)
    before = (tmp_path / "records.jsonl").read_bytes()
    main(["--folder", str(tmp_path), *SMALL])
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_what_is_tuned_dense_at_the_targets_width_is_its_own_base(tmp_path: Path) -> None:
    plan = Plan(tmp_path, 1, 1, 10, 16, 4, (0.75,), 1, 1)
    proxy, other, dense, target = (plan.run(way, 0.0, 0, is_narrow=way.is_narrow) for way in PRACTICES)
    assert [run.model.width for run in (proxy, other, dense, target)] == [16, 16, 64, 64]
    assert [run.base_width for run in (proxy, other, dense, target)] == [16, 16, 64, 16]
    assert operations(dense) > 4 * operations(proxy)


def test_a_trial_that_was_given_up_counts_as_far_as_it_came() -> None:
    whole = TrialOutcome(0, 2.0, "complete", {}, (100, 2.0))
    pruned = TrialOutcome(1, None, "pruned", {}, (25, 3.0))
    assert (part(whole, 100), part(pruned, 100)) == (1.0, 0.25)
