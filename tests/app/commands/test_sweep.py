"""``smupar sweep``: end to end on a dozen runs, again, half-finished, and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest

from smupar_transfer import training
from smupar_transfer.records import FileClaims, RunRecord, RunSpec, RunStore, read_manifest, read_tuned
from smupar_transfer.sweeps import run_missing
from smupar_transfer.sweeps.files import load_sweep
from smupar_transfer.sweeps.sharing import CLAIMS_FOLDER
from smupar_transfer.training import Data, Execution

Run = Callable[..., CompletedProcess[str]]

CONTRACT = ("key", "spec", "train_loss", "validation_loss", "bits_per_byte", "diverged", "tokens", "wall_seconds")
LEFT = {
    *("records.jsonl", "sweep.json", "summary.csv", "drift.csv", "README.md", "report.html"),
    *(f"{name}.{suffix}" for name in ("grid", "optimum", "regret", "learning") for suffix in ("png", "svg")),
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the runs that are trained."""
    keys: list[str] = []

    def counted(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> RunRecord:
        keys.append(spec.key)
        return training.run(spec, data, execution)

    monkeypatch.setattr(run_missing, "run", counted)
    return keys


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_leaves_records_tables_figures_and_a_page(smupar: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    result = smupar("sweep", str(grid_file), *tiny)
    assert result.returncode == 0, result.stderr
    folder = Path("results/grid")
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == LEFT
    assert "12/12" in result.stderr
    for word in ("SP", "SμPar", "optimal learning rate stays put", "wrote results/grid"):
        assert word in result.stdout


def test_records_have_the_keys_that_others_build_on(results: Path) -> None:
    records = lines(results / "grid" / "records.jsonl")
    assert len(records) == 12
    assert [record["key"] for record in records] == sorted({record["key"] for record in records})
    for record in records:
        assert set(CONTRACT) <= set(record)
        assert record["spec"]["model"]["width"] == 32
        assert type(record["diverged"]) is bool
        assert record["tokens"] == 128
        assert record["wall_seconds"] >= 0
        assert record["bits_per_byte"] == pytest.approx(record["validation_loss"] / 0.6931471805599453)
    points = {
        (
            record["spec"]["parametrization"],
            record["spec"]["sparsity"]["density"],
            record["spec"]["hparams"]["learning_rate"],
        )
        for record in records
    }
    assert points == {(name, rho, 2.0**lr) for name in ("sp", "smupar") for rho in (1.0, 0.5) for lr in (-8, -7, -6)}


def test_the_summary_has_a_row_a_cell(results: Path) -> None:
    summary = pd.read_csv(results / "grid" / "summary.csv")
    cells = summary[["parametrization", "width", "sparsity"]].itertuples(index=False, name=None)
    assert set(cells) == {(name, 32, sparsity) for name in ("sp", "smupar") for sparsity in (0.0, 0.5)}
    assert {"log2_value", "low", "high", "status", "loss"} <= set(summary.columns)
    assert summary[["low", "high"]].isna().all(axis=None), "one seed has no interval"
    assert summary["log2_value"].between(-8, -6).all()


def test_the_page_names_question_command_and_outcome(results: Path, tiny: tuple[str, ...], grid_file: Path) -> None:
    page = (results / "grid" / "README.md").read_text()
    assert load_sweep(str(grid_file)).question in page
    assert "smupar sweep" in page
    assert "budget.steps=4" in page
    assert "12" in page
    for link in ("grid.svg", "optimum.svg"):
        assert link in page


def test_the_manifest_lists_every_run(results: Path) -> None:
    manifest = read_manifest(results / "grid")
    assert set(manifest.keys) == {record["key"] for record in lines(results / "grid" / "records.jsonl")}
    assert manifest.name == "grid"


def test_again_it_trains_nothing(
    smupar: Run,
    tiny: tuple[str, ...],
    grid_file: Path,
    results: Path,
    trained: list[str],
    snapshot: Callable[[Path], dict[str, bytes]],
) -> None:
    before = snapshot(results / "grid")
    assert smupar("sweep", "grid.yaml", *tiny).returncode == 0
    assert trained == []
    after = snapshot(results / "grid")
    differing = {name for name in before if before[name] != after[name]}
    assert differing <= {
        "sweep.json",
        "README.md",
        "report.html",
    }  # they name the command, which has other paths in it here
    assert smupar("sweep", "grid.yaml", *tiny).returncode == 0
    assert snapshot(results / "grid") == after


def test_it_says_what_there_is_to_do_and_what_that_takes(smupar: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    printed = smupar("sweep", str(grid_file), *tiny).stdout.splitlines()
    assert printed[:4] == [
        f"sweep grid of {grid_file}",
        "Does a grid of a dozen tiny runs work?",
        "expected: It does.",
        "",
    ]
    assert printed[4:7] == [
        "12 runs, 0 of them exist in results/grid",
        "to do: 12 runs, 1,536 tokens",
        "cost, by its file: a second",
    ]
    assert re.fullmatch(
        r"estimated time: [\d., s to]+ with workers=1 \(from calibrated layers and \d+ steps .*\)", printed[7]
    )


def test_it_says_that_nothing_was_trained_and_how_to_train(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path
) -> None:
    printed = smupar("sweep", str(grid_file), *tiny).stdout
    assert (
        "all 12 runs have records in results/grid: nothing is trained, tables and figures are drawn again; to run them "
        "yourself, give results_dir=DIR"
    ) in printed
    assert "estimated time" not in printed
    other = grid_file.rename(grid_file.with_name("other.yaml"))
    printed = smupar("sweep", str(other), *tiny).stdout
    copied = "all 12 runs have records in results/other, 12 of them as copies of runs that compute the same: nothing"
    assert copied in printed


@pytest.mark.parametrize("command", ["sweep", "plan"])
def test_it_speaks_before_it_imports_what_takes_long(
    python: Callable[..., CompletedProcess[str]], tiny: tuple[str, ...], grid_file: Path, command: str
) -> None:
    program = (
        "import sys\n"
        "from smupar_transfer.app import console, main\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'optuna', 'scipy'}\n"
        "console.introduction = lambda sweep, file: sys.exit(f'{sweep.name}: {sorted(heavy & set(sys.modules))}')\n"
        "main.main(sys.argv[1:])\n"
    )
    assert python("-c", program, command, str(grid_file), *tiny).stderr == "grid: []\n"
    assert python("-c", program, command, "lr_by_sparsity").stderr == "lr_by_sparsity: []\n"


def test_a_persons_own_sweep_is_not_judged_by_the_papers_claims(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path
) -> None:
    content = grid_file.read_text()
    grid_file.write_text(content.replace("expected: It does.\ncost: a second\n", ""))
    printed = smupar("sweep", str(grid_file), *tiny).stdout
    folder = Path("results/grid")
    pages = [printed, (folder / "README.md").read_text(), (folder / "report.html").read_text()]
    for text in pages:
        assert not re.search(r"(?i:claim:|verdict:|paper|expected)|\bNone\b", text)
    assert read_manifest(folder).claim is None
    grid_file.write_text(content.replace("cost:", "claim: supar\ncost:"))
    printed = smupar("sweep", str(grid_file), *tiny).stdout
    pages = [printed, (folder / "README.md").read_text(), (folder / "report.html").read_text()]
    for text in pages:
        assert "octaves, as in the paper" in text
        assert re.search(r"expected.*It does\.", text, re.IGNORECASE)


@pytest.mark.parametrize(
    "words", [("seed=1",), ("parametrization=sp",), ("target.width=48",), ("data.validation_fraction=0.2",)]
)
def test_another_sweep_of_the_same_name_replaces_nothing(
    smupar: Run,
    tiny: tuple[str, ...],
    grid_file: Path,
    results: Path,
    trained: list[str],
    snapshot: Callable[[Path], dict[str, bytes]],
    words: tuple[str, ...],
) -> None:
    before = snapshot(results)
    result = smupar("sweep", str(grid_file), *tiny, *words)
    (line,) = result.stderr.splitlines()
    lost = 6 if words[0].startswith("parametrization") else 12
    assert line.startswith(f"smupar: results_dir=results: results/grid holds {lost} finished runs that are not part of")
    assert line.endswith("give another results_dir, or move results/grid away")
    assert (result.returncode, trained) == (2, [])
    assert snapshot(results) == before
    planned = smupar("plan", str(grid_file), *tiny, *words)
    assert (planned.returncode, planned.stderr) == (0, "")
    assert f"`smupar sweep` would refuse: results_dir=results: results/grid holds {lost} finished" in planned.stdout
    assert smupar("sweep", str(grid_file), *tiny, *words, "results_dir=other").returncode == 0


def test_a_sweep_may_become_larger(smupar: Run, tiny: tuple[str, ...], grid_file: Path, trained: list[str]) -> None:
    assert smupar("sweep", str(grid_file), *tiny, "parametrization=sp").returncode == 0
    assert len(trained) == 6
    assert smupar("sweep", str(grid_file), *tiny).returncode == 0
    content = grid_file.read_text().replace("seed: [0]", "seed: [0, 1]").replace("runs: 12", "runs: 24")
    grid_file.write_text(content)
    assert "`smupar sweep` would refuse" not in smupar("plan", str(grid_file), *tiny).stdout
    assert smupar("sweep", str(grid_file), *tiny).returncode == 0
    assert len(trained) == 24


def test_the_folder_of_a_study_is_no_place_for_a_sweep(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path, snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    before = snapshot(results)
    for name in ("proxy", "train"):
        file = grid_file.rename(grid_file.with_name(f"{name}.yaml"))
        result = smupar("sweep", str(file), *tiny)
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
        assert f"results/{name} holds " in result.stderr
        file.rename(grid_file)
    assert snapshot(results) == before


def test_half_a_sweep_is_completed(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path, trained: list[str]
) -> None:
    stored = results / "grid" / "records.jsonl"
    content = stored.read_text().splitlines(keepends=True)
    whole = {record["key"]: record for record in lines(stored)}
    stored.write_text("".join(content[:7]))
    result = smupar("sweep", "grid.yaml", *tiny)
    assert result.returncode == 0
    assert sorted(trained) == sorted(set(whole) - {record["key"] for record in map(json.loads, content[:7])})
    assert len(lines(stored)) == 12
    for record in lines(stored):
        assert record["validation_loss"] == whole[record["key"]]["validation_loss"]
    kept = [json.loads(line) for line in content[:7]]
    assert all(record in lines(stored) for record in kept)


def test_a_tuned_point_leaves_the_axes_of_the_grid_alone(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path
) -> None:
    tuned = read_tuned(results / "proxy" / "tuned.yaml").hparams
    assert smupar("sweep", "grid.yaml", *tiny, "tuned=results/proxy/tuned.yaml", "results_dir=other").returncode == 0
    trained = [record.spec.hparams for record in RunStore(Path("other/grid"))]
    assert {hparams.init_std for hparams in trained} == {tuned.init_std}
    assert {hparams.learning_rate for hparams in trained} == {2.0**-8, 2.0**-7, 2.0**-6}


def test_diverging_runs_are_part_of_the_outcome(smupar: Run, tiny: tuple[str, ...], grid_file: Path) -> None:
    content = grid_file.read_text().replace("first: -8, last: -6, step: 1", "first: -6, last: 94, step: 50")
    grid_file.write_text(content)
    result = smupar("sweep", str(grid_file), *tiny)
    assert result.returncode == 0, result.stderr
    records = list(RunStore(Path("results/grid")))
    assert 0 < sum(record.diverged for record in records) < 12
    assert "diverged" in Path("results/grid/README.md").read_text()


def test_the_command_on_the_page_makes_the_same_runs(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, trained: list[str]
) -> None:
    assert smupar("sweep", str(grid_file), *tiny).returncode == 0
    command = read_manifest(Path("results/grid")).command.split()
    assert command[0] == "smupar"
    trained.clear()
    result = smupar(*command[1:])
    assert (result.returncode, trained) == (0, []), result.stderr


def test_an_adaptive_sweep_runs_in_rounds_and_tells_what_it_saved(
    smupar: Run, tiny: tuple[str, ...], adaptive_file: Path, trained: list[str]
) -> None:
    result = smupar("sweep", str(adaptive_file), *tiny)
    assert result.returncode == 0, result.stderr
    records = {record.key: record for record in RunStore(Path("results/adaptive"))}
    manifest = read_manifest(Path("results/adaptive"))
    assert set(manifest.keys) == set(records)
    assert (manifest.full_grid, manifest.swept, manifest.axis) == (42, ("learning_rate",), "sparsity")
    saved = f"Adaptive: {len(records)} of the full grid's 42 runs; {42 - len(records)} were not needed."
    assert 15 <= len(records) < 42
    assert saved in result.stdout
    assert f"{len(records)}/{len(records)}" in result.stderr
    assert saved in Path("results/adaptive/README.md").read_text()
    shared = [record for record in records.values() if record.same_as]
    assert {record.spec.parametrization for record in shared} == {"smupar"}  # dense, so that muP is the same
    assert sorted(trained) == sorted(set(records) - {record.key for record in shared})
    assert f"{len(trained)} different trainings" in Path("results/adaptive/README.md").read_text()


@pytest.mark.parametrize("kept", [9])  # in the second round; every other point: tests/sweeps/test_adaptive.py
def test_an_adaptive_sweep_that_was_killed_goes_on_to_the_same_runs(
    smupar: Run, tiny: tuple[str, ...], adaptive_file: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    def until_killed(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> RunRecord:
        if len(RunStore(Path("results/adaptive")).keys()) >= kept:
            raise KeyboardInterrupt
        return training.run(spec, data, execution)

    monkeypatch.setattr(run_missing, "run", until_killed)
    assert smupar("sweep", str(adaptive_file), *tiny).returncode == 130
    monkeypatch.setattr(run_missing, "run", training.run)
    assert kept <= len(RunStore(Path("results/adaptive")).keys()) < 15
    assert set(read_manifest(Path("results/adaptive")).keys) > RunStore(Path("results/adaptive")).keys()
    assert smupar("sweep", str(adaptive_file), *tiny).returncode == 0
    assert smupar("sweep", str(adaptive_file), *tiny, "results_dir=whole").returncode == 0
    whole = read_manifest(Path("whole/adaptive"))
    assert set(read_manifest(Path("results/adaptive")).keys) == set(whole.keys)


def test_runs_of_other_results_are_not_trained_again(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, results: Path, trained: list[str]
) -> None:
    other = grid_file.rename(grid_file.with_name("other.yaml"))
    (results / "broken").mkdir()
    (results / "broken" / "records.jsonl").write_text("{\n", encoding="utf-8")
    assert smupar("sweep", str(other), *tiny).returncode == 0
    assert trained == []
    copies, origin = RunStore(results / "other"), RunStore(results / "grid")
    assert [(run.key, run.history, run.same_as) for run in copies] == [(run.key, run.history, None) for run in origin]


def members(group: int) -> list[str]:
    """Processes of a process group that still run."""
    names = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended while we looked
            continue
        if int(its_group) == group and state != "Z":
            names.append(stat.parent.name)
    return names


def with_a_first_record(words: tuple[str, ...], store: RunStore) -> subprocess.Popen[str]:
    """A sweep on two workers in a process group of its own, as soon as one run is finished."""
    command = [sys.executable, "-m", "smupar_transfer.app.main", *words, "workers=2"]
    process = subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while not store.keys() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    return process


def test_a_sweep_that_was_killed_outright_loses_no_finished_run(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, trained: list[str]
) -> None:
    words = ("sweep", str(grid_file), *tiny, "budget.steps=150")
    store = RunStore(Path("results/grid"))
    with with_a_first_record(words, store) as process:
        os.killpg(process.pid, signal.SIGKILL)
    kept = {record.key: record for record in store}  # all of them can be read
    assert 1 <= len(kept) < 12
    killed_at = {claim.name for claim, _ in FileClaims(Path("results/grid") / CLAIMS_FOLDER).all()} - kept.keys()
    assert smupar(*words).returncode == 0
    # what it was killed at may have killed it, and is trained by a process of its own
    assert len(trained) == len(set(trained) - killed_at) == 12 - len(kept) - len(killed_at)
    assert {record.key: record for record in store if record.key in kept} == kept
    assert len(store.keys()) == 12


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_ends_all_workers_and_keeps_their_records(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, trained: list[str]
) -> None:
    words = ("sweep", str(grid_file), *tiny, "budget.steps=150")
    store = RunStore(Path("results/grid"))
    with with_a_first_record(words, store) as process:
        interrupted = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - interrupted < 15
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "smupar: interrupted; run the same command again to go on"
    assert "Traceback" not in err
    gone = time.monotonic() + 5
    while members(process.pid) and time.monotonic() < gone:
        time.sleep(0.05)
    assert members(process.pid) == []
    kept: set[str] = store.keys()
    assert 1 <= len(kept) < 12
    specs: list[RunSpec] = [record.spec for record in store]  # all of them can be read
    assert all(spec.key in kept for spec in specs)
    assert smupar(*words).returncode == 0
    assert len(trained) == 12 - len(kept)
    assert len(store.keys()) == 12
