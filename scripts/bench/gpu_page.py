"""The page of ``bench_gpu.py``: every number from what was measured. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.page import MIB, table

Row = dict[str, Any]
COMMAND = "python scripts/bench_gpu.py"
QUESTION = "**Does `device=cuda` compute the same, and what is fast there?**"

ABOUT = {
    "tests": "The tests of sparse layers on a GPU (`tests/sparsity/test_cuda.py`).",
    "agreement": "How far outputs and gradients of a layer, gradients of a network, and loss curves of a training lie "
    "from the CPU's: the first two against float64, relative to the largest entry or the norm; losses against float32 "
    "there.",
    "auto": "Milliseconds of a step of one layer (4 x width outputs, 4,096 tokens) under each backend, and what `auto` "
    "takes.",
    "whole_step": "A training step of a 2-layer GPT, 16 x 256 tokens, everything under bfloat16 autocast; `csr` "
    "multiplies in float32. Masks are Bernoulli. *Peak* is the largest memory of training; *state* what the sparsified "
    "layers keep from step to step. *textbook* is `weight * mask` in every forward pass.",
    "semi_structured": "One layer with a 2:4 mask in bfloat16, 4,096 tokens, forward product alone: dense, by 2:4 "
    "instructions (`torch.sparse.to_sparse_semi_structured`), and with the conversion that a step needs, whose weights "
    "have moved.",
    "launch": "A training step of one dense proxy of width 64, 8 x 128 tokens.",
    "several": "Milliseconds in which each of K such proxies takes a step.",
}
"""What each section of the page shows, in the order of measuring."""


def page(measured: dict[str, Any] | None) -> str:
    """README of the results folder.

    Args:
        measured: what ``bench_gpu.py`` wrote; None if nobody has run it on a GPU.
    """
    if measured is None:
        return f"# bench_gpu\n\n{QUESTION} {_not_measured()}"
    sections = measured["sections"]
    dry = "**A dry run**: everything was tiny, and no time here is a measurement. " if measured["dry"] else ""
    parts = [
        f"# bench_gpu\n\n{QUESTION} {dry}{sentence(sections)}",
        f"Machine: {measured['machine']}; {', '.join(f'{k} {v}' for k, v in measured['versions'].items())}. "
        f"Command: `{COMMAND}`. Medians of rounds between which the device was waited for; quartiles and everything "
        "else are in [measurements.json](measurements.json).",
        *(_section(name, sections[name]) for name in ABOUT if name in sections),
    ]
    return "\n\n".join(parts) + "\n"


def _not_measured() -> str:
    about = "\n".join(f"- *{name.replace('_', ' ')}*: {words}" for name, words in ABOUT.items())
    return (
        "**Not measured**: nobody has run this on a GPU yet, and nothing in this repository says how fast one is. "
        f"Tests of layers on a GPU are skipped without one.\n\nWhoever has a GPU for ten minutes: `{COMMAND}` in a "
        "clone, with a CUDA build of PyTorch, takes less than eight, and writes this page and `measurements.json` "
        "beside it. `--device cpu --dry` goes through all of it on a CPU in moments and measures nothing. It shows:"
        f"\n\n{about}\n"
    )


def sentence(sections: dict[str, Any]) -> str:
    """The outcome: whether everything agrees, and what failed."""
    rows = [row for row in sections.get("agreement", {}).get("rows", []) if "apart" in row]
    outside = [row for row in rows if not row["apart"] <= row["error_at_most"]]
    said = f"Of {len(rows)} comparisons with a CPU {len(rows) - len(outside)} are within what rounding explains"
    failed = [name for name, section in sections.items() if section["error"]]
    errors = sum("error" in row for section in sections.values() for row in section["rows"])
    said += f"; {errors} measurements failed" if errors else "; no measurement failed"
    return said + (f"; cut short: {', '.join(failed)}." if failed else ".")


def _section(name: str, section: dict[str, Any]) -> str:
    pieces = [f"## {name.replace('_', ' ').capitalize()}", ABOUT[name], _TABLES.get(name, _plain)(section["rows"])]
    if section["error"]:
        pieces.append(f"This section did not end: {section['error']}.")
    return "\n\n".join(piece.strip() for piece in pieces if piece.strip())


def _plain(rows: Sequence[Row]) -> str:
    """A column a key; a failure is its own last column."""
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if not key.startswith(("ms_l", "ms_h"))]
    return table([key.replace("_", " ") for key in keys], [[_shown(row.get(key)) for key in keys] for row in rows])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 0.001 else f"{value:.4g}"
    return "-" if value is None else str(value).replace("|", "/")


def _agreement(rows: Sequence[Row]) -> str:
    cells = [
        [
            row["what"],
            row["backend"],
            row["precision"],
            row.get("error") or f"{row['apart']:.1e}",
            "-" if "error" in row else f"{row['error_at_most']:.0e}",
            "-" if "error" in row else ("yes" if row["apart"] <= row["error_at_most"] else "**no**"),
        ]
        for row in rows
    ]
    return table(["what", "backend", "precision", "apart", "at most", "agrees"], cells)


def _whole_step(rows: Sequence[Row]) -> str:
    header = ["width", "s", "variant", "ms a step", "over dense", "over textbook", "peak, MiB"]
    ordered = sorted(rows, key=lambda row: (row["width"], row.get("sparsity", -1.0)))
    return table([*header, "state, MiB (of textbook's)"], [_step(row, rows) for row in ordered])


def _step(row: Row, rows: Sequence[Row]) -> list[str]:
    labels = [str(row["width"]), f"{row['sparsity']:g}" if "sparsity" in row else "any", row["variant"]]
    if "ms" not in row:
        return [*labels, row.get("error", "-"), "-", "-", "-", "-"]
    dense, textbook = (_beside(row, variant, rows) for variant in ("dense", "textbook"))
    part = f" ({row['state_bytes'] / textbook['state_bytes']:.1%})" if textbook else ""
    return [
        *labels,
        f"{row['ms']:.2f} ({row['ms_low']:.2f}-{row['ms_high']:.2f})",
        *("-" if rival is None else f"{rival['ms'] / row['ms']:.2f}" for rival in (dense, textbook)),
        "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / MIB:,.0f}",
        f"{row['state_bytes'] / MIB:,.1f}{part}",
    ]


def _beside(row: Row, variant: str, rows: Sequence[Row]) -> Row | None:
    """Another variant of the same network; rivals have no sparsity, and stand beside all."""
    for each in rows:
        alike = each["width"] == row["width"] and each.get("sparsity") in (None, row.get("sparsity"))
        if alike and each["variant"] == variant and "ms" in each:
            return each
    return None


_TABLES: dict[str, Callable[[Sequence[Row]], str]] = {"agreement": _agreement, "whole_step": _whole_step}
