from __future__ import annotations

from pathlib import Path

import pytest

from bench_agreement import Question, furthest, losses, main, specification, table


def test_the_largest_relative_difference_counts() -> None:
    assert furthest([1.0, 2.1, 3.0], [1.0, 2.0, 3.0]) == pytest.approx(0.05)
    assert furthest([1.0], [1.0]) == 0


def test_the_table_tells_the_first_steps_from_all() -> None:
    reference = [2.0] * 12
    late = [*reference[:11], 2.2]
    assert table({"masked": reference, "csr": late}).splitlines()[-1] == "| csr | 0.0e+00 | 1.0e-01 |"


def test_all_ways_train_the_same_run() -> None:
    keys = {specification(Question(32, 0.5, 3, way)).key for way in ("masked", "csr")}
    assert len(keys) == 1
    assert losses(Question(32, 0.5, 3, "csr")) == pytest.approx(losses(Question(32, 0.5, 3, "masked")), rel=1e-5)


def test_it_writes_the_section_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["bench_agreement.py", "--width", "32", "--sparsity", "0.5", "--steps", "2"]
    monkeypatch.setattr("sys.argv", [*words, "--ways", "masked", "csr", "--output", str(tmp_path)])
    main()
    text = (tmp_path / "agreement.md").read_text(encoding="utf-8")
    assert text.startswith("## The same network")
    assert "| csr | " in text
