"""Loss against compute: tune the proxy, or tune the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.statistics import runs_table
from smupar_transfer.statistics.search_cost import SearchCurve, search_curves, search_table
from smupar_transfer.theory import InputError

MakeRecord = Callable[..., RunRecord]
SWEPT = ("learning_rate", "init_std")
POINTS = [(-7.0, 0.1), (-6.0, 0.3), (-5.0, 0.05)]


def table(make_record: MakeRecord, proxy: Sequence[float | None], target: Sequence[float | None]) -> pd.DataFrame:
    records = [
        make_record(log2_rate=rate, init_std=std, loss=loss, width=width, sparsity=sparsity, flops=flops)
        for losses, width, sparsity, flops in ((proxy, 32, 0.0, 1e11), (target, 128, 0.875, 4e11))
        for (rate, std), loss in zip(POINTS, losses, strict=True)
    ]
    return runs_table(records)


def curves(runs: pd.DataFrame) -> dict[str, SearchCurve]:
    return {curve.way: curve for curve in search_curves(runs, SWEPT)}


def by_enumeration(judged: Sequence[float], losses: Sequence[float], length: int) -> float:
    winners = [min(drawn, key=lambda n: judged[n]) for drawn in product(range(len(losses)), repeat=length)]
    return float(np.mean([losses[n] for n in winners]))


def test_expected_losses_are_those_of_all_searches_there_are(make_record: MakeRecord) -> None:
    proxy, target = [2.4, 2.2, 2.3], [2.3, 2.1, 1.9]
    by_way = curves(table(make_record, proxy, target))
    lengths = [1, 2, 3]
    assert by_way["transfer"].draws == (1, 2, 3)
    assert by_way["transfer"].loss == pytest.approx([by_enumeration(proxy, target, k) for k in lengths])
    assert by_way["direct"].loss == pytest.approx([by_enumeration(target, target, k) for k in lengths])


def test_costs_count_in_runs_of_the_target(make_record: MakeRecord) -> None:
    by_way = curves(table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9]))
    assert by_way["transfer"].cost == pytest.approx([1.25, 1.5, 1.75])
    assert by_way["direct"].cost == pytest.approx([1.0, 2.0, 3.0])


def test_a_proxy_that_ranks_alike_loses_nothing_and_one_that_does_not_loses(make_record: MakeRecord) -> None:
    target = [2.3, 2.1, 1.9]
    alike, contrary = (curves(table(make_record, proxy, target)) for proxy in ([3.3, 3.1, 2.9], [2.9, 3.1, 3.3]))
    assert alike["transfer"].loss == pytest.approx(alike["direct"].loss)
    assert contrary["transfer"].loss[-1] > contrary["direct"].loss[-1] + 0.2
    assert contrary["transfer"].loss[0] == pytest.approx(contrary["direct"].loss[0]), "one draw is no choice"


def test_intervals_hold_the_expectation_and_vanish_where_all_points_are_alike(make_record: MakeRecord) -> None:
    by_way = curves(table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9]))
    for curve in by_way.values():
        assert (curve.low <= curve.loss).all()
        assert (curve.loss <= curve.high).all()
        assert (curve.low < curve.high).all()
    same = curves(table(make_record, [2.4, 2.2, 2.3], [2.0, 2.0, 2.0]))["direct"]
    assert same.high == pytest.approx(same.low)


def test_a_run_that_diverged_is_as_good_as_a_guess(make_record: MakeRecord) -> None:
    by_way = curves(table(make_record, [2.4, 2.2, None], [2.0, 2.0, None]))
    assert by_way["direct"].loss[0] == pytest.approx((2 + 2 + math.log(256)) / 3)


def test_runs_that_differ_in_what_is_not_swept_are_refused(make_record: MakeRecord) -> None:
    runs = table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9])
    runs.loc[0, "weight_decay"] = 0.1
    with pytest.raises(InputError, match=r"^sweep=0\.0, 0\.1: are weight_decay of runs under SμPar that this"):
        search_curves(runs, SWEPT)


def test_only_points_that_both_trained_count(make_record: MakeRecord) -> None:
    runs = table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9])
    both = runs.drop(runs.index[-1])
    assert curves(both)["direct"].draws == (1, 2)
    with pytest.raises(InputError, match="no point that both"):
        search_curves(runs.iloc[[0, 4]], SWEPT)
    with pytest.raises(InputError, match="sizes of network were trained"):
        search_curves(runs.iloc[:3], SWEPT)


def test_a_parametrization_without_a_proxy_is_searched_directly_alone(make_record: MakeRecord) -> None:
    runs = table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9])
    alone = runs.iloc[3:].assign(parametrization="sp")
    by_way = {(curve.parametrization, curve.way): curve for curve in search_curves(pd.concat([runs, alone]), SWEPT)}
    assert list(by_way) == [("sp", "direct"), ("smupar", "transfer"), ("smupar", "direct")]
    assert by_way["sp", "direct"].loss == pytest.approx(by_way["smupar", "direct"].loss)
    assert by_way["sp", "direct"].cost == pytest.approx([1.0, 2.0, 3.0])


def test_a_proxy_whose_target_was_not_trained_yet_is_left_out(make_record: MakeRecord) -> None:
    runs = table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9])
    proxy = runs.iloc[:3].assign(parametrization="mup")
    assert {curve.parametrization for curve in search_curves(pd.concat([runs, proxy]), SWEPT)} == {"smupar"}


def test_seeds_are_averaged(make_record: MakeRecord) -> None:
    runs = table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9])
    again = runs.assign(seed=1, validation_loss=runs["validation_loss"] + 0.5)
    by_way = curves(pd.concat([runs, again]))
    assert by_way["direct"].loss[0] == pytest.approx(np.mean([2.3, 2.1, 1.9]) + 0.25)


def test_the_table_has_a_row_a_length(make_record: MakeRecord) -> None:
    frame = search_table(search_curves(table(make_record, [2.4, 2.2, 2.3], [2.3, 2.1, 1.9]), SWEPT))
    assert frame["way"].tolist() == ["transfer"] * 3 + ["direct"] * 3
    assert frame["draws"].tolist() == [1, 2, 3] * 2
