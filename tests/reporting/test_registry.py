"""Figures by kind: one file adds one, in the package or outside of it, and what a stranger's does wrong is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from smupar_transfer import Picture, register_figure
from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting import registry
from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of
from smupar_transfer.theory import InputError

ROOT = Path(__file__).parents[2]
RESULT = "llama_zero_shot"
OPTIMA = {("smupar", 0.0, 64): -5.0, ("smupar", 0.75, 64): -4.8}
OWN = ["a_sweep", "optimum", "regret", "learning"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is not there for the tests after it."""
    registry.kinds()
    before = dict(registry._FIGURES)
    yield
    registry._FIGURES.clear()
    registry._FIGURES.update(before)


@pytest.fixture
def outcome(parabolas: Callable[..., list[RunRecord]], make_manifest: Callable[..., Manifest]) -> Callable[[], Outcome]:
    def made() -> Outcome:
        records = parabolas(OPTIMA)
        return outcome_of(make_manifest(records), records)

    return made


def names(made: Outcome) -> list[str]:
    return [picture.name for picture in made.pictures]


def test_a_figure_that_is_registered_comes_behind_those_of_the_package(outcome: Callable[[], Outcome]) -> None:
    before = names(outcome())
    assert before == [name for name in OWN if name in before]

    @register_figure("stability")
    def drifts(findings: Findings) -> Picture:
        return Picture("drifts", f"{findings.families[0].drift.value:.2f} octaves", Figure())

    made = outcome()
    assert names(made) == [*before, "drifts"]
    assert made.pictures[-1].caption == "0.20 octaves"


def test_a_figure_of_another_kind_or_with_nothing_to_show_is_left_out(outcome: Callable[[], Outcome]) -> None:
    before = names(outcome())
    register_figure("gain")(lambda _: Picture("elsewhere", "", Figure()))
    register_figure("stability")(lambda _: None)
    assert names(outcome()) == before


def test_a_module_that_is_imported_again_replaces_its_own(outcome: Callable[[], Outcome]) -> None:
    before = names(outcome())
    for caption in ("first", "second"):

        def again(_: Findings, caption: str = caption) -> Picture:
            return Picture("again", caption, Figure())

        register_figure("stability")(again)
    made = outcome()
    assert names(made) == [*before, "again"]
    assert made.pictures[-1].caption == "second"


def test_figures_share_what_is_computed_once(
    parabolas: Callable[..., list[RunRecord]], make_manifest: Callable[..., Manifest]
) -> None:
    calls: list[Findings] = []

    def count(findings: Findings) -> int:
        calls.append(findings)
        return len(findings.records)

    records = parabolas(OPTIMA)
    first, second = Findings(make_manifest(records), records), Findings(make_manifest(records), records[:4])
    assert [first.once(count), first.once(count), second.once(count)] == [len(records), len(records), 4]
    assert calls == [first, second]
    assert first.summaries is first.summaries


def _fails(_: Findings) -> Picture:
    raise ZeroDivisionError("no seeds")


@pytest.mark.parametrize(
    ("kind", "draw", "message"),
    [
        pytest.param(
            "stabilty",
            lambda _: None,
            r"register_figure=stabilty: of \S+ is no kind of result; did you mean stability\?",
            id="unknown kind",
        ),
        pytest.param("stability", _fails, "cannot be drawn: ZeroDivisionError: no seeds; mend it", id="raises"),
        pytest.param("stability", lambda _: Figure(), "returns a Figure; return a smupar_transfer.Picture", id="bare"),
        pytest.param(
            "stability", lambda _: Picture("../up", "", Figure()), r"register_figure=\.\./up: is no name", id="path"
        ),
        pytest.param(
            "stability",
            lambda _: Picture("optimum", "", Figure()),
            "register_figure=optimum: of .* is the name of another figure",
            id="taken name",
        ),
    ],
)
def test_what_a_figure_does_wrong_is_told_in_a_line(
    kind: str, draw: Callable[[Any], Picture | None], message: str, outcome: Callable[[], Outcome]
) -> None:
    register_figure(kind)(draw)
    with pytest.raises(InputError, match=message):
        outcome()


def _plot(folder: Path, *words: str, program: str = "") -> subprocess.CompletedProcess[str]:
    shutil.copytree(ROOT / "results" / RESULT, folder / "results" / RESULT)
    start = f"{program}\nimport sys\nfrom smupar_transfer.app.main import main\nsys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", start, "plot", RESULT, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _committed(folder: Path) -> list[str]:
    """Names of committed files that are no longer as they are committed, pages left out."""
    kept = [path for path in (ROOT / "results" / RESULT).iterdir() if path.suffix in (".svg", ".csv", ".jsonl")]
    return [path.name for path in kept if (folder / "results" / RESULT / path.name).read_bytes() != path.read_bytes()]


def test_the_figure_of_the_page_is_one_file_outside_of_the_package(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(# my_figures\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "my_figures.py").write_text(module, encoding="utf-8")
    made = _plot(tmp_path, "--plugin", "my_figures")
    assert made.returncode == 0, made.stderr
    result = tmp_path / "results" / RESULT
    assert {path.name for path in result.glob("sensitivity.*")} == {"sensitivity.svg", "sensitivity.png"}
    readme = (result / "README.md").read_text(encoding="utf-8")
    assert "What it costs to know no good value at all." in readme
    assert readme.index("optimum.svg") < readme.index("sensitivity.svg")
    assert _committed(tmp_path) == []


IN_THE_PACKAGE = """
from matplotlib.figure import Figure

from smupar_transfer.reporting.findings import Findings
from smupar_transfer.reporting.outcome import Picture
from smupar_transfer.reporting.registry import register_figure


@register_figure("stability")
def trial(findings: Findings) -> Picture:
    return Picture("trial", f"{len(findings.cells)} cells", Figure())
"""


def test_a_file_among_the_figures_of_the_package_is_all_that_one_takes(tmp_path: Path) -> None:
    """No list names it: the folder is looked through. Without the file the figure is not there."""
    extra = tmp_path / "figures"
    extra.mkdir()
    (extra / "trial.py").write_text(IN_THE_PACKAGE, encoding="utf-8")
    program = f"from smupar_transfer.reporting import figures\nfigures.__path__.append({str(extra)!r})"
    made = _plot(tmp_path, program=program)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "results" / RESULT / "trial.svg").is_file()
    assert _committed(tmp_path) == []
