"""Everything of the benchmark of GPUs that needs none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import bench_gpu
from bench import gpu, gpu_proxies
from bench.gpu_page import ABOUT, page

FOLDER = Path(__file__).parents[2] / "results" / "bench_gpu"
SLOW_ON_A_CPU = pytest.mark.filterwarnings("ignore:There is a performance drop")
"""PyTorch says so of attention over stacked networks; GPUs have a kernel of their own for it."""
PARTS = [name for name in bench_gpu.LIMITS if name != "tests"]


def test_all_of_it_takes_less_than_eight_minutes_and_is_on_the_page() -> None:
    assert sum(bench_gpu.LIMITS.values()) <= 480
    assert [*bench_gpu.LIMITS] == [*ABOUT]


@SLOW_ON_A_CPU
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own, where its compiler is
def test_a_dry_run_goes_through_every_section_and_nothing_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--device", "cpu", "--dry", "--sections", *PARTS, "--output", str(tmp_path)]
    assert bench_gpu.main(options) == 0
    measured = json.loads((tmp_path / bench_gpu.FILE).read_text())
    assert bench_gpu.failures(measured) == 0, capsys.readouterr().err
    assert all(section["rows"] for section in measured["sections"].values())
    rows = [row for row in measured["sections"]["agreement"]["rows"] if row["what"] != "layer"]
    assert len(rows) == 3 + 2 * 3
    text = (tmp_path / "README.md").read_text()
    assert "**A dry run**" in text
    assert "Of 21 comparisons with a CPU 21 are within what rounding explains; no measurement failed." in text
    assert text.count("\n## ") == len(PARTS)
    before = (tmp_path / "README.md").read_bytes()
    assert bench_gpu.main(["--page-only", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_bytes() == before


def test_the_committed_page_says_what_was_measured_or_that_nothing_was() -> None:
    known = FOLDER / bench_gpu.FILE
    measured = json.loads(known.read_text(encoding="utf-8")) if known.exists() else None
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page(measured)
    assert measured is None or not measured["dry"]
    assert "**Not measured**" in page(None)


def test_what_computes_wrongly_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the comparisons: products of a GPU that lost their last digits."""
    right = gpu.layer_error("expand", (64, 48, 40), 0.25, False, "cpu")
    assert right < 1e-5
    product = torch.ops.smupar_transfer.expand_linear
    monkeypatch.setattr(
        "smupar_transfer.sparsity.backends.expand.expand_linear",
        lambda inputs, *rest: product(inputs.bfloat16().float(), *rest),
    )
    assert gpu.layer_error("expand", (64, 48, 40), 0.25, False, "cpu") > 1e-4


@SLOW_ON_A_CPU
def test_stacked_networks_train_as_each_by_itself() -> None:
    """Two steps of AdamW and clipping; learning rates of the alone ones are what the stack has."""
    setup = gpu.Setup("cpu", dry=True)
    step, _ = gpu_proxies.stacked(2, setup)
    together = torch.stack([step(), step()])
    alone = []
    for seed in range(2):
        network, _, batch = gpu.proxy(setup, seed)
        optimizer = torch.optim.AdamW(network.parameters(), lr=gpu_proxies.LEARNING_RATE)
        single = gpu.stepper(network, optimizer, batch, setup)
        alone.append(torch.stack([single().detach(), single().detach()]))
    torch.testing.assert_close(together, torch.stack(alone, 1), rtol=1e-3, atol=0)
    assert float((together[0, 0] - together[0, 1]).abs() / together[0, 0]) > 1e-3, "they are different networks"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param("import time; time.sleep(60)", "its limit of 1 s was over", id="too long"),
        pytest.param("raise RuntimeError('no memory')", "RuntimeError: no memory", id="a failure"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "exit code -9", id="a death"),
    ],
)
def test_a_section_that_ends_early_keeps_its_rows_and_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, error: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"print('{{\"ms\": 1.5}}', flush=True)\nprint('a warning', flush=True)\n{body}\n")
    monkeypatch.setattr(bench_gpu, "__file__", str(script))
    made = bench_gpu.measure_section("launch", "cuda", 1)
    assert (made["rows"], made["error"]) == ([{"ms": 1.5}], error)
    text = page({"machine": "a GPU", "versions": {}, "dry": False, "sections": {"launch": made}})
    assert f"This section did not end: {error}." in text
    assert "cut short: launch." in text


def test_a_row_that_fails_is_written_down() -> None:
    row = gpu.guarded({"way": "x"}, lambda value: {"ms": 1 / value}, 0)
    assert row == {"way": "x", "error": "ZeroDivisionError: division by zero"}
    sections = {"launch": {"seconds": 1, "error": None, "rows": [row]}}
    assert "1 measurements failed" in page({"machine": "a GPU", "versions": {}, "dry": False, "sections": sections})


@pytest.mark.parametrize(
    ("options", "remedy"),
    [(["--device", "cpu"], "--dry"), ([], "--device cpu --dry")],
)
def test_without_a_gpu_it_says_what_to_do(
    options: list[str], remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench_gpu.main([*options, "--output", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert remedy in line
    assert not (tmp_path / "out").exists()


def test_speeds_and_memory_stand_beside_those_of_the_textbook_way() -> None:
    def row(name: str, milliseconds: float, state: int, **more: object) -> dict[str, object]:
        spread = dict.fromkeys(("ms", "ms_low", "ms_high"), milliseconds)
        return {"width": 8, "variant": name, **spread, "peak_bytes": 2**20, "state_bytes": state, **more}

    rows = [
        row("dense", 2.0, 1),
        row("textbook", 4.0, 4 * 2**20),
        row("expand", 1.0, 2**20, sparsity=0.5),
        {"width": 8, "sparsity": 0.5, "variant": "csr", "error": "RuntimeError: no"},
    ]
    sections = {"whole_step": {"seconds": 1, "error": None, "rows": rows}}
    text = page({"machine": "a GPU", "versions": {}, "dry": False, "sections": sections})
    assert "| 8 | 0.5 | expand | 1.00 (1.00-1.00) | 2.00 | 4.00 | 1 | 1.0 (25.0%) |" in text
    assert "| 8 | 0.5 | csr | RuntimeError: no | - | - | - | - |" in text
