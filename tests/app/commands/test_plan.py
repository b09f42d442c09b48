"""``smupar plan``: what it would cost, without doing it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import DictConfig

from smupar_transfer import kernels
from smupar_transfer.app.commands import plan
from smupar_transfer.sweeps import pricing
from smupar_transfer.training import precision_hint

Run = Callable[..., CompletedProcess[str]]
Snapshot = Callable[[Path], dict[str, bytes]]


def test_it_counts_the_runs_of_a_sweep_and_trains_none(smupar: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    result = smupar("plan", str(grid_file), *tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Does a grid of a dozen tiny runs work?" in result.stdout
    assert "12 runs, 0 of them exist in results/grid" in result.stdout
    assert "to do: 12 runs, 1,536 tokens" in result.stdout
    source = r"\(from calibrated layers and 9 steps at width 32\)\n"
    stated = r"cost, by its file: a second\n"
    time = r"estimated time: [\d.]+ s(, [\d.]+ s to [\d.]+ s,)? with workers=1 "  # a range where its ends differ
    assert re.search(stated + time + source, result.stdout)
    assert not Path("results").exists()


def test_finished_runs_are_known_and_timed(
    smupar: Run,
    tiny: tuple[str, ...],
    grid_file: Path,
    results: Path,
    snapshot: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pricing, "measure_steps", None)  # nothing is trained
    before = snapshot(results)
    result = smupar("plan", str(grid_file), *tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert "12 runs, 12 of them exist in results/grid" in result.stdout
    assert "to do: 0 runs, 0 tokens" in result.stdout
    assert re.search(
        r"estimated time: 0\.0 s, nothing is missing; [\d.]+ s if none of them existed \(from 12 records\)\n",
        result.stdout,
    )
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


def test_it_says_what_a_search_on_the_proxy_saves(smupar: Run, tiny: tuple[str, ...]) -> None:
    (line,) = re.findall(r"^a run of this target .*", smupar("plan", *tiny, "target.width=64").stdout, re.M)
    number = r"([\d.,]+)"
    said = re.search(
        rf"takes {number} times the operations and {number} times the time of one of its proxy \(width 16, dense\); 40 "
        rf"trials on the target take {number} times the operations and {number} times the time of 40 trials on the "
        "proxy and one run of the target",
        line,
    )
    assert said is not None, line
    operations, time, fewer, less = (float(value.replace(",", "")) for value in said.groups())
    assert 4 < operations < 16, "between what grows with width and what grows with its square"
    assert (fewer, less) == pytest.approx([40 * ratio / (40 + ratio) for ratio in (operations, time)], rel=0.01)
    assert "a run of this target" not in smupar("plan", *tiny).stdout, "the target is the proxy"


def test_the_search_that_is_priced_is_the_shipped_one(composed: Callable[..., DictConfig]) -> None:
    assert composed("tune").tuning.n_trials == plan.TRIALS


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


def test_some_runs_are_known_and_the_others_are_measured(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path
) -> None:
    stored = results / "grid" / "records.jsonl"
    dense = [line for line in stored.read_text().splitlines(keepends=True) if '"density": 1.0' in line]
    assert 0 < len(dense) < 12
    stored.write_text("".join(dense))
    expected = f"(from {len(dense)} records, and from calibrated layers and 9 steps at width 32)"
    assert expected in smupar("plan", str(grid_file), *tiny).stdout


def test_layers_are_listed_with_what_they_cost(smupar: Run, tiny: tuple[str, ...]) -> None:
    words = ("plan", *tiny, "target.width=64", "target.sparsity=0.75", "sparsity.backend=csr", "budget.batch_size=128")
    result = smupar(*words, "threads=1")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert re.fullmatch(
        r"sparse layers at width 64, sparsity 0.75: [\d.,]+ ms of a step \(2,048 tokens, threads=1\)", lines[0]
    )
    header = r"layer +shape +density +weights +masked +expand +csr( +native)? +takes +GFLOP +MiB"
    assert re.fullmatch(header, lines[1].strip())
    numbers = r"( +[\d.,]+){3,4} +csr +([\d.]+) +([\d.]+)"
    row = re.fullmatch(r"blocks\.\*\.attention\.qkv x1 +192x64 +0\.25 +3,072" + numbers, lines[2].strip())
    assert row is not None
    operations, mebibytes = (float(value) for value in row.groups()[1:])
    assert operations == 0.0377  # 6 a weight and token, in billions
    assert mebibytes == pytest.approx((3072 * 28 + 192 * 64 / 8) / 2**20, rel=0.05)
    # sentences, of the cost or of another precision, wrap at blanks
    tables = [line for line in lines if re.match(r"sparse layers|layer |blocks|per run|width |64 ", line)]
    assert len(tables) == 2 + 4 + 3
    assert max(map(len, tables)) <= 100


def test_a_dense_target_is_priced_as_dense(smupar: Run, tiny: tuple[str, ...]) -> None:
    lines = smupar("plan", *tiny, "target.width=32", "target.sparsity=0").stdout.splitlines()
    assert re.search(r"weights +dense +takes", lines[1])
    assert all(" dense " in line for line in lines[2:6])


def test_without_kernels_it_says_so(smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "native_problem", lambda: "there is no compiler")
    line = "not measured: native, there is no compiler"
    assert line in smupar("plan", *tiny).stdout
    assert line not in smupar("plan", *tiny, "sparsity.backend=masked").stdout


def test_a_much_faster_precision_is_told(smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_hint, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(precision_hint, "MUCH_FASTER", 0.0)
    words = (*tiny, "target.width=32", "target.sparsity=0.5")
    said = r"^precision=bfloat16 would compute the layers that may be sparse [\d.]+ times as fast here, .*=float32$"
    planned, trained = smupar("plan", *words), smupar("train", *words)
    assert len(re.findall(said, planned.stdout, re.MULTILINE)) == 1
    assert len(re.findall(said, trained.stderr, re.MULTILINE)) == 1
    monkeypatch.undo()
    assert "would compute" not in smupar("plan", *words).stdout
