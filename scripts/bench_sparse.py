"""Training steps of a GPT under every way to compute sparse layers, interleaved in one run, against the textbook way.

Measures a cell (width, sparsity, tokens a step, threads) at a time and keeps it in this machine's folder within the
output folder, skipping those that hold every variant that is asked for. Then draws every machine's page, spreadsheet
and figures, and the page that compares machines. Files ``notes.md`` (what a person has to say), ``layer.md`` (from
bench_layer.py) and ``agreement.md`` (from bench_agreement.py) in a machine's folder go into its page as they are.

    python scripts/bench_sparse.py --tokens 4x256 --output results/bench_sparse
    python scripts/bench_sparse.py --page-only --output results/bench_sparse
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from bench.cells import Cell, Result, folder_of, is_measured, keep, read, read_machines, require_machine
from bench.numbers import in_words, of_setting, settings, sparse_variant
from bench.overview import overview
from bench.page import page, speed_table, spreadsheet, stem_of
from smupar_transfer.records import read_text, write_atomically
from smupar_transfer.theory import InputError


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def batch_and_time(text: str) -> tuple[int, int]:
    batch, _, time = text.partition("x")
    return positive(batch), positive(time)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.75, 0.875, 0.9375, 0.984, 0.992])
    parser.add_argument(
        "--tokens", type=batch_and_time, nargs="+", default=[(1, 256), (4, 256), (16, 256)], help="sequences x length"
    )
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    parser.add_argument(
        "--variants",
        nargs="+",
        default=None,
        help="beside textbook; all if left out; a cell that lacks one is measured anew",
    )
    parser.add_argument("--steps", type=positive, default=15, help="measured turns of each variant, a second each")
    parser.add_argument("--warmup", type=int, default=3, help="turns before them, which do not count")
    parser.add_argument("--minutes", type=float, default=10, help="a cell: no new round after that, once there are 5")
    parser.add_argument("--output", type=Path, default=Path("results/bench_sparse"))
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    return parser


def measure_missing(chosen: argparse.Namespace) -> None:
    """Measure what this machine's folder lacks, and keep each cell at once."""
    from bench.measure import measure
    from bench.variants import VARIANTS, require_variants, specification
    from smupar_transfer.training import machine_name

    variants = require_variants(chosen.variants or list(VARIANTS))
    left_out = [name for name in chosen.variants or VARIANTS if name not in variants]
    if left_out:
        print(f"not measured, because this machine cannot build it: {', '.join(left_out)}", flush=True)
    folder = folder_of(chosen.output, machine_name())
    require_machine(read(folder), machine_name(), folder)
    axes = (chosen.threads, chosen.tokens, chosen.widths, chosen.sparsities)
    cells = [
        Cell(width, sparsity, batch, time, threads)
        for threads, (batch, time), width, sparsity in itertools.product(*axes)
    ]
    for cell in cells:
        specification(cell, 1 - cell.sparsity)  # bad input before anything is measured
    for cell in cells:
        if not is_measured(cell, variants, read(folder)):
            result = measure(cell, variants, chosen.steps, chosen.warmup, 60 * chosen.minutes)
            keep(folder, result)
            print(f"{cell.tokens} tokens, {in_words(cell.threads)}\n{speed_table([result])}", flush=True)


def write_page(results: list[Result], folder: Path, command: str) -> None:
    """Write page, spreadsheet and figures of a machine's folder."""
    from bench.figures import draw_speed_up, draw_split
    from smupar_transfer.reporting.figures.style import save

    notes, *parts = [
        read_text(path, "--output") if path.exists() else ""
        for path in (folder / "notes.md", folder / "layer.md", folder / "agreement.md")
    ]
    write_atomically(folder / "README.md", page(results, command, notes, "\n\n".join(parts)))
    write_atomically(folder / "cells.csv", spreadsheet(results))
    variant = sparse_variant(results)
    for setting in settings(results):
        shown = of_setting(results, setting)
        title = f"{results[0].machine}\n{setting.tokens} tokens a step, {in_words(setting.threads)}"
        save(draw_speed_up(shown, title), folder / f"speed_up_{stem_of(setting)}")
        if variant is not None:
            save(draw_split(shown, variant, title), folder / f"split_{stem_of(setting)}")


def main(given: list[str] | None = None) -> int:
    chosen = arguments().parse_args(given)
    try:
        if not chosen.page_only:
            measure_missing(chosen)
        machines = read_machines(chosen.output)
        if not machines:
            raise InputError("--output", str(chosen.output), "holds no measurements", "measure first")
        command = f"python scripts/bench_sparse.py --output results/{chosen.output.name}"
        for folder, results in machines.items():
            write_page(results, folder, command)
        notes = chosen.output / "notes.md"
        said = read_text(notes, "--output") if notes.exists() else ""
        write_atomically(chosen.output / "README.md", overview(machines, command, said), "--output")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
