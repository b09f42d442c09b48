"""``smupar coordinates``: real networks pass and fail as theory says; exit codes; resuming; narrowing by hand."""

from __future__ import annotations

import contextlib
import io
import random
import textwrap
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest

from smupar_transfer import training
from smupar_transfer.app import runs
from smupar_transfer.app.launch import launch
from smupar_transfer.app.sweeps import load_sweep, shipped_sweeps
from smupar_transfer.records import CoordinateRecord, CoordinateStore, RunSpec, read_manifest
from smupar_transfer.training import Data, Execution
from smupar_transfer.verification import publishing

Run = Callable[..., CompletedProcess[str]]

CHECK = """\
    question: Do sizes of a tiny network stay put?
    expected: Those of SμPar do.
    cost: seconds
    kind: coordinates
    axis: {axis}
    overrides: [model.width=64, model.depth=1, model.head_dim=16, {shared}, budget.steps=2, budget.warmup_steps=0,
                budget.batch_size=2, budget.sequence_length=32, budget.decay=none]
    grids:
      - parametrization.name: [sp, mup, smupar]
        {key}: {values}
        seed: [0, 1, 2, 3, 4, 5]
    runs: 36
"""
LEFT = {
    *("coordinates.jsonl", "sweep.json", "summary.csv", "slopes.csv", "gaps.csv", "README.md", "report.html"),
    *("check.png", "check.svg", "steps.png", "steps.svg"),
}
SMALL = ("target.width=64", "budget.steps=1", "parametrization=smupar")  # 12 runs of some milliseconds
HARMLESS = (*SMALL, "require=[]")


def write_check(path: Path, axis: str = "sparsity") -> Path:
    key, values, shared = (
        ("target.sparsity", "[0.0, 0.875]", "target.width=128")
        if axis == "sparsity"
        else ("target.width", "[64, 256]", "target.sparsity=0.75")
    )
    content = textwrap.dedent(CHECK).format(axis=axis, key=key, values=values, shared=shared)
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, ...]:
    """Tokens as unequal in frequency as those of a language; otherwise at random."""
    text = bytes(random.Random(0).choices(range(32, 128), weights=[1 / rank for rank in range(1, 97)], k=8000))
    (tmp_path / "zipf.txt").write_bytes(text)
    return "data=text", f"data.path={tmp_path / 'zipf.txt'}"


@pytest.fixture
def check(tmp_path: Path) -> str:
    return str(write_check(tmp_path / "check.yaml"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of figures where they are not what a test is about."""
    monkeypatch.setattr(publishing, "save", lambda figure, path: [])
    monkeypatch.setattr(publishing, "render_html", lambda *_: "")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the runs that are measured."""
    keys: list[str] = []

    def counted(spec: RunSpec, data: Data, execution: Execution) -> CoordinateRecord:
        keys.append(spec.key)
        return training.measure(spec, data, execution)

    monkeypatch.setattr(runs, "measure", counted)
    return keys


def verdicts(name: str = "check") -> dict[str, str]:
    table = pd.read_csv(f"results/{name}/summary.csv")
    return dict(zip(table["parametrization"], table["verdict"], strict=True))


def slopes_at_start(name: str = "check") -> pd.DataFrame:
    table = pd.read_csv(f"results/{name}/slopes.csv")
    return table[(table["moment"] == "start") & (table["coordinate"] != "update")]


def test_only_supar_stays_put_over_density(smupar: Run, data: tuple[str, ...], check: str) -> None:
    """The negative control: SP and muP fail the check that SuPar passes. All behave as theory says."""
    words = ("coordinates", check, *data)
    result = smupar(*words)
    assert result.returncode == 0, result.stderr + result.stdout
    assert verdicts() == {"sp": "drifts", "mup": "drifts", "smupar": "stays put"}
    table = slopes_at_start()
    assert (table["slope"] - table["predicted"]).abs().max() < 0.1
    assert "Verdict: holds" in result.stdout
    assert {path.name for path in Path("results/check").iterdir() if not path.name.startswith(".")} == LEFT
    page = Path("results/check/README.md").read_text(encoding="utf-8")
    manifest = read_manifest(Path("results/check"))
    assert (manifest.kind, manifest.axis) == ("coordinates", "sparsity")
    assert manifest.command.startswith("smupar coordinates ")
    for text in (
        load_sweep(check).question,
        manifest.command,
        "stay put under SμPar and drift under SP and μP",
        "check.png",
    ):
        assert text in page
    assert "36 runs, 36 of them exist" in smupar("plan", check, *data).stdout
    failed = smupar(*words, "require=[smupar,mup]")
    assert failed.returncode == 1
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("smupar:")]
    assert line.startswith("smupar: required, but μP drifts: ")
    assert "SμPar" not in line
    assert "wrote results/check" in failed.stdout


@pytest.mark.usefixtures("undrawn")
def test_sp_alone_drifts_over_width(smupar: Run, data: tuple[str, ...], tmp_path: Path) -> None:
    check = str(write_check(tmp_path / "check.yaml", "width"))
    result = smupar("coordinates", check, *data, "require=[mup,smupar]")
    assert result.returncode == 0, result.stderr + result.stdout
    assert verdicts() == {"sp": "drifts", "mup": "stays put", "smupar": "stays put"}


@pytest.mark.usefixtures("undrawn")
def test_one_parametrization_by_hand(smupar: Run, data: tuple[str, ...], check: str, measured: list[str]) -> None:
    words = ("coordinates", check, *data, *SMALL[:2])
    assert smupar(*words, "parametrization=mup").returncode == 0
    assert verdicts() == {"mup": "drifts"}
    assert len(measured) == 12
    assert smupar(*words, "parametrization=mup", "require=[mup]").returncode == 1
    result = smupar(*words, "parametrization=mup", "require=[smupar]")
    assert result.returncode == 2
    assert "require=smupar: is not measured; there are mup" in result.stderr
    assert smupar(*words, "require=[]").returncode == 0
    assert len(measured) == len(set(measured)) == 36, "what was measured by hand counts"


@pytest.mark.usefixtures("undrawn")
def test_one_seed_proves_nothing(smupar: Run, data: tuple[str, ...], check: str, measured: list[str]) -> None:
    result = smupar("coordinates", check, *data, *SMALL[:2], "seed=4", "parametrization.name=smupar")
    assert result.returncode == 1
    assert "required, but SμPar open" in result.stderr
    assert len(measured) == 2
    assert {record.spec.seed for record in CoordinateStore(Path("results/check"))} == {4}


def test_again_it_measures_nothing_and_writes_the_same(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str], snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    words = ("coordinates", check, *data, *HARMLESS)
    assert smupar(*words).returncode == 0
    before = snapshot(Path("results/check"))
    measured.clear()
    assert smupar(*words).returncode == 0
    assert measured == []
    assert smupar("plot", "check").returncode == 0
    assert snapshot(Path("results/check")) == before


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_check_goes_on(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(spec: RunSpec, data: Data, execution: Execution) -> CoordinateRecord:
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(spec.key)
        return training.measure(spec, data, execution)

    words = ("coordinates", check, *data, *HARMLESS)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "measure", interrupted)
        assert smupar(*words).returncode == 130
    assert len(CoordinateStore(Path("results/check")).keys()) == 5
    assert smupar(*words).returncode == 0
    assert len(measured) == len(set(measured)) == 12


@pytest.mark.usefixtures("undrawn")
def test_two_processes_measure_the_same(smupar: Run, data: tuple[str, ...], check: str) -> None:
    words = ("coordinates", check, *data, *HARMLESS, "seed=0")
    assert smupar(*words).returncode == 0
    assert smupar(*words, "workers=2", "results_dir=other").returncode == 0
    first, second = (list(CoordinateStore(Path(folder, "check"))) for folder in ("results", "other"))
    assert len(first) == 2
    assert [(r.key, r.layers, r.losses) for r in first] == [(r.key, r.layers, r.losses) for r in second]


@pytest.mark.usefixtures("undrawn")
def test_another_shape_of_ones_own(smupar: Run, data: tuple[str, ...], check: str) -> None:
    words = ("model=gpt_swiglu", "model.mlp_ratio=2", "target.width=96", "parametrization=smupar", "require=[]")
    result = smupar("coordinates", check, *data, *words)
    assert result.returncode == 0, result.stderr + result.stdout
    for record in CoordinateStore(Path("results/check")):
        assert (record.spec.model.width, record.spec.base_width, record.spec.model.depth) == (96, 64, 1)
        assert record.spec.model.activation == "swiglu"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        pytest.param(["require=[spumar]"], "require=spumar", id="unknown requirement"),
        pytest.param(["target.sparsity=0.5"], "has a single value", id="one place"),
        pytest.param(["workers=0"], "workers=0", id="no worker"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    smupar: Run, data: tuple[str, ...], check: str, words: list[str], needle: str
) -> None:
    result = smupar("coordinates", check, *data, *SMALL[:2], *words)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert needle in line
    assert not Path("results").exists()


def test_checks_and_sweeps_are_not_confused(smupar: Run, tiny: tuple[str, ...], check: str, grid_file: Path) -> None:
    result = smupar("coordinates", str(grid_file), *tiny)
    assert (result.returncode, "is no coordinate check" in result.stderr) == (2, True)
    result = smupar("sweep", check, *tiny)
    assert (result.returncode, "run: smupar coordinates" in result.stderr) == (2, True)
    assert not Path("results").exists()


def test_the_default_check_needs_no_name(smupar: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = smupar("coordinates", "coordinates_by_sparsity", "seed=3", "--cfg", "job")
    assert by_name.returncode == 0
    assert smupar("coordinates", "seed=3", "--cfg", "job").stdout == by_name.stdout
    assert "width: 256" in smupar("coordinates", "--cfg", "job").stdout
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert launch("coordinates", ["sweep=coordinates_by_width", "--cfg", "job"]) == 0
    assert "sweep: coordinates_by_width" in out.getvalue()


@pytest.mark.parametrize("name", ["coordinates_by_sparsity", "coordinates_by_width"])
def test_shipped_checks_ask_of_three_parametrizations_at_enough_weights(name: str) -> None:
    sweep = load_sweep(name)
    assert shipped_sweeps()[name].parent.name == sweep.kind == "coordinates"
    assert name.endswith(sweep.axis)
    shared = dict(word.split("=") for word in sweep.overrides)
    points: list[dict[str, Any]] = list(sweep.points())
    assert {point["parametrization.name"] for point in points} == {"sp", "mup", "smupar"}
    for point in points:
        width = float(point.get("target.width", shared.get("target.width", "nan")))
        sparsity = float(point.get("target.sparsity", shared.get("target.sparsity", "nan")))
        assert width * (1 - sparsity) >= 16
