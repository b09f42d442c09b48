"""``smupar plan``: what it would cost, without doing it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import specs
from smupar_transfer.app.commands import plan

Run = Callable[..., CompletedProcess[str]]
Snapshot = Callable[[Path], dict[str, bytes]]


def test_it_counts_the_runs_of_a_sweep_and_trains_none(smupar: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    result = smupar("plan", str(grid_file), *tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Does a grid of a dozen tiny runs work?" in result.stdout
    assert "12 runs, 0 of them exist in results/grid" in result.stdout
    assert "to do: 12 runs, 1,536 tokens" in result.stdout
    assert re.search(r"estimated time: [\d.]+ (s|min|h) with workers=1 \(from \d+ steps on this machine", result.stdout)
    assert not Path("results").exists()


def test_finished_runs_are_known_and_timed(
    smupar: Run,
    tiny: tuple[str, ...],
    grid_file: Path,
    results: Path,
    snapshot: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "run_spec", None)  # nothing is trained
    before = snapshot(results)
    result = smupar("plan", str(grid_file), *tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert "12 runs, 12 of them exist in results/grid" in result.stdout
    assert "to do: 0 runs, 0 tokens" in result.stdout
    assert "(from 12 records)" in result.stdout
    assert snapshot(results) == before


def test_an_adaptive_sweep_has_an_upper_bound_and_shared_runs(
    smupar: Run, tiny: tuple[str, ...], adaptive_file: Path
) -> None:
    words = ("plan", str(adaptive_file), *tiny)
    printed = smupar(*words).stdout
    counts = re.search(r"(\d+) runs expected of at most 42, 0 of them exist .*, (\d+) compute the same", printed, re.S)
    assert counts is not None, printed
    expected, shared = map(int, counts.groups())
    assert 15 <= expected < 42
    assert expected == 3 * shared  # of three parametrizations, one is another
    assert f"to do: {expected - shared} runs" in printed
    assert smupar("sweep", *words[1:]).returncode == 0
    assert "to do: 0 runs" in smupar(*words).stdout
    other = adaptive_file.rename(adaptive_file.with_name("other.yaml"))
    assert "to do: 0 runs" in smupar("plan", str(other), *tiny).stdout  # taken from the first result


def test_half_of_the_runs(smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path) -> None:
    stored = results / "grid" / "records.jsonl"
    stored.write_text("".join(stored.read_text().splitlines(keepends=True)[:5]))
    assert "12 runs, 5 of them exist" in smupar("plan", str(grid_file), *tiny).stdout


def test_a_single_target(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("plan", *tiny, "target.width=32", "target.sparsity=0.5")
    assert result.returncode == 0
    assert "1 runs, 0 of them exist in results/train" in result.stdout
    assert "to do: 1 runs, 128 tokens" in result.stdout


def test_more_workers_are_faster(smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path) -> None:
    words = ("plan", str(grid_file), *tiny, "budget.steps=100000")
    printed = smupar(*words, "workers=2").stdout
    assert "with workers=2" in printed
    assert "to do: 12 runs, 38,400,000 tokens" in printed


def test_runs_of_one_cost_are_one_row(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> None:
    dense = [specs.target_spec(composed("train", *tiny, f"seed={seed}")) for seed in range(2)]
    sparse = specs.target_spec(composed("train", *tiny, "target.sparsity=0.5"))
    groups = plan.group([*dense, sparse], {dense[0].key, sparse.key})
    assert [(item.runs, item.existing) for item in groups] == [(2, 1), (1, 1)]
    # embedding 256 x 16, hidden 16 x 16 x (3 + 1 + 4 + 4), three norms
    assert [item.cost.parameters for item in groups] == [7216, 7216]
    assert [item.cost.nonzero_parameters for item in groups] == [7216, 7216 - 1536]
    assert groups[1].cost.flops_sparse < groups[0].cost.flops_sparse
