"""The benchmark of the estimator on records of an adaptive sweep."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


def test_it_measures_coverage_on_every_form_and_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = str(ROOT / "results" / "lr_by_width")
    known = str(ROOT / "results" / "lr_by_sparsity")
    words = ["--records", records, "--without", known, "--sweeps", "10", "--families", "4", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench_estimator.py", *words])
    runpy.run_path(str(ROOT / "scripts" / "bench_estimator.py"), run_name="__main__")
    optima, drifts = (pd.read_csv(tmp_path / name) for name in ("optima.csv", "drift.csv"))
    assert set(optima["grid"]) == {"1", "1/2", "adaptive"}
    assert set(optima["form"]) == {"exponentials", "hyperbola", "morse"}
    assert len(optima) == 18
    assert len(drifts) == 54
    assert (optima["coverage"] > 0.88).all()
    assert (optima["coverage_of_half"] < optima["coverage"] - 0.05).all()
    assert optima["median_width"].notna().all()
    assert (drifts["median_width"] > 0).all()
    assert drifts["coverage"].mean() > 0.85
    assert drifts.loc[drifts["true_drift"] == 2, "median_drift"].to_numpy() == pytest.approx(2, abs=0.5)
