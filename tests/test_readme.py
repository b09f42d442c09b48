"""Every command of the README runs, at a size that takes seconds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from smupar_transfer.app.main import main

ROOT = Path(__file__).parents[1]
TINY = [
    "model.width=16",
    "model.head_dim=8",
    "model.depth=1",
    "budget.steps=2",
    "budget.warmup_steps=0",
    "budget.batch_size=2",
    "budget.sequence_length=8",
    "budget.evaluations=1",
    "budget.evaluation_batches=1",
]
OF_ANY_MODEL = ("budget.steps", "budget.warmup_steps", "budget.evaluation")
SMALL_SEARCH = ["tuning.n_trials=2", "tuning.startup_trials=1"]


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [part for block in blocks for line in block.splitlines() for part in line.split(" && ")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("smupar ")]


def shrunk(words: list[str]) -> list[str]:
    """The same command on a smaller model, with a shorter search and, for sweeps, a narrower target."""
    if words[0] == "plot":
        return words
    seeds = ["seed=0"] if words[0] in ("coordinates", "sweep", "plan") else []
    seeds += ["require=[]"] if words[0] == "coordinates" else []
    kept = [word for word in words if not word.startswith(("tuning.n_trials", "workers"))]
    extra = SMALL_SEARCH if words[0] in ("tune", "demo") else []
    kept = [word for word in kept if not (words[0] == "plan" and word.startswith("target.width"))]
    width = ["target.width=32"] if words[0] in ("sweep", "plan", "demo", "coordinates") else []
    own = any(word == "model=module" for word in words)  # gives whole batches, and knows no heads
    tiny = [word for word in TINY if not own or word.startswith(OF_ANY_MODEL)]
    return [*kept, *tiny, *extra, *width, *seeds]


def test_the_readme_has_the_commands_of_the_five_minute_path() -> None:
    assert [words[0] for words in commands()] == [
        "demo",
        "tune",
        "transfer",
        "train",
        "tune",
        "tune",
        "transfer",
        "train",
        "plan",
        "sweep",
        "plot",
        "coordinates",
        "explain",
        "plan",
    ]


def test_every_command_runs_in_the_order_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    (task,) = re.findall(r"```python\n(# my_task\.py\n.*?)```", text, flags=re.DOTALL)
    (tmp_path / "my_task.py").write_text(task, encoding="utf-8")
    for words in commands():
        assert main(shrunk(words)) == 0, (words, capsys.readouterr().err)
    assert (tmp_path / "results" / "quick" / "quick.png").stat().st_size > 0
    assert (tmp_path / "results" / "coordinates_by_sparsity" / "coordinates_by_sparsity.png").stat().st_size > 0
    assert (tmp_path / "results" / "demo" / "report.html").stat().st_size > 0


def test_the_test_command_is_what_continuous_integration_calls() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (command,) = [block.strip() for block in blocks if "pytest" in block]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
