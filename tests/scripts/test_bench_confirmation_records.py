"""What confirmation gains on records: known points, and the published page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_confirmation_records import main, regrets, worst_of_ten

ROOT = Path(__file__).parents[2]


def test_confirmation_finds_what_one_lucky_seed_hides() -> None:
    # under each seed another point is lucky, whose other seeds tell
    judged = np.array([[1.0, 9.0, 9.0], [9.0, 1.0, 9.0], [9.0, 9.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    worth = np.array([9.0, 9.0, 9.0, 2.0, 3.0])
    found = regrets(judged, worth, draws=5, searches=20)
    assert found["alone"].tolist() == [7.0] * 20
    assert found["confirmed"].tolist() == [0.0] * 20
    assert found["known"].tolist() == [0.0] * 20


def test_what_the_target_wants_otherwise_no_seed_of_the_proxy_can_tell() -> None:
    judged = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0], [5.0, 5.0]])
    found = regrets(judged, worth=judged[::-1, 0], draws=5, searches=4)
    assert found["confirmed"].tolist() == found["alone"].tolist() == [4.0] * 4
    assert found["known"].tolist() == [0.0] * 4


def test_the_worst_is_of_groups_of_ten() -> None:
    values = pd.Series([*range(10), *range(20, 30), 1000])
    assert worst_of_ten(values) == pytest.approx((9 + 29) / 2)


def test_the_page_is_that_of_the_published_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    main(["--output", str(tmp_path)])
    published = ROOT / "results" / "bench_confirmation" / "on_records.md"
    assert (tmp_path / "on_records.md").read_text() == published.read_text()
