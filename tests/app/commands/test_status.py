"""``smupar status``: what is done, running, left and failed, from any terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.records import FailureStore, FileClaims, RunFailure, RunStore, read_manifest
from smupar_transfer.sweeps.sharing import CLAIMS_FOLDER

Run = Callable[..., CompletedProcess[str]]


def take_away(folder: Path, count: int) -> list[str]:
    """Remove the records of some runs; their keys."""
    file = folder / "records.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[count:]))
    return [json.loads(line)["key"] for line in lines[:count]]


def test_a_finished_sweep(smupar: Run, results: Path, snapshot: Callable[[Path], dict[str, bytes]]) -> None:
    before = snapshot(results)
    result = smupar("status", "grid")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "grid: 12 runs done, 0 running, 0 left, 0 failed\nnothing is left\n"
    assert snapshot(results) == before


def test_a_sweep_at_which_nobody_is_at_work(smupar: Run, results: Path) -> None:
    take_away(results / "grid", 5)
    out = smupar("status", "grid").stdout
    assert out == "grid: 7 runs done, 0 running, 5 left, 0 failed\nnobody is at work: smupar sweep grid goes on\n"


def test_a_sweep_that_runs_tells_who_and_when_it_ends(smupar: Run, results: Path) -> None:
    running, failed, *_ = take_away(results / "grid", 5)
    FailureStore(results / "grid").put(RunFailure(failed, "memory ran out: 3 GiB", "node7", time.time()))
    with FileClaims(results / "grid" / CLAIMS_FOLDER) as claims:
        claim = claims.take(running)
        assert claim is not None
        out = smupar("status", "grid").stdout
    assert out.startswith("grid: 7 runs done, 1 running, 3 left, 1 failed\n")
    assert f"{claim.host}, process {claim.process.split('/')[1]}" in out
    assert running[:12] in out
    assert "memory ran out: 3 GiB" in out
    mean = sum(record.wall_seconds for record in RunStore(results / "grid")) / 7
    told = float(out.partition("expected end: in ")[2].partition(" s")[0])
    assert told == pytest.approx(3 * mean + mean / 2, abs=mean / 2 + 0.1), "three left, and the rest of one"


def test_a_claim_of_a_dead_process_is_no_run(smupar: Run, results: Path) -> None:
    (running,) = take_away(results / "grid", 1)
    folder = results / "grid" / CLAIMS_FOLDER
    with FileClaims(folder) as claims:
        assert claims.take(running) is not None
        content = json.loads((folder / f"{running}.0").read_text())
        machine, _, birth = content["process"].rsplit("/", 2)
        (folder / f"{running}.0").write_text(json.dumps({**content, "process": f"{machine}/{2**22 + 1}/{birth}"}))
        assert "11 runs done, 0 running, 1 left, 0 failed" in smupar("status", "grid").stdout


def test_a_study(smupar: Run, results: Path, snapshot: Callable[[Path], dict[str, bytes]]) -> None:
    before = snapshot(results)
    result = smupar("status", "proxy")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("proxy: 2 trials done, 0 running, 0 left, 0 failed; lowest validation loss ")
    assert result.stdout.endswith("\nnothing is left\n")
    assert snapshot(results) == before, "it is only read"


def test_a_study_by_its_url(smupar: Run, results: Path) -> None:
    result = smupar("status", "proxy", f"storage=sqlite:///{results}/proxy/study.db", "results_dir=nowhere")
    assert "proxy: 2 trials done" in result.stdout
    result = smupar("status", "other", f"storage=sqlite:///{results}/proxy/study.db")
    assert result.returncode == 2
    assert "holds no study other" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_name_of_nothing(smupar: Run, results: Path) -> None:
    result = smupar("status", "gird")
    assert result.returncode == 2
    assert "sweep=gird: has neither runs nor trials" in result.stderr
    assert "did you mean grid?" in result.stderr
    assert read_manifest(results / "grid").name == "grid"
