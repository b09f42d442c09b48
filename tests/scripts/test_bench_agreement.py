from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.cells import folder_of
from bench_agreement import TRAININGS, Question, furthest, losses, main, specification, table
from smupar_transfer.training import machine_name

SMOOTH, ROUGH = TRAININGS


def test_the_largest_relative_difference_counts() -> None:
    assert furthest([1.0, 2.1, 3.0], [1.0, 2.0, 3.0]) == pytest.approx(0.05)
    assert furthest([1.0], [1.0]) == 0
    assert furthest([1.0, 2.2, math.nan], [1.0, 2.0, math.nan]) == pytest.approx(0.1)
    assert furthest([1.0, math.nan], [1.0, 2.0]) == furthest([1.0], [1.0, 2.0]) == math.inf


def test_the_table_tells_the_first_steps_from_all_and_seeds_apart() -> None:
    reference = [2.0] * 12
    curves = {
        ("masked", 0): reference,
        ("masked", 1): reference,
        ("csr", 0): [*reference[:11], 2.2],
        ("csr", 1): [2.02, *reference[1:]],
    }
    text = table(SMOOTH, curves, ["masked", "csr"])
    assert "2.00, 2.00 nats. Rounding" in text.splitlines()[0]
    assert text.splitlines()[-1] == "| csr | 1.0e-02 | 1.0e-01 | 1.0e-01, 1.0e-02 |"


def test_all_ways_train_the_same_run() -> None:
    asked = [Question(SMOOTH, 32, 0.5, 3, 1, way) for way in ("masked", "csr")]
    assert len({specification(run).key for run in asked}) == 1
    assert losses(asked[1]) == pytest.approx(losses(asked[0]), rel=1e-5)


def test_seeds_and_trainings_are_other_runs() -> None:
    asked = [Question(training, 32, 0.5, 3, seed, "csr") for training in TRAININGS for seed in (0, 1)]
    assert len({specification(run).key for run in asked}) == 4
    assert specification(asked[2]).hparams.learning_rate > 4 * specification(asked[0]).hparams.learning_rate


def test_it_writes_the_section_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["bench_agreement.py", "--width", "32", "--sparsity", "0.5", "--steps", "2", "--seeds", "0"]
    monkeypatch.setattr("sys.argv", [*words, "--ways", "masked", "csr", "--output", str(tmp_path)])
    main()
    text = (folder_of(tmp_path, machine_name()) / "agreement.md").read_text(encoding="utf-8")
    assert text.startswith("## The same network")
    assert text.count("| csr | ") == 2
    for training in TRAININGS:
        assert training.words in text
