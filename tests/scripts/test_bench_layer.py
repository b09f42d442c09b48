from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bench_layer
from bench.cells import folder_of
from bench.numbers import Spread
from smupar_transfer.training import machine_name


@pytest.fixture(autouse=True)
def _same_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # and whatever main sets is undone
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)


def test_ahead_is_of_the_fastest_package() -> None:
    times = {"native": [1.0, 2.0], "sparselab": [6.0, 8.0], "sparseprop": [3.0, 4.0], "csr": [1.5, 1.5]}
    assert bench_layer.ahead(times, "native") == Spread(2.25, 2.5, 2.75)
    assert bench_layer.ahead({"native": [1.0]}, "native") is None
    assert bench_layer.ahead({"sparselab": [1.0]}, "native") is None


def test_section_has_a_row_a_sparsity() -> None:
    text = bench_layer.section({0.5: {"csr": [1.0, 3.0]}, 0.9: {"csr": [1.0], "native": [2.0]}}, "native", "a setting")
    assert "| 0.5 | 2.0 (1.5-2.5) | - | - |" in text
    assert "| 0.9 | 1.0 (1.0-1.0) | 2.0 (2.0-2.0) | - |" in text


def test_whole_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--width", "48", "--tokens", "20", "--steps", "2", "--sparsities", "0.5", "--output", str(tmp_path)]
    assert bench_layer.main(options) == 0
    written = (folder_of(tmp_path, machine_name()) / "layer.md").read_text()
    assert "48 x 48, 20 tokens, 1 thread, " in written
    assert written in capsys.readouterr().out


def test_wrong_results_are_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_layer, "TOLERANCE", -1.0)
    assert bench_layer.measure(48, 0.5, 20, 2) == {}
    assert "csr is left out: its relative error at s=0.5" in capsys.readouterr().err
