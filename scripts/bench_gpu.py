"""All checks and benchmarks of a GPU, in less than eight minutes: agreement with the CPU, speed, memory.

Every section runs in a process of its own and has a limit of seconds: what it measured until then is kept, and what
fails is written down and ends nothing else. Writes ``measurements.json`` and the page into the output folder.

    python scripts/bench_gpu.py
    python scripts/bench_gpu.py --device cpu --dry
    python scripts/bench_gpu.py --page-only

The second goes through everything on a CPU, tiny and in moments, and writes nothing unless told where: to see before
that nothing is in the way. The third draws the page again; without measurements it says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.gpu_page import ABOUT, page
from smupar_transfer.records import load_json, read_text, write_atomically
from smupar_transfer.theory import InputError

FILE = "measurements.json"
LIMITS = {
    "tests": 40,
    "agreement": 60,
    "auto": 40,
    "whole_step": 160,
    "semi_structured": 30,
    "launch": 70,
    "several": 75,
}
"""Seconds of each section, in the order of measuring; see ``gpu_page.ABOUT``."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu with --dry alone")
    parser.add_argument("--dry", action="store_true", help="everything tiny, in one process; no measurement")
    parser.add_argument("--sections", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument(
        "--output", type=Path, default=None, help="results/bench_gpu if left out, or nowhere with --dry"
    )
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--section", choices=list(LIMITS), default=None, help=argparse.SUPPRESS)  # of a process
    return parser


def require_sense(chosen: argparse.Namespace) -> None:
    """Check that what is asked for can be measured.

    Raises:
        InputError: it cannot.
    """
    if chosen.device == "cpu" and not chosen.dry:
        raise InputError("--device", "cpu", "is no GPU", "add --dry to see that everything runs")
    if chosen.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            problem = "is not available: torch sees no CUDA device"
            raise InputError("--device", "cuda", problem, "use --device cpu --dry to see that everything runs")


def rows_of(name: str, device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """What a section measures, row by row."""
    from bench import gpu, gpu_proxies

    section = getattr(gpu, name, None) or getattr(gpu_proxies, name)
    yield from section(gpu.Setup(device, dry))


def measure_section(name: str, device: str, limit: float) -> dict[str, Any]:
    """Rows of a section until its end, its failure or its limit, and which of these it was (``error``)."""
    command = [sys.executable, __file__, "--section", name, "--device", device]
    started, error = time.monotonic(), None
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as complaints:
        try:
            code = subprocess.run(command, stdout=out, stderr=complaints, timeout=limit, check=False).returncode
            if code:
                complaints.seek(0)
                error = ([f"exit code {code}", *complaints.read().strip().splitlines()])[-1][:300]
        except subprocess.TimeoutExpired:
            error = f"its limit of {limit:g} s was over"
        out.seek(0)
        rows = whole_lines(out.read())
    return {"seconds": round(time.monotonic() - started, 1), "error": error, "rows": rows}


def whole_lines(text: str) -> list[dict[str, Any]]:
    """The rows among lines, the last of which may be cut short; whatever else was printed is left out."""
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows += [row] if isinstance(row, dict) else []
    return rows


def rehearse_section(name: str, device: str) -> dict[str, Any]:
    """The same of a dry run, in this process."""
    rows: list[dict[str, Any]] = []
    started, error = time.monotonic(), None
    try:
        for row in rows_of(name, device, dry=True):
            rows += [row]  # one by one: what came before a failure is kept
    except Exception as failure:  # one section ends no other
        error = f"{type(failure).__name__}: {failure}"[:300]
    return {"seconds": round(time.monotonic() - started, 1), "error": error, "rows": rows}


def measure_all(chosen: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    import torch

    from smupar_transfer.training import machine_name

    sections = {}
    for name in (name for name in LIMITS if name in chosen.sections):
        print(f"{name}: {ABOUT[name]}", flush=True)
        if chosen.dry:
            made = rehearse_section(name, chosen.device)
        else:
            made = measure_section(name, chosen.device, LIMITS[name])
        sections[name] = made
        failed = [row["error"] for row in made["rows"] if "error" in row]
        print(f"  {len(made['rows'])} rows, {len(failed)} failed, {made['seconds']} s", flush=True)
        for problem in [*failed, *([made["error"]] if made["error"] else [])]:
            print(f"  {problem}", file=sys.stderr, flush=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"machine": machine_name(chosen.device), "versions": versions, "dry": chosen.dry, "sections": sections}


def failures(measured: dict[str, Any]) -> int:
    """Sections and rows that failed."""
    sections = measured["sections"].values()
    return sum(bool(each["error"]) + sum("error" in row for row in each["rows"]) for each in sections)


def main(given: list[str] | None = None) -> int:
    chosen = arguments().parse_args(given)
    if chosen.section:
        for row in rows_of(chosen.section, chosen.device, chosen.dry):
            print(json.dumps(row), flush=True)
        return 0
    folder = chosen.output or Path("results/bench_gpu")
    try:
        if not chosen.page_only:
            require_sense(chosen)
            measured = measure_all(chosen)
            text = json.dumps(measured, indent=1) + "\n"
            if chosen.dry and chosen.output is None:
                return int(failures(measured) > 0)
            write_atomically(folder / FILE, text, "--output")
        known = load_json(read_text(folder / FILE, "--output")) if (folder / FILE).exists() else None
        write_atomically(folder / "README.md", page(known), "--output")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
