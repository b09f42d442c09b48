"""A plan for people and programs: a table, JSON, CSV, HTML."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from typing import Any

from smupar_transfer.transfer.names import without_numbers
from smupar_transfer.transfer.plan_data import PlanData, PlanRow

FIELDS = (
    "name",
    "shape",
    "role",
    "fan_in",
    "m_d",
    "density",
    "init_std",
    "learning_rate",
    "learning_rate_factor",
    "weight_decay",
    "weight_decay_factor",
    "epsilon",
    "forward_multiplier",
    "why",
)
"""What JSON and CSV say of a parameter; the density is m_rho, as elsewhere in this package."""
HEADINGS = ("parameter", "shape", "role", "m_d", "density", "init std", "rate", "decay", "multiplier", "why")


def _values(row: PlanRow) -> dict[str, Any]:
    values = {**vars(row), "density": row.m_rho, "shape": list(row.shape), "role": str(row.role)}
    return {name: values[name] for name in FIELDS}


def as_json(plan: PlanData) -> str:
    """The rows as a JSON list of objects."""
    return json.dumps([_values(row) for row in plan.rows], indent=1)


def as_csv(plan: PlanData) -> str:
    """The rows as CSV, with a heading; shapes as 64x256."""
    text = io.StringIO()
    # of its own accord csv ends lines as Windows does
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**_values(row), "shape": _size(row.shape)} for row in plan.rows)
    return text.getvalue()


def as_table(plan: PlanData, width: int) -> str:
    """The rows as text, those of repeated blocks in one line; the evidence is shown where there is room for it.

    Multipliers stand below, with the modules that they act on.
    """
    unknown = {"multiplier", *(["decay"] if all(row.weight_decay is None for row in plan.rows) else [])}
    columns = [place for place, heading in enumerate(HEADINGS) if heading not in unknown]
    every = [HEADINGS, *(_cells(name, rows) for name, rows in _folded(plan).items())]
    cells = [[row[place] for place in columns] for row in every]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    if sum(widths) + 2 * len(widths) > width:
        cells, widths = [row[:-1] for row in cells], widths[:-1]
    # names take what numbers leave: a number without its last digits would be another one
    widths[0] = max(16, min(widths[0], width - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = ["  ".join(_fit(*pair) for pair in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([_title(plan), *lines, *_footer(plan)])


def as_html(plan: PlanData) -> str:
    """The rows as an HTML table, those of repeated blocks in one line."""
    rows = [_cells(name, rows) for name, rows in _folded(plan).items()]
    heading = "".join(f"<th>{html.escape(name)}</th>" for name in HEADINGS)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    notes = "".join(f"<p>{html.escape(line)}</p>\n" for line in _footer(plan))
    return (
        f"<table>\n<caption>{html.escape(_title(plan))}</caption>\n<thead><tr>{heading}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n</table>\n{notes}"
    )


def _title(plan: PlanData) -> str:
    return f"{plan.parametrization}, {plan.optimizer.name}: {len(plan.rows)} parameters"


def _folded(plan: PlanData) -> dict[str, list[PlanRow]]:
    """Rows that differ by a number in their name alone, by the name with a star for it."""
    kinds: dict[tuple[str, Any], list[PlanRow]] = {}
    for row in plan.rows:
        pattern = without_numbers(row.name)
        kinds.setdefault((pattern, _numbers(row)), []).append(row)
    folded: dict[str, list[PlanRow]] = {}
    for (pattern, _), rows in kinds.items():
        name = rows[0].name if len(rows) == 1 else f"{pattern} ({len(rows)})"
        # two kinds may have one pattern and be as many: the second goes by the name of its first
        folded[name if name not in folded else rows[0].name] = rows
    return folded


def _numbers(row: PlanRow) -> Any:
    """What rows of one line have in common: all but the name, and initial values, which are measured."""
    return tuple(value for name, value in vars(row).items() if name not in ("name", "init_std"))


def _cells(name: str, rows: Sequence[PlanRow]) -> tuple[str, ...]:
    row = rows[0]
    known = [item.init_std for item in rows if item.init_std is not None]
    # standard deviations were measured, and differ a little within a line
    std = _number(sum(known) / len(known)) if known else "?"
    return (
        name,
        _size(row.shape),
        str(row.role),
        _number(row.m_d),
        _number(row.m_rho),
        std,
        f"{row.learning_rate:.3g}" if row.learning_rate is not None else f"x {_number(row.learning_rate_factor)}",
        f"{row.weight_decay:.3g}" if row.weight_decay is not None else f"x {_number(row.weight_decay_factor)}",
        _number(row.forward_multiplier),
        row.why,
    )


def _footer(plan: PlanData) -> list[str]:
    lines = [f"{item.module}: {item.side} x {item.factor:.6g}" for item in plan.multipliers]
    lines += [f"{path}: attention x {factor:.6g}" for path, factor in plan.attention.items()]
    return lines + [f"caution: {line}" for line in plan.cautions]


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"  # a scalar has no dimension


def _number(value: float) -> str:
    return f"{value:.4g}"


def _fit(text: str, size: int) -> str:
    return text.ljust(size) if len(text) <= size else f"{text[: size // 2 - 1]}..{text[-(size - size // 2 - 1) :]}"
