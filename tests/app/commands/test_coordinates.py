"""``smupar coordinates``: real networks pass and fail as theory says; exit codes; resuming; narrowing by hand."""

from __future__ import annotations

import contextlib
import io
import random
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest

from smupar_transfer import training
from smupar_transfer.app.hydra_entry import launch
from smupar_transfer.records import (
    CoordinateRecord,
    CoordinateStore,
    Environment,
    GPTSpec,
    LayerSizes,
    RunSpec,
    read_manifest,
)
from smupar_transfer.reporting import publish
from smupar_transfer.sparsity import AUTO, BACKENDS
from smupar_transfer.sweeps import run_missing
from smupar_transfer.sweeps.files import load_sweep, shipped_sweeps
from smupar_transfer.training import Data, Execution

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
    monkeypatch.setattr(publish, "save", lambda figure, path: [])
    monkeypatch.setattr(publish, "render_html", lambda *_: "")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the runs that are measured."""
    keys: list[str] = []

    def counted(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> CoordinateRecord:
        keys.append(spec.key)
        return training.measure(spec, data, execution)

    monkeypatch.setattr(run_missing, "measure", counted)
    return keys


def complaint(result: CompletedProcess[str]) -> str:
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("smupar:")]
    return line


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
        "check.svg",
    ):
        assert text in page
    assert "36 runs, 36 of them exist" in smupar("plan", check, *data).stdout
    failed = smupar(*words, "require=[smupar,mup]")
    assert failed.returncode == 1
    line = complaint(failed)
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
def test_one_seed_proves_nothing_and_a_seed_by_hand_gets_no_other(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str]
) -> None:
    """It ended with 1, as if something had failed."""
    result = smupar("coordinates", check, *data, *SMALL[:2], "seed=4", "parametrization.name=smupar")
    assert result.returncode == 3
    line = complaint(result)
    assert line.startswith("smupar: required, but undecided: SμPar open: ")
    assert "has one seed, hence no interval" in line
    assert line.endswith("what would decide it: two seeds or more")
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
    def interrupted(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> CoordinateRecord:
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(spec.key)
        return training.measure(spec, data, execution)

    words = ("coordinates", check, *data, *HARMLESS)
    with monkeypatch.context() as patch:
        patch.setattr(run_missing, "measure", interrupted)
        assert smupar(*words).returncode == 130
    assert len(CoordinateStore(Path("results/check")).keys()) == 5
    assert smupar(*words).returncode == 0
    assert len(measured) == len(set(measured)) == 12


@pytest.mark.usefixtures("undrawn")
def test_a_check_that_was_killed_before_it_gathered_its_records_gathers_them(
    smupar: Run, data: tuple[str, ...], check: str
) -> None:
    words = ("coordinates", check, *data, *HARMLESS, "seed=0")
    assert smupar(*words).returncode == 0
    store, gathered = CoordinateStore(Path("results/check")), Path("results/check/coordinates.jsonl")
    before, records = gathered.read_bytes(), list(store)
    gathered.unlink()
    for record in records:
        store.put(record)
    assert smupar(*words).returncode == 0
    assert gathered.read_bytes() == before
    assert not Path("results/check/coordinates").exists()


@pytest.mark.usefixtures("undrawn")
def test_two_processes_measure_the_same(smupar: Run, data: tuple[str, ...], check: str) -> None:
    words = ("coordinates", check, *data, *HARMLESS, "seed=0")
    assert smupar(*words).returncode == 0
    assert smupar(*words, "workers=2", "results_dir=other").returncode == 0
    first, second = (list(CoordinateStore(Path(folder, "check"))) for folder in ("results", "other"))
    assert len(first) == 2
    assert [(r.key, r.layers, r.losses) for r in first] == [(r.key, r.layers, r.losses) for r in second]


@pytest.mark.usefixtures("undrawn")
def test_another_check_of_the_same_name_replaces_nothing(
    smupar: Run, data: tuple[str, ...], check: str, snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    words = ("coordinates", check, *data, *HARMLESS)
    assert smupar(*words, "seed=0").returncode == 0
    before = snapshot(Path("results"))
    result = smupar(*words, "seed=1")
    assert result.returncode == 2
    assert re.search(r"check holds 2 finished runs that are not part of this sweep .* give another", result.stderr)
    assert snapshot(Path("results")) == before
    assert smupar(*words).returncode == 0  # all seeds: those of before among them


@pytest.mark.usefixtures("undrawn")
def test_another_shape_of_ones_own(smupar: Run, data: tuple[str, ...], check: str) -> None:
    words = ("model=gpt_swiglu", "model.mlp_ratio=2", "target.width=96", "parametrization=smupar", "require=[]")
    result = smupar("coordinates", check, *data, *words)
    assert result.returncode == 0, result.stderr + result.stdout
    for record in CoordinateStore(Path("results/check")):
        assert isinstance(record.spec.model, GPTSpec)
        assert (record.spec.model.width, record.spec.base_width, record.spec.model.depth) == (96, 64, 2)
        assert record.spec.model.activation == "swiglu"


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        pytest.param(["require=[spumar]"], "require=spumar", id="unknown requirement"),
        pytest.param(["target.sparsity=0.5"], "has a single value", id="one place"),
        pytest.param(["workers=0"], "workers=0", id="no worker"),
        pytest.param(["max_seeds=0"], "max_seeds=0: must be at least 1; 1 adds no seed", id="no seed"),
        pytest.param(["max_seeds=some"], "max_seeds", id="no number"),
        pytest.param(["budget.tokens_per_parameter=0.01"], "differ in: budget.steps", id="steps by density"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    smupar: Run, data: tuple[str, ...], check: str, words: list[str], needle: str
) -> None:
    small = SMALL[:1] if words[0].startswith("budget.tokens") else SMALL[:2]  # which replace steps
    result = smupar("coordinates", check, *data, *small, *words)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("caution: ")]
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


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("backend", [*sorted(BACKENDS), AUTO])
def test_in_bfloat16_supar_stays_put_and_its_controls_drift(
    smupar: Run, data: tuple[str, ...], check: str, backend: str
) -> None:
    """It ended in a traceback, under every backend."""
    if backend == "native" and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    result = smupar("coordinates", check, *data, "precision=bfloat16", f"sparsity.backend={backend}")
    assert result.returncode == 0, result.stderr + result.stdout
    assert verdicts() == {"sp": "drifts", "mup": "drifts", "smupar": "stays put"}
    table = slopes_at_start()
    assert (table["slope"] - table["predicted"]).abs().max() < 0.1


Powers = Callable[[RunSpec], float]


@pytest.fixture
def made_up(measured: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have runs measured in no time: sizes follow density with an exponent that the test gives, a run each.

    ``late`` is added to that of the last step's gradients; ``norm`` is that of all gradients.
    """

    def set_up(power: Powers, late: float = 0.0, norm: float = 0.5) -> None:
        def measure(spec: RunSpec, data: Data, execution: Execution, *_: object) -> CoordinateRecord:
            measured.append(spec.key)
            steps = spec.budget.steps
            size = spec.sparsity.density ** power(spec)
            sizes = (size,) * (steps + 1)
            gradients = (*sizes[:-1], size * spec.sparsity.density**late)
            layer = LayerSizes("a layer", spec.sparsity.density, sizes, sizes, gradients, sizes[:-1])
            environment = Environment("a processor", "cpu", "masked", 1, {})
            return CoordinateRecord(spec.key, spec, (5.0,) * (steps + 1), (layer,), 0.1, environment, (norm,) * steps)

        monkeypatch.setattr(run_missing, "measure", measure)

    return set_up


def scattered(amount: float) -> Powers:
    """Exponents that differ between seeds, about 0."""
    return lambda spec: amount * (-1) ** spec.seed


def three_seeds(check: str) -> str:
    """A check of one's own with three seeds."""
    path = Path(check)
    content = (
        path.read_text(encoding="utf-8").replace("[0, 1, 2, 3, 4, 5]", "[0, 1, 2]").replace("runs: 36", "runs: 18")
    )
    path.write_text(content, encoding="utf-8")
    return check


def test_seeds_are_added_until_it_is_decided(
    smupar: Run,
    data: tuple[str, ...],
    check: str,
    measured: list[str],
    made_up: Callable[..., None],
    snapshot: Callable[[Path], dict[str, bytes]],
) -> None:
    """Three seeds left a parametrization open that stays put, and the exit code was 1."""
    made_up(scattered(0.06))
    words = ("coordinates", three_seeds(check), *data, "max_seeds=12")
    result = smupar(*words)
    assert result.returncode == 0, result.stderr
    assert "SμPar open: " in result.stdout
    assert "3 seeds are added (3, 4, 5)" in " ".join(result.stdout.split())
    assert len(measured) == len(set(measured)) == 18 + 3 * 2
    assert verdicts() == {"sp": "open", "mup": "open", "smupar": "stays put"}
    manifest = read_manifest(Path("results/check"))
    assert set(manifest.keys) == set(measured)
    assert manifest.added_seeds == {"smupar": (3, 4, 5)}
    page = Path("results/check/README.md").read_text(encoding="utf-8")
    assert "SμPar was open with the seeds of the file: 3, 4 and 5 were added." in page
    assert "24 of 24 planned; seeds 0, 1, 2, 3, 4, 5" in page
    table = pd.read_csv("results/check/slopes.csv")
    assert dict(zip(table["parametrization"], table["seeds"], strict=True)) == {"sp": 3, "mup": 3, "smupar": 6}
    before = snapshot(Path("results/check"))
    measured.clear()
    assert smupar(*words).returncode == 0
    assert smupar("plot", "check").returncode == 0
    assert measured == []
    assert snapshot(Path("results/check")) == before


@pytest.mark.usefixtures("undrawn")
def test_an_interruption_among_added_seeds_goes_on(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str], made_up: Callable[..., None]
) -> None:
    def interrupted(spec: RunSpec) -> float:
        if spec.seed == 4 and len(measured) < 24:
            raise KeyboardInterrupt
        return scattered(0.06)(spec)

    made_up(interrupted)
    words = ("coordinates", three_seeds(check), *data, "max_seeds=12")
    assert smupar(*words).returncode == 130
    left = len(CoordinateStore(Path("results/check")).keys())
    assert 18 < left < 24
    made_up(scattered(0.06))
    assert smupar(*words).returncode == 0
    assert len(CoordinateStore(Path("results/check")).keys()) == 24


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("words", "runs_made", "code"),
    [
        pytest.param(["max_seeds=12"], 18 + 9 * 2, 3, id="up to the bound"),
        pytest.param(["max_seeds=3"], 18, 3, id="none allowed"),
        pytest.param(["max_seeds=1"], 18, 3, id="none allowed at all"),
        pytest.param(["require=[]"], 18, 0, id="nothing required"),
        pytest.param(["seed=1"], 6, 3, id="a seed by hand"),
    ],
)
def test_what_stays_open_ends_with_a_code_of_its_own(
    smupar: Run,
    data: tuple[str, ...],
    check: str,
    measured: list[str],
    made_up: Callable[..., None],
    words: list[str],
    runs_made: int,
    code: int,
) -> None:
    made_up(scattered(1.0))
    result = smupar("coordinates", three_seeds(check), *data, *words)
    assert result.returncode == code
    assert len(measured) == runs_made
    assert verdicts()["smupar"] == "open"
    if code == 0:
        assert "nothing is required of sp, mup, smupar: the exit code tells nothing about it" in result.stdout
    elif words[0].startswith("max_seeds"):
        line = complaint(result)
        assert "SμPar open: " in line
        assert "lies across the border of -0.1 to +0.1" in line
        assert line.endswith(f"what would decide it: more seeds than {words[0]}")


@pytest.mark.usefixtures("undrawn")
def test_a_drift_outweighs_what_is_undecided(
    smupar: Run, data: tuple[str, ...], check: str, made_up: Callable[..., None]
) -> None:
    made_up(lambda spec: 0.5 if spec.parametrization == "mup" else scattered(1.0)(spec))
    result = smupar("coordinates", three_seeds(check), *data, "max_seeds=3", "require=[mup,smupar]")
    assert result.returncode == 1
    assert complaint(result).startswith("smupar: required, but μP drifts: ")
    assert "; SμPar open: " in complaint(result)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("words", "norm", "code"),
    [
        pytest.param(["optimizer=sgd"], 4.0, 3, id="the clip acted"),
        pytest.param(["optimizer=sgd"], 0.5, 1, id="it did not"),
        pytest.param(["optimizer=sgd", "optimizer.gradient_clip=0"], 4.0, 1, id="there is none"),
        pytest.param([], 4.0, 1, id="under Adam it changes nothing"),
    ],
)
def test_what_the_clip_may_have_done_under_sgd_is_not_held_against_a_parametrization(
    smupar: Run,
    data: tuple[str, ...],
    check: str,
    measured: list[str],
    made_up: Callable[..., None],
    words: list[str],
    norm: float,
    code: int,
) -> None:
    made_up(scattered(0.001), late=-0.9, norm=norm)
    result = smupar("coordinates", check, *data, *words)
    assert result.returncode == code
    assert len(measured) == 36, "more seeds would not tell"
    if code == 3:
        line = complaint(result)
        assert "but the gradient clip acted in 24 of 24 steps of SGD" in line
        assert "optimizer.gradient_clip=0" in line
        assert "the gradient clip acted in 24 of 24 steps" in Path("results/check/README.md").read_text(
            encoding="utf-8"
        )


@pytest.mark.usefixtures("undrawn")
def test_a_real_clip_under_sgd_is_said_and_taken_out_of_first_updates(
    smupar: Run, data: tuple[str, ...], check: str
) -> None:
    words = ("coordinates", check, *data, "optimizer=sgd", "parametrization=smupar", "require=[]")

    def first_updates(*more: str) -> float:
        folder = f"results{len(more)}"  # another network is another result
        result = smupar(*words, *more, f"results_dir={folder}")
        assert result.returncode == 0, result.stderr
        assert ("the gradient clip acted in" in result.stdout) == (not more)
        table = pd.read_csv(f"{folder}/check/slopes.csv")
        chosen = table[(table["coordinate"] == "update") & (table["moment"] == "start")]
        return float(chosen["slope"].mean())

    assert first_updates() == pytest.approx(first_updates("optimizer.gradient_clip=0"), abs=0.01)


@pytest.mark.usefixtures("undrawn")
def test_divergence_is_undecided(smupar: Run, data: tuple[str, ...], check: str, measured: list[str]) -> None:
    words = ("parametrization=smupar", "hparams.learning_rate=1e30", "optimizer.gradient_clip=0")
    result = smupar("coordinates", check, *data, *words)
    assert result.returncode == 3, result.stderr
    assert "12 of 12 runs diverged" in complaint(result)
    assert "what would decide it: " in complaint(result)
    assert "a smaller hparams.learning_rate" in complaint(result)
    assert len(measured) == 12


@pytest.mark.usefixtures("undrawn")
def test_what_could_not_be_measured_is_undecided(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str]
) -> None:
    """Steps too small for float32 change nothing: it said that nothing could be measured, and ended with 1."""
    result = smupar("coordinates", check, *data, "parametrization=smupar", "hparams.learning_rate=1e-30")
    assert result.returncode == 3, result.stderr
    assert "SμPar open: update in blocks.0.attention.qkv (start) could not be measured, as 3 more" in complaint(result)
    assert len(measured) == 12


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("parametrization", "words", "code"), [("mup", "require=[mup]", 1), ("smupar", "seed=0", 3), ("smupar", "", 0)]
)
def test_verdicts_get_through_a_multirun(
    smupar: Run,
    data: tuple[str, ...],
    check: str,
    made_up: Callable[..., None],
    parametrization: str,
    words: str,
    code: int,
) -> None:
    made_up(lambda spec: 0.5 if spec.parametrization == "mup" else scattered(0.001)(spec))
    given = (f"parametrization={parametrization}", *words.split(), "results_dir=results/${model.depth}")
    result = smupar("coordinates", check, *data, "--multirun", "model.depth=1,2", *given)
    assert result.returncode == code, result.stderr
    assert verdicts("1/check") == verdicts("2/check"), "a folder each"


GRID_OF_ONE_PLACE = """\
  - parametrization.name: [smupar]
    target.sparsity: [0.0, 0.5]
    seed: [0]
  - parametrization.name: [mup]
    target.sparsity: [0.5]
    seed: [0]
runs: 3
"""
GRID_OF_TWO_AXES = """\
  - parametrization.name: [smupar]
    target.sparsity: [0.0, 0.5]
    target.width: [64, 128]
runs: 4
"""
GRID_OF_EQUAL_MASKS = """\
  - parametrization.name: [smupar]
    target.sparsity: [0.0, 0.5, 0.5000001]
runs: 3
"""


@pytest.mark.parametrize(
    ("grids", "needle"),
    [
        pytest.param(GRID_OF_ONE_PLACE, "has a single value for mup, 0.5", id="a parametrization with one place"),
        pytest.param(GRID_OF_TWO_AXES, "is nothing that tables tell apart", id="two axes"),
        pytest.param(GRID_OF_EQUAL_MASKS, "keep the same numbers of weights", id="densities that are one"),
    ],
)
def test_a_file_without_slopes_is_refused_before_anything_is_measured(
    smupar: Run, data: tuple[str, ...], check: str, measured: list[str], grids: str, needle: str
) -> None:
    """Two densities that make the same masks have a slope of exactly 0 under every parametrization."""
    path = Path(check)
    head = path.read_text(encoding="utf-8").partition("grids:\n")[0]
    if "target.width" in grids:
        head = head.replace("target.width=128", "seed=0")
    path.write_text(f"{head}grids:\n{grids}", encoding="utf-8")
    result = smupar("coordinates", check, *data)
    assert result.returncode == 2
    assert needle in complaint(result)
    assert measured == []
    assert not Path("results").exists()
