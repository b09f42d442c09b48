"""What docs/sweeps.md shows can be copied as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from smupar_transfer.app.main import main
from smupar_transfer.records import read_manifest
from smupar_transfer.records.design import AXES, SWEPT_BY_KIND
from smupar_transfer.sweeps.files import load_sweep
from smupar_transfer.sweeps.sweep import Sweep

SWEEPS = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text(encoding="utf-8")
TINY = [
    *("model.width=16", "model.head_dim=8", "model.depth=1", "target.width=32"),
    *("budget.steps=2", "budget.warmup_steps=0", "budget.batch_size=2", "budget.sequence_length=8"),
    *("budget.evaluations=1", "budget.evaluation_batches=1"),
]
EXAMPLE, AXES_SHOWN = re.findall(r"```yaml\n(.*?)```", SWEEPS, flags=re.DOTALL)
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```bash\n(.*?)```", SWEEPS, flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(EXAMPLE, encoding="utf-8")
    Path("novel.txt").write_bytes(bytes(range(256)) * 16)


def test_the_example_of_a_sweep_is_short_and_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(EXAMPLE.splitlines()) == 8
    assert ["sweep", "mine.yaml", "workers=2"] in COMMANDS
    words = ["data=text", "data.path=novel.txt", "parametrization=smupar"]
    assert main(["sweep", "mine.yaml", *TINY, *words]) == 0, capsys.readouterr().err
    sweep = load_sweep("mine.yaml")
    assert sweep.question in Path("results/mine/README.md").read_text(encoding="utf-8")
    assert 0 < len(read_manifest(Path("results/mine")).keys) < sweep.count()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_composes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--cfg", "job"]) == 0, capsys.readouterr().err


def test_every_axis_that_is_shown_can_be_read() -> None:
    Path("axes.yaml").write_text(
        f"question: Why?\nkind: search\ngrids:\n  - {AXES_SHOWN.replace(chr(10), chr(10) + '    ')}"
    )
    assert load_sweep("axes.yaml").count() == 3 * 17 * 16


def test_every_field_kind_and_axis_is_explained() -> None:
    fields = set(re.findall(r"^\| `(\w+)` \|", SWEEPS, re.MULTILINE))
    assert fields == (set(Sweep.__dataclass_fields__) - {"name"}) | set(SWEPT_BY_KIND)
    assert all(f"`{axis}`" in SWEEPS for axis in AXES)
